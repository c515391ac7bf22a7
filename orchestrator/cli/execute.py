"""Runs a prepared plan, shows it while it runs, and writes down what it came to."""

from __future__ import annotations

import asyncio
import gc
import os
import shlex
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from orchestrator.api.events import Event
from orchestrator.api.outline import TagOutline
from orchestrator.cli.again import alone_commands
from orchestrator.cli.homes import prepare_homes
from orchestrator.cli.prepare import Prepared
from orchestrator.cli.progress import follow_run, write_job_summary
from orchestrator.cli.recheck import make_input_check
from orchestrator.cli.reporting import check_report, write_report
from orchestrator.cli.resume import PlanKeeper
from orchestrator.cli.rollback import find_open_moves, tell_open
from orchestrator.cli.run_options import RunOptions
from orchestrator.cli.staged import staged_results
from orchestrator.cli.wiring import RealChildren, real_stores
from orchestrator.engine.jobs import Publish
from orchestrator.engine.run import Engine, Work
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
from orchestrator.plan.estimate import expected_seconds
from orchestrator.process.environment import child_environment
from orchestrator.process.orphans import end_orphans
from orchestrator.state.journal import Journal
from orchestrator.state.result_file import ResultFile, is_own, open_result
from orchestrator.state.summary import RunResult, continue_result, render_result, summarise_run, tell_more
from orchestrator.state.workspace import open_run
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
    TestFailedError: "no tag was put; mend the image or its test and run it again: what was built is not built again",
    VerificationError: "nothing was tagged; look at the image with `orchestrate verify`",
    InterruptedRunError: "the same command with `--resume` goes on; no tag moves before everything is verified",
}


class _Ran(NamedTuple):
    """What happened, as far as the summary is made of it."""

    events: tuple[Event, ...]
    interrupted: bool


def execute(
    prepared: Prepared, options: RunOptions, *, earlier: RunResult | None = None, keeper: PlanKeeper | None = None
) -> None:
    """Run the plan; `earlier` is the result of the run that this one promotes, `keeper` keeps the plan meanwhile.

    Raises:
        OrchestratorError: the class of the first failure; what failed was printed before.
    """
    root = prepared.loaded.root
    check_report(options.report_file)
    with open_result(root, options.result_file) as file, open_run(root) as folder:
        end_orphans(root, folder)
        if not prepared.plan.destination.uses_registry:
            prepare_homes(root, os.environ)
        kept = find_open_moves(root)
        if keeper:
            keeper.begin(kept)
        tell_open(root, prepared.plan, kept)
        with (
            Journal(root) as journal,
            follow_run(root, options.progress, os.environ, verbose=options.verbose) as following,
        ):
            ran = _run(prepared, folder, options, earlier, (journal, following), kept)
        result = summarise_run(prepared.plan, ran.events, now=prepared.loaded.now.isoformat())
        if earlier is not None:
            result = continue_result(earlier, result)
        commands = alone_commands(prepared.plan, options.project, [failure.step for failure in result.failures])
        result = tell_more(result, commands=commands, logs=following.logs)
        if following.mode == "github":
            write_job_summary(result, os.environ)
        try:
            _show(result, options.style, lambda path: shown_path(root / path))
        finally:
            unwritten = _write_down(file, result) or journal.problem
        if keeper and not result.exit_code and not ran.interrupted:
            keeper.end()
        report = write_report(root, options.report_file) if options.report_file else None
    places = render_places(prepared.plan, ran.events, lambda path: shown_path(root / path))
    shown = f"\nreport: {shown_path(report)}" if report else ""
    print_note(f"{places}result: {shown_path(file.path)}{shown}")
    promote = _promote_command(root, file)
    if ran.interrupted or result.exit_code == InterruptedRunError.exit_code:
        message = "interrupted"
        raise InterruptedRunError(message, hints=_what_now(InterruptedRunError, result, promote))
    if result.exit_code:
        _fail(result, promote)
    if unwritten:
        raise disk_error(unwritten)


def _write_down(file: ResultFile, result: RunResult) -> OSError | None:
    """Write the result; where the disk takes none, that of an earlier run is not left to be read in its place."""
    try:
        file.write(render_result(result))
    except OSError as error:
        if file.stays:
            with suppress(OSError):
                file.path.unlink()
        reason = (error.strerror or str(error)).lower()
        print_note(f"what is said above was done, but could not be written into `{file.path}`: {reason}")
        return error
    return None


