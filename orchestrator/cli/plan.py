"""`orchestrate plan`: what would happen, and nothing else."""

from __future__ import annotations

import os
from typing import Final

import click

from orchestrator.cli.options import make_plan_options, make_project_options, plan_options, project_options

_CHANGES: Final = 10


@click.command(name="plan")
@plan_options
@project_options
@click.option("-v", "--verbose", is_flag=True, help="Add the argv of every child.")
@click.option("--format", "style", type=click.Choice(("text", "json")), default="text", help="How to print it.")
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 10 where there is something to build.")
def command(*, verbose: bool, style: str, detailed_exitcode: bool, **values: object) -> int:
    """Say what would be built, where, why, and what would become public.

    Shows what `build --push` would do, unless another destination is given. Needs no Docker.
    """
    from orchestrator.cli.prepare import Preparation
    from orchestrator.cli.scope import destination_of
    from orchestrator.cli.show import show_plan, show_unplanned
    from orchestrator.errors import ConfigurationError
    from orchestrator.plan.model import Destination

    options = make_plan_options(values)
    preparation = Preparation(make_project_options(values), os.environ)
    try:
        loaded = preparation.load()
    except ConfigurationError:
        if style == "json":
            show_unplanned(preparation.findings)
        raise
    has_home = any(image.repository for image in loaded.expansion.images)
    # a part of an index is never published, so with `--platform` the question is what `--stage` would do
    public = Destination.STAGE if options.platforms else Destination.PUSH
    destination = destination_of(options, unless_said=public if has_home else Destination.LAYOUT)
    prepared = preparation.plan(loaded, options, destination=destination)
    show_plan(prepared, preparation.findings, style=style, verbose=verbose)
    if prepared.plan.blocked:
        return 3
    return _CHANGES if detailed_exitcode and prepared.plan.builds else 0
