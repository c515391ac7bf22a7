"""`orchestrate build`: does what `plan` says."""

from __future__ import annotations

import os

import click

from orchestrator.cli.options import (
    check_alone,
    make_plan_options,
    make_project_options,
    plan_options,
    project_options,
)
from orchestrator.cli.run_options import make_run_options, run_options


@click.command(name="build")
@plan_options
@project_options
@run_options
@click.option(
    "--resume",
    is_flag=True,
    help="Go on with the run that was cut off here: same version, time and tags. Builds as ever where there is none.",
)
@click.option(
    "--rollback",
    is_flag=True,
    help="Undo the tags of the release that was cut off or has failed here, and build nothing.",
)
def command(*, resume: bool, rollback: bool, **values: object) -> None:
    """Build, verify and publish: all images or none.

    Alone it builds into OCI layouts under .orchestrate/oci, and nothing leaves this machine.
    """
    from orchestrator.cli.execute import execute
    from orchestrator.cli.findings import Findings
    from orchestrator.cli.load import find_root
    from orchestrator.cli.prepare import Preparation
    from orchestrator.cli.resume import Begins, PlanKeeper, find_begun, plan_to_keep
    from orchestrator.cli.resume import resume as go_on
    from orchestrator.cli.rollback import roll_back
    from orchestrator.cli.runnable import check_runnable
    from orchestrator.cli.scope import destination_of
    from orchestrator.cli.show import since_lines
    from orchestrator.plan.model import Destination
    from orchestrator.ui.text import print_note

    options, project = make_plan_options(values), make_project_options(values)
    if rollback:
        check_alone("--rollback", may=("rollback", "file", "progress"))
        roll_back(find_root(project), os.environ)
        return
    begun = find_begun(find_root(project)) if resume else None
    if begun is not None:
        findings = Findings()
        prepared = go_on(begun, options, project, os.environ, findings)
    else:
        if resume:
            print_note("there is nothing to go on with: no plan of a run that was cut off is kept here")
        preparation = Preparation(project, os.environ)
        findings = preparation.findings
        destination = destination_of(options, unless_said=Destination.LAYOUT)
        prepared = preparation.plan(preparation.load(), options, destination=destination)
        for line in since_lines(prepared.plan, preparation.since):
            print_note(line)
    check_runnable(prepared, findings, os.environ)
    if findings.all:
        print_note(findings.render())
    content = None if begun else plan_to_keep(prepared, findings, project, os.environ)
    begins = Begins.RESUMED if begun else Begins.ANEW
    keeper = PlanKeeper(prepared.loaded.root, prepared.plan, begins, content)
    execute(prepared, make_run_options(values), keeper=keeper)
