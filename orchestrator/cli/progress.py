"""Shows a run while it lasts, and keeps what its steps print."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final, Literal, Protocol

from orchestrator.api.events import Event
from orchestrator.api.invocation import StepId
from orchestrator.state.logs import StepLogs
from orchestrator.state.summary import RunResult
from orchestrator.ui.jsonl import JsonProgress
from orchestrator.ui.plain import PlainProgress
from orchestrator.ui.text import colour_for, print_line, print_note, printable, printable_log
from orchestrator.ui.ticker import Ticker
from orchestrator.ui.workflow import is_workflow

Mode = Literal["tty", "plain", "json", "github"]

_SECOND: Final = 1.0
_WORKSPACE: Final = "GITHUB_WORKSPACE"
_SUMMARY: Final = "GITHUB_STEP_SUMMARY"


class _Progress(Protocol):
    """One way to show a run."""

    def __call__(self, event: Event) -> None:
        """Take an event."""

    def tick(self) -> None:
        """Time has passed."""

    def close(self) -> None:
        """The run is over."""


class Following:
    """Takes the events of a run, for all who look at it while it lasts."""

    def __init__(self, logs: StepLogs, progress: _Progress, mode: Mode) -> None:
        self._logs = logs
        self._progress = progress
        self.mode = mode

    def __call__(self, event: Event) -> None:
        """Take an event."""
        self._logs(event)
        self._progress(event)

    @property
    def logs(self) -> Mapping[StepId, str]:
        """The files of what steps printed."""
        return self._logs.paths


def choose_mode(asked: str, environment: Mapping[str, str], *, is_terminal: bool) -> Mode:
    """What is asked for, or what fits."""
    match asked:
        case "tty" | "plain" | "json" | "github":
            return asked
        case _ if is_workflow(environment):
            return "github"
        case _ if is_terminal and environment.get("TERM", "dumb") != "dumb" and not environment.get("CI"):
            return "tty"
        case _:
            return "plain"


@contextmanager
def follow_run(root: Path, asked: str, environment: Mapping[str, str], *, verbose: bool) -> Iterator[Following]:
    """Show the run of a project from its first event on; when it is left, however it is, the terminal is as before."""
    mode = choose_mode(asked, environment, is_terminal=sys.stderr is not None and sys.stderr.isatty())
    progress, period = _make(mode, root, environment, verbose=verbose)
    with ExitStack() as stack:
        logs = stack.enter_context(StepLogs(root, printable, printable_log))
        stack.callback(_close, progress, logs)
        stack.enter_context(Ticker(progress.tick, period=period))
        yield Following(logs, progress, mode)


def write_job_summary(result: RunResult, hints: tuple[str, ...], environment: Mapping[str, str]) -> None:
    """Add the result to the summary of the job; a file that the runner gave and that takes nothing is no error."""
    from orchestrator.ui.summary import render_job_summary

    path = environment.get(_SUMMARY)
    if not path:
        return
    try:
        with Path(path).open("a", encoding="utf-8", errors="replace") as file:
            file.write(render_job_summary(result, hints))
    except OSError as error:
        print_note(f"the summary of the job was not written: {(error.strerror or str(error)).lower()}")


def _make(mode: Mode, root: Path, environment: Mapping[str, str], *, verbose: bool) -> tuple[_Progress, float]:
    """The way to show it, and how often it has to be told that time passes."""
    match mode:
        case "tty":
            from orchestrator.ui.tty import PERIOD, TtyProgress

            colour = colour_for(sys.stderr, environment)
            return TtyProgress(sys.stderr, verbose=verbose, colour=colour, clock=time.time), PERIOD
        case "json":
            return JsonProgress(print_line), _SECOND
        case "github":
            from orchestrator.ui.github import GithubProgress

            folder = folder_in(environment.get(_WORKSPACE, ""), root)
            return GithubProgress(print_line, verbose=verbose, clock=time.time, folder=folder), _SECOND
        case "plain":
            return PlainProgress(print_note, verbose=verbose, clock=time.time), _SECOND


def folder_in(workspace: str, root: Path) -> str:
    """The project's folder with a slash at its end, from the checkout, from which annotations name files."""
    if not workspace:
        return ""
    relative = os.path.relpath(root.resolve(), Path(workspace).resolve())
    return "" if relative == "." or relative.startswith("..") else f"{relative}/"


def _close(progress: _Progress, logs: StepLogs) -> None:
    with suppress(OSError, ValueError):  # nobody reads any more, or the stream is closed
        progress.close()
    if logs.problem is not None:
        reason = (logs.problem.strerror or str(logs.problem)).lower()
        print_note(f"what steps print is not kept: {reason}")
