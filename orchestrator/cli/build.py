"""`orchestrate build`: does what `plan` says."""

from __future__ import annotations

import os
from pathlib import Path

import click

from orchestrator.cli.options import (
    jobs_option,
    make_plan_options,
    make_project_options,
    plan_options,
    progress_option,
    project_options,
    result_option,
)


@click.command(name="build")
@plan_options
@project_options
@jobs_option
@click.option(
    "--resume",
    is_flag=True,
    help="Go on with the run that was cut off here: same version, time and tags. Builds as ever where there is none.",
)
@click.option("-v", "--verbose", is_flag=True, help="Print what the builds print.")
@progress_option
@click.option("--format", "style", type=click.Choice(("text", "json")), default="text", help="How to print the result.")
@result_option("Where to write the result; .orchestrate/result.json unless said.")
def command(
    *, jobs: int, resume: bool, verbose: bool, style: str, result_file: Path | None, progress: str, **values: object
) -> None:
    """Build, verify and publish: all images or none.

    Alone it builds into OCI layouts under .orchestrate/oci, and nothing leaves this machine.
    """
    from orchestrator.cli.execute import RunOptions, execute
    from orchestrator.cli.findings import Findings
    from orchestrator.cli.load import find_root
    from orchestrator.cli.prepare import Preparation
    from orchestrator.cli.resume import PlanKeeper, find_begun
    from orchestrator.cli.resume import resume as go_on
    from orchestrator.cli.runnable import check_runnable
    from orchestrator.cli.scope import destination_of
    from orchestrator.cli.show import since_lines
    from orchestrator.plan.model import Destination
    from orchestrator.ui.text import print_note

    options, project = make_plan_options(values), make_project_options(values)
    begun = find_begun(find_root(project)) if resume else None
    if begun is not None:
        findings = Findings()
        prepared = go_on(begun, options, project, os.environ, findings)
    else:
        if resume:
            print_note("there is nothing to go on with: no run was cut off here")
        preparation = Preparation(project, os.environ)
        findings = preparation.findings
        destination = destination_of(options, unless_said=Destination.LAYOUT)
        prepared = preparation.plan(preparation.load(), options, destination=destination)
        for line in since_lines(prepared.plan, preparation.since):
            print_note(line)
    check_runnable(prepared, findings, os.environ)
    if findings.all:
        print_note(findings.render())
    execute(
        prepared,
        RunOptions(
            jobs=jobs, verbose=verbose, style=style, result_file=result_file, progress=progress, project=project
        ),
        keeper=PlanKeeper(prepared, findings, project, os.environ, goes_on=begun is not None),
    )
