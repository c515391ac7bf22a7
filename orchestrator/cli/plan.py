"""`orchestrate plan`: what would happen, and nothing else."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Final

import click

from orchestrator.cli.options import jobs_option, make_plan_options, make_project_options, plan_options, project_options

_CHANGES: Final = 10


@click.command(name="plan")
@plan_options
@project_options
@jobs_option
@click.option("-v", "--verbose", is_flag=True, help="Add the argv of every child.")
@click.option("--format", "style", type=click.Choice(("text", "json")), default="text", help="How to print it.")
@click.option(
    "--out", metavar="FILE", type=click.Path(path_type=Path), help="Save the plan there; `orchestrate apply` does it."
)
@click.option("--split", is_flag=True, help="Print, as JSON, the parts that can be done on several machines.")
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 10 where there is something to build.")
def command(
    *,
    jobs: int,
    verbose: bool,
    style: str,
    out: Path | None,
    split: bool,
    detailed_exitcode: bool,
    **values: object,
) -> int:
    """Say what would be built, where, why, and what would become public.

    Shows what `build --push` would do, unless another destination is given. Needs no Docker.
    """
    from orchestrator.cli.prepare import Preparation
    from orchestrator.cli.saving import save_plan
    from orchestrator.cli.scope import destination_of
    from orchestrator.cli.show import show_parts, show_plan, show_unplanned
    from orchestrator.errors import ConfigurationError, UsageError
    from orchestrator.plan.model import Action, Destination
    from orchestrator.ui.text import print_note

    options = make_plan_options(values)
    project = make_project_options(values)
    if out is not None and project.offline:
        message = "`--out` and `--offline` exclude each other: what is not known cannot be frozen"
        raise UsageError(message, hints=("leave `--offline` out",))
    preparation = Preparation(project, os.environ)
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
    if split:
        show_parts(prepared.plan)
    else:
        show_plan(prepared, preparation.findings, style=style, verbose=verbose, jobs=jobs, since=preparation.since)
    if prepared.plan.blocked:
        if out is not None:
            print_note("nothing was saved: the plan is blocked")
        return 3
    if out is not None:
        digest = save_plan(prepared, preparation.findings, project, os.environ, out)
        print_note(f"saved: {out}, apply it with `orchestrate apply {shlex.quote(str(out))} --expect {digest}`")
    changes = any(image.action is not Action.REUSE for image in prepared.plan.images)
    return _CHANGES if detailed_exitcode and changes else 0