def _run(
    prepared: Prepared,
    folder: Path,
    options: RunOptions,
    earlier: RunResult | None,
    readers: tuple[Callable[[Event], None], ...],
    kept: tuple[TagOutline, ...],
) -> _Ran:
    """Run the engine in a folder of its own, and tell people what it does."""
    events: list[Event] = []

    def emit(event: Event) -> None:
        if keeps(event):
            events.append(event)
        for read in readers:
            read(event)

    interrupted = False
    gc.enable()  # off while planning; a build lasts
    gc.freeze()
    root = prepared.loaded.root
    with real_stores(os.environ, root=root) as stores:
        engine = Engine(
            Work(
                plan=prepared.plan,
                lowered=prepared.lowered,
                backends=prepared.backends,
                nodes=prepared.nodes,
                jobs=options.jobs,
                listings=prepared.listings,
                seconds=expected_seconds(prepared.plan, prepared.facts.past),
                fail_fast=options.fail_fast,
                publish=Publish(options.publish),
                kept=kept,
                check=make_input_check(prepared),
            ),
            root=root,
            environment=child_environment(os.environ),
            stores=stores,
            children=RealChildren(os.environ, root=root),
            emit=emit,
        )
        if earlier is not None:
            engine.remember(staged_results(earlier))
        try:
            asyncio.run(_stoppable(engine, folder))
        except (KeyboardInterrupt, asyncio.CancelledError):
            interrupted = True
    return _Ran(events=tuple(events), interrupted=interrupted)


async def _stoppable(engine: Engine, folder: Path) -> None:
    """Run the engine; Ctrl-C, SIGTERM by which CI cancels, and SIGHUP of a closed terminal stop it in order."""
    work = asyncio.ensure_future(engine.run(folder))

    def stop() -> None:
        """At the first signal the run stops; at another, what is still stopping is not waited for any longer."""
        if work.cancelling():
            for task in asyncio.all_tasks() - {waiting, work} if not work.done() else ():
                task.cancel()
        work.cancel()

    waiting = asyncio.current_task()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # `nohup` and shells that start something in the background have them ignored, and that stays
        if signal.getsignal(number) is not signal.SIG_IGN:
            asyncio.get_running_loop().add_signal_handler(number, stop)
    await work


def keeps(event: Event) -> bool:
    """Whether the summary is made from this event; what builds print is not kept in memory."""
    return type(event).__name__ in {"RunStarted", "StepFinished", "FailedAt", "TagPut", "RunFinished"}


def shown_path(path: Path) -> str:
    """A path as people read it: from where they stand, on a terminal; whole in logs, which are read elsewhere."""
    whole = str(Path.cwd() / path)
    terminal = sys.stderr is not None and sys.stderr.isatty()
    return min(os.path.relpath(path), whole, key=len) if terminal else whole


def _show(result: RunResult, style: str, show: Callable[[str], str]) -> None:
    if style == "json":
        text = render_result(result).decode()
        print_result(inert_json(text) if is_workflow(os.environ) else text)
    else:
        print_result("\n" + render_result_table(result))
    failures = render_failures(result, show)
    if failures:
        print_note(failures)


def _fail(result: RunResult, promote: str) -> None:
    kind = next((error for error in _ERRORS if error.exit_code == result.exit_code), OrchestratorError)
    first = result.failures[0] if result.failures else None
    message = f"step `{first.step}` failed" if first else "the run failed"
    more = f", and {len(result.failures) - 1} more" if len(result.failures) > 1 else ""
    raise kind(message + more, hints=_what_now(kind, result, promote))


def _what_now(kind: type[OrchestratorError], result: RunResult, promote: str) -> tuple[str, ...]:
    """What to do after a run that did not end well; where only tags are missing, nothing has to be built again."""
    if result.destination == "push" and all(image.digest for image in result.images):
        look = ("check the registry with `orchestrate doctor`",) if kind is RegistryError else ()
        undo = any(tag.put and tag.previous != image.digest for image in result.images for tag in image.tags)
        undoing = ("`orchestrate build --rollback` undoes those that were put",) if undo else ()
        return (*look, f"`{promote}` puts the tags that are missing, on what was verified", *undoing)
    if kind is BuildError and any(failure.hints for failure in result.failures):
        return ()  # a lost node is nothing that anybody could mend, and has said what to do
    return (_WHAT_NOW[kind],) if kind in _WHAT_NOW else ()


def _promote_command(root: Path, file: ResultFile) -> str:
    """How to go on with this result; what went into a pipe is in a file that only the user knows."""
    if is_own(root, file.path):
        return "orchestrate promote"
    return f"orchestrate promote --result={shlex.quote(str(file.path)) if file.stays else 'FILE'}"
