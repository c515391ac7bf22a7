"""`orchestrate promote`: the last step alone."""

from __future__ import annotations

import os
from pathlib import Path

import click

from orchestrator.cli.options import make_project_options, progress_option, project_options, result_option


@click.command(name="promote")
@project_options
@result_option("The result of `build --stage`; .orchestrate/result.json unless said.")
@click.option("--replace-tags", is_flag=True, help="Replace fixed tags that exist with another digest.")
@click.option("--allow-downgrade", is_flag=True, help="Let moving tags go to a lower version.")
@progress_option
@click.option("--format", "style", type=click.Choice(("text", "json")), default="text", help="How to print the result.")
def command(
    *, result_file: Path | None, replace_tags: bool, allow_downgrade: bool, style: str, progress: str, **values: object
) -> None:
    """Put the tags of what `build --stage` left under private names.

    The images are verified once more; versions and times are those of the staged run.
    """
    from orchestrator.cli.execute import execute
    from orchestrator.cli.load import find_root
    from orchestrator.cli.options import PlanOptions
    from orchestrator.cli.prepare import Preparation
    from orchestrator.cli.resume import Begins, PlanKeeper
    from orchestrator.cli.run_options import RunOptions
    from orchestrator.cli.runnable import check_blocked
    from orchestrator.cli.staged import (
        check_declared,
        check_unchanged,
        later_steps,
        read_staged,
        staged_digests,
        staged_now,
    )
    from orchestrator.plan.model import Destination

    project = make_project_options(values)
    staged = read_staged(find_root(project), result_file)
    preparation = Preparation(project, os.environ, now=staged_now(staged))
    loaded = preparation.load()
    check_declared(staged, frozenset(image.name for image in loaded.expansion.images))
    options = PlanOptions(
        names=tuple(image.name for image in staged.images),
        no_deps=True,
        push=True,
        replace_tags=replace_tags,
        allow_downgrade=allow_downgrade,
    )
    prepared = preparation.plan(loaded, options, destination=Destination.PUSH, released=staged_digests(staged))
    check_unchanged(staged, prepared.plan)
    check_blocked(prepared, preparation.findings)
    left = later_steps(prepared)
    execute(
        left,
        RunOptions(style=style, result_file=result_file, progress=progress, project=project),
        earlier=staged,
        keeper=PlanKeeper(loaded.root, left.plan, Begins.STAGED),
    )
