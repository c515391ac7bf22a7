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
    project_options,
    result_option,
)


@click.command(name="build")
@plan_options
@project_options
@jobs_option
@click.option("-v", "--verbose", is_flag=True, help="Print what the builds print.")
@click.option("--format", "style", type=click.Choice(("text", "json")), default="text", help="How to print the result.")
@result_option("Where to write the result; .orchestrate/result.json unless said.")
def command(*, jobs: int, verbose: bool, style: str, result_file: Path | None, **values: object) -> None:
    """Build, verify and publish: all images or none.

    Alone it builds into OCI layouts under .orchestrate/oci, and nothing leaves this machine.
    """
    from orchestrator.cli.execute import execute
    from orchestrator.cli.prepare import Preparation
    from orchestrator.cli.runnable import check_runnable
    from orchestrator.cli.scope import destination_of
    from orchestrator.cli.show import since_lines
    from orchestrator.plan.model import Destination
    from orchestrator.ui.text import print_note

    options = make_plan_options(values)
    preparation = Preparation(make_project_options(values), os.environ)
    loaded = preparation.load()
    prepared = preparation.plan(loaded, options, destination=destination_of(options, unless_said=Destination.LAYOUT))
    for line in since_lines(prepared.plan, preparation.since):
        print_note(line)
    check_runnable(prepared, preparation.findings, os.environ)
    if preparation.findings.all:
        print_note(preparation.findings.render())
    execute(
        prepared,
        jobs=jobs,
        verbose=verbose,
        style=style,
        result_file=result_file,
    )
