"""How a plan is run, shown and written down: the options that `build` and `apply` share, and the value they become."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import click

from orchestrator.cli.options import jobs_option, result_option
from orchestrator.model import Model

_F = TypeVar("_F", bound=Callable[..., object])  # type: ignore[explicit-any]  # commands take what click gives them


class RunOptions(Model):
    """How to run, show and write down a plan.

    Args:
        jobs: how many solves at a time.
        fail_fast: whether the first failure stops the run.
        publish: what gets its tags where something has failed: `all` or nothing, or what is `finished`.
        verbose: whether to print what builds print.
        style: how the result is printed: `text` or `json`.
        result_file: where the result is written; the project's own place unless said.
    """

    jobs: int = 1
    fail_fast: bool = False
    publish: str = "all"
    verbose: bool = False
    style: str = "text"
    result_file: Path | None = None


def run_options(function: _F) -> _F:  # type: ignore[explicit-any]  # as above
    """Add the options of `RunOptions`."""
    for option in reversed(_RUN):
        function = option(function)
    return function


_RUN = (
    jobs_option,
    click.option(
        "--keep-going/--fail-fast",
        "keep_going",
        default=True,
        help="After a failure: finish all that does not need what failed (unless said), or stop.",
    ),
    click.option(
        "--publish",
        type=click.Choice(("all", "finished")),
        default="all",
        show_default=True,
        help="After a failure put no tag at all, or those of the images that are whole and verified.",
    ),
    click.option("-v", "--verbose", is_flag=True, help="Print what the builds print."),
    click.option(
        "--format", "style", type=click.Choice(("text", "json")), default="text", help="How to print the result."
    ),
    result_option("Where to write the result; .orchestrate/result.json unless said."),
)


def make_run_options(values: Mapping[str, object]) -> RunOptions:
    """The options of a command's keyword arguments."""
    jobs, result_file = values["jobs"], values["result_file"]
    return RunOptions(
        jobs=jobs if isinstance(jobs, int) else 1,
        fail_fast=values["keep_going"] is False,
        publish=str(values["publish"]),
        verbose=values["verbose"] is True,
        style=str(values["style"]),
        result_file=result_file if isinstance(result_file, Path) else None,
    )
