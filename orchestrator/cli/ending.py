"""What a run that is over tells people, writes down, and ends with: one exit code, in all of them the same."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from orchestrator.api.events import Event, StepFinished, StepState
from orchestrator.cli.again import alone_commands
from orchestrator.cli.prepare import Prepared
from orchestrator.cli.progress import Following, write_job_summary
from orchestrator.cli.reporting import write_report
from orchestrator.cli.resume import PlanKeeper
from orchestrator.cli.rollback import find_open_moves
from orchestrator.cli.run_options import RunOptions
from orchestrator.engine.jobs import Publish
from orchestrator.errors import (
    BuildError,
    InterruptedRunError,
    OrchestratorError,
    PlanBlockedError,
    RegistryError,
    TestFailedError,
    UsageError,
    VerificationError,
    disk_error,
)
from orchestrator.state.journal import FILE, Journal
from orchestrator.state.result_file import ResultFile, is_own
from orchestrator.state.summary import (
    RunResult,
    continue_result,
    moved_tags,
    render_result,
    summarise_run,
    tell_more,
    unsure_tags,
)
from orchestrator.state.workspace import NAME
from orchestrator.ui.result import render_failures, render_places, render_result_table
from orchestrator.ui.text import print_note, print_result
from orchestrator.ui.workflow import inert_json, is_workflow

_ERRORS: tuple[type[OrchestratorError], ...] = (
    BuildError,
    RegistryError,
    VerificationError,
    TestFailedError,
    PlanBlockedError,
    UsageError,
    InterruptedRunError,
)
_WHAT_NOW = {
    BuildError: "mend what failed and run it again",
    RegistryError: "check the registry with `orchestrate doctor`, then run it again",
    TestFailedError: "mend the image or its test and run it again: what was built is not built again",
    VerificationError: "look at the image with `orchestrate verify`",
    InterruptedRunError: "the same command with `--resume` goes on",
}
_ASKS_FOR_TAGS = frozenset({TestFailedError, VerificationError})
"""After which people ask first whether it is public."""


class Ran(NamedTuple):
    """What happened, as far as the summary is made of it.

    `error` is what ended the run where no step did, and `left` what could not be taken down after it.
    """

    events: tuple[Event, ...]
    error: Exception | None = None
    left: tuple[str, ...] = ()

    @property
    def first(self) -> str | None:
        """The step that failed first, which the exit code is of."""
        failed = (event for event in self.events if isinstance(event, StepFinished) and event.state is StepState.FAILED)
        return next((event.step for event in failed), None)


class Run(NamedTuple):
    """What was run, and all that took part in it."""

    prepared: Prepared
    options: RunOptions
    file: ResultFile
    journal: Journal
    following: Following
    earlier: RunResult | None
    keeper: PlanKeeper | None


def conclude(run: Run, ran: Ran) -> None:
    """Tell what a run came to, and write it down; what cannot be written keeps nothing else from being.

    Raises:
        OrchestratorError: the class of the first failure, or that something could not be written.
        Exception: a bug that ended the run.
    """
    root = run.prepared.loaded.root
    result = _summarise(run, ran)
    error = _error(run, ran, result)
    hints = error.hints if isinstance(error, OrchestratorError) else ()
    if run.keeper and not result.exit_code:
        _forget(run.keeper)
    unwritten: list[UsageError] = []
    if run.journal.problem is not None:
        unwritten.append(_name(run.journal.problem, f"{NAME}/{FILE}"))
    report = _report(root, run.options.report_file, unwritten)
    result = _decide(result, unwritten)
    if run.following.mode == "github":
        write_job_summary(result, hints, os.environ)
    try:
        _show(result, run.options.style, lambda path: shown_path(root / path))
    except UsageError as problem:
        unwritten.append(problem)
    is_kept = write_down(run.file, _decide(result, unwritten), unwritten)
    places = render_places(run.prepared.plan, ran.events, lambda path: shown_path(root / path))
    lines = [*ran.left, *places.splitlines()]
    lines += [f"result: {shown_path(run.file.path)}"] if is_kept else []
    lines += [f"report: {shown_path(report)}"] if report else []
    lines += [f"done, but not written down: {problem.message}" for problem in unwritten]
    if lines:
        print_note("\n".join(lines))
    if error is not None:
        raise error
    if unwritten:
        raise unwritten[0]


def write_down(file: ResultFile, result: RunResult, unwritten: list[UsageError]) -> bool:
    """Write the result; where the disk takes none, that of an earlier run is not left to be read in its place."""
    try:
        file.write(render_result(result))
    except UsageError as error:
        if file.stays:
            with suppress(OSError):
                file.path.unlink()
        unwritten.append(error)
        return False
    return True


def shown_path(path: Path) -> str:
    """A path as people read it: from where they stand, on a terminal; whole in logs, which are read elsewhere."""
    whole = str(Path.cwd() / path)
    terminal = sys.stderr is not None and sys.stderr.isatty()
    return min(os.path.relpath(path), whole, key=len) if terminal else whole


def _summarise(run: Run, ran: Ran) -> RunResult:
    prepared = run.prepared
    result = summarise_run(prepared.plan, ran.events, now=prepared.loaded.now.isoformat())
    if isinstance(ran.error, OrchestratorError):
        result = replace(result, exit_code=ran.error.exit_code)
    if run.earlier is not None:
        result = continue_result(run.earlier, result)
    failed = [failure.step for failure in result.failures]
    commands = alone_commands(prepared.plan, run.options.project, failed, scope=prepared.facts.state.scope)
    return tell_more(result, commands=commands, logs=run.following.logs)


def _decide(result: RunResult, unwritten: Sequence[UsageError]) -> RunResult:
    """The result with the exit code of the command: that of the run, unless all went well but the writing down."""
    if result.exit_code or not unwritten:
        return result
    return replace(result, exit_code=unwritten[0].exit_code)


def _forget(keeper: PlanKeeper) -> None:
    """The run ended well, which it has also done where its plan cannot be removed: it finds nothing left to do."""
    try:
        keeper.end()
    except OSError as error:
        print_note(f"the plan of this run is kept, though nothing of it is left to do: {disk_error(error).message}")


def _report(root: Path, asked: Path | None, unwritten: list[UsageError]) -> Path | None:
    if asked is None:
        return None
    try:
        return write_report(root, asked)
    except UsageError as error:
        unwritten.append(error)
        return None


def _name(error: OSError, path: str) -> UsageError:
    return disk_error(OSError(error.errno, error.strerror or str(error), path))


def _show(result: RunResult, style: str, show: Callable[[str], str]) -> None:
    """Print the result; what failed is told though nobody takes that.

    Raises:
        UsageError: it cannot be written.
    """
    try:
        if style == "json":
            text = render_result(result).decode()
            print_result(inert_json(text) if is_workflow(os.environ) else text)
        else:
            print_result("\n" + render_result_table(result))
    finally:
        failures = render_failures(result, show)
        if failures:
            print_note(failures)


def _error(run: Run, ran: Ran, result: RunResult) -> Exception | None:
    """What the command ends with: code, message and hints are of one failure, the first in time."""
    if ran.error is not None and not isinstance(ran.error, InterruptedRunError):
        return ran.error
    if not result.exit_code:
        return None
    kind = next((error for error in _ERRORS if error.exit_code == result.exit_code), OrchestratorError)
    hints = what_now(kind, result, run.options.publish, promote=_promote_command(run), undoes=_undoes(run, result))
    if kind is InterruptedRunError:
        return InterruptedRunError("interrupted", hints=hints)
    message = f"step `{ran.first}` failed" if ran.first else "the run failed"
    more = f", and {len(result.failures) - 1} more" if len(result.failures) > 1 else ""
    return kind(message + more, hints=hints)


def what_now(
    kind: type[OrchestratorError], result: RunResult, publish: str, *, promote: str, undoes: bool
) -> tuple[str, ...]:
    """What to do after a run that did not end well; where only tags are missing, nothing has to be built again.

    Args:
        kind: of the first failure.
        result: what the run came to.
        publish: what was to be tagged after a failure.
        promote: the command that puts the tags of this result.
        undoes: whether a rollback has tags to put back.
    """
    undoing = ("`orchestrate build --rollback` undoes those that were put",) if undoes else ()
    if result.destination == "push" and all(image.digest for image in result.images):
        look = ("check the registry with `orchestrate doctor`",) if kind is RegistryError else ()
        return (*look, f"`{promote}` puts the tags that are missing, on what was verified", *undoing)
    if kind is BuildError and all(failure.hints for failure in result.failures):
        return undoing  # a lost node is nothing that anybody could mend, and has said what to do
    hint = _WHAT_NOW.get(kind, "")
    if kind in _ASKS_FOR_TAGS and not (moved_tags(result) or unsure_tags(result)):
        hint = f"no tag was put; {hint}"
    if kind is InterruptedRunError and publish == Publish.ALL.value:
        hint += "; no tag moves before everything is verified"
    return (*((hint,) if hint else ()), *undoing)


def _undoes(run: Run, result: RunResult) -> bool:
    """Whether a rollback finds something of this release: a tag that was moved, by this run or an earlier try."""
    touched = {*moved_tags(result), *unsure_tags(result)}
    if not touched:
        return False
    moves = find_open_moves(run.prepared.loaded.root)
    return any(move.reference in touched and move.before != move.after for move in moves)


def _promote_command(run: Run) -> str:
    """How to go on with this result; what went into a pipe is in a file that only the user knows."""
    file = run.file
    if is_own(run.prepared.loaded.root, file.path):
        return "orchestrate promote"
    return f"orchestrate promote --result={shlex.quote(str(file.path)) if file.stays else 'FILE'}"
