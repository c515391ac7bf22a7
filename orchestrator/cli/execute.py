"""Runs a prepared plan, shows it while it runs, and writes down what it came to."""

from __future__ import annotations

import asyncio
import gc
import os
import shlex
import signal
import sys
from pathlib import Path
from typing import NamedTuple

from orchestrator.api.events import Event
from orchestrator.api.outline import TagOutline
from orchestrator.cli.homes import prepare_homes
from orchestrator.cli.prepare import Prepared
from orchestrator.cli.recheck import make_input_check
from orchestrator.cli.resume import PlanKeeper
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
)
from orchestrator.plan.estimate import expected_seconds
from orchestrator.process.environment import child_environment
from orchestrator.state.journal import Journal
from orchestrator.state.result_file import ResultFile, is_own, open_result
from orchestrator.state.summary import RunResult, continue_result, render_result, summarise_run
from orchestrator.state.workspace import open_run
from orchestrator.ui.plain import PlainProgress
from orchestrator.ui.result import render_failures, render_places, render_result_table
from orchestrator.ui.text import print_note, print_result

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
    InterruptedRunError: "no tag moves before everything is verified",
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
    with open_result(root, options.result_file) as file, open_run(root) as folder:
        if not prepared.plan.destination.uses_registry:
            prepare_homes(root, os.environ)
        if keeper:
            keeper.begin()
        kept = keeper.open_moves() if keeper else ()
        with Journal(root) as journal:
            ran = _run(prepared, folder, options, earlier, journal, kept)
        result = summarise_run(prepared.plan, ran.events, now=prepared.loaded.now.isoformat())
        if earlier is not None:
            result = continue_result(earlier, result)
        try:
            _show(result, options.style)
        finally:
            file.write(render_result(result))
        if keeper and not result.exit_code and not ran.interrupted:
            keeper.end()
    places = render_places(prepared.plan, ran.events, lambda path: shown_path(root / path))
    print_note(f"{places}result: {shown_path(file.path)}")
    promote = _promote_command(root, file)
    if ran.interrupted or result.exit_code == InterruptedRunError.exit_code:
        message = "interrupted"
        raise InterruptedRunError(message, hints=_what_now(InterruptedRunError, result, promote))
    if result.exit_code:
        _fail(result, promote)


def _run(
    prepared: Prepared,
    folder: Path,
    options: RunOptions,
    earlier: RunResult | None,
    journal: Journal,
    kept: tuple[TagOutline, ...],
) -> _Ran:
    """Run the engine in a folder of its own, and tell people what it does."""
    events: list[Event] = []
    progress = PlainProgress(print_note, verbose=options.verbose)

    def emit(event: Event) -> None:
        if keeps(event):
            events.append(event)
        journal(event)
        progress(event)

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
    return type(event).__name__ in {"RunStarted", "StepFinished", "TagPut", "RunFinished"}


def shown_path(path: Path) -> str:
    """A path as people read it: from where they stand, on a terminal; whole in logs, which are read elsewhere."""
    whole = str(Path.cwd() / path)
    terminal = sys.stderr is not None and sys.stderr.isatty()
    return min(os.path.relpath(path), whole, key=len) if terminal else whole


def _show(result: RunResult, style: str) -> None:
    if style == "json":
        print_result(render_result(result).decode())
    else:
        print_result("\n" + render_result_table(result))
    failures = render_failures(result)
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
    return (_WHAT_NOW[kind],) if kind in _WHAT_NOW else ()


def _promote_command(root: Path, file: ResultFile) -> str:
    """How to go on with this result; what went into a pipe is in a file that only the user knows."""
    if is_own(root, file.path):
        return "orchestrate promote"
    return f"orchestrate promote --result={shlex.quote(str(file.path)) if file.stays else 'FILE'}"
