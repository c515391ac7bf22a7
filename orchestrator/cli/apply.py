"""`orchestrate apply`: does what a saved plan says, or says what has changed since."""

from __future__ import annotations

import os
from pathlib import Path

import click

from orchestrator.cli.options import make_project_options, project_options
from orchestrator.cli.run_options import make_run_options, run_options


@click.command(name="apply")
@click.argument("plan_file", metavar="[PLAN]", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.argument("folders", metavar="[DIR]...", nargs=-1, type=click.Path(path_type=Path))
@click.option("--expect", metavar="DIGEST", help="Only the plan with this digest, which then vouches for all it says.")
@click.option(
    "--only",
    multiple=True,
    metavar="PATTERN",
    help="Do a part: 'api@linux/arm64', linux/arm64, api; repeatable. Builds and records it, and tags nothing.",
)
@click.option("--finish", is_flag=True, help="Build nothing: gather what parts built, assemble, verify and tag it.")
@click.option("--wait", metavar="TIME", help="Wait so long for what other parts build, such as 30m.")
@click.option(
    "--node",
    "bindings",
    multiple=True,
    metavar="NAME=BUILDER",
    help="Which builder here does what the plan has for node NAME; any that can, unless said.",
)
@click.option(
    "--resume",
    is_flag=True,
    help="Go on with the run that was cut off here, whatever plan that was; apply PLAN where there is none.",
)
@click.option("--allow-moved-tags", is_flag=True, help="Go on though tags point elsewhere than when it was planned.")
@click.option("--replace-tags", is_flag=True, help="Replace fixed tags that exist with another digest.")
@click.option("--allow-downgrade", is_flag=True, help="Let moving tags go to a lower version.")
@project_options
@run_options
def command(  # noqa: PLR0913 (one argument an option)
    *,
    plan_file: Path | None,
    folders: tuple[Path, ...],
    expect: str | None,
    only: tuple[str, ...],
    finish: bool,
    wait: str | None,
    bindings: tuple[str, ...],
    resume: bool,
    allow_moved_tags: bool,
    replace_tags: bool,
    allow_downgrade: bool,
    **values: object,
) -> None:
    """Do what a plan says that `plan --out` saved: here, on another machine, or in parts.

    Before anything is done, all that the plan was made from is looked at again: contexts, builds.toml, builds.lock,
    what is taken over, what tags point at. Where something has changed it is named, and nothing is done.

    An apply that was cut off goes on when it is started again: what stands is not built again, and tags that it has put
    are its own. With --finish, DIR are folders with the results of parts.
    """
    from msgspec.structs import replace

    from orchestrator.cli.again import as_planned
    from orchestrator.cli.applying import Permissions, revive
    from orchestrator.cli.execute import execute
    from orchestrator.cli.findings import Findings
    from orchestrator.cli.load import find_root
    from orchestrator.cli.parts import PartRequest, choose_part
    from orchestrator.cli.resume import Begins, PlanKeeper, find_begun
    from orchestrator.cli.runnable import check_blocked, check_runnable
    from orchestrator.cli.saving import read_expected
    from orchestrator.errors import UsageError
    from orchestrator.plan.saved import render_saved
    from orchestrator.ui.text import print_note

    options = make_project_options(values)
    if options.offline:
        message = "`apply` looks at everything again, and `--offline` asks nobody"
        raise UsageError(message, hints=("leave `--offline` out",))
    request = PartRequest.of(only=only, finish=finish, wait=wait, folders=folders, bindings=bindings)
    if resume and not request.is_whole:
        message = "a run that was cut off is gone on with as a whole, not in parts"
        raise UsageError(message, hints=("start the part again without `--resume`: what stands is not built again",))
    begun = find_begun(find_root(options)) if resume else None
    saved = begun or read_expected(plan_file, expect)
    permissions = Permissions(
        vouched=expect is not None,
        moved_tags=allow_moved_tags,
        replace_tags=replace_tags,
        allow_downgrade=allow_downgrade,
    )
    findings = Findings()
    revived = revive(saved, options, os.environ, permissions, findings)
    check_blocked(revived.prepared, findings)
    prepared = choose_part(revived, request, os.environ)
    check_runnable(prepared, findings, os.environ)
    if findings.all:
        print_note(findings.render())
    whole = begun is None and request.is_whole
    content = render_saved(saved)[1] if whole else None
    begins = Begins.RESUMED if begun else Begins.ANEW
    keeper = PlanKeeper(prepared.loaded.root, prepared.plan, begins, content)
    run = make_run_options(values)
    if permissions.vouched:  # what the plan was made with need not be said here, but where its parts are run alone
        run = replace(run, project=as_planned(options, saved.frozen.overrides, prepared.loaded.project.vars))
    execute(prepared, run, keeper=keeper if whole or begun else None)
