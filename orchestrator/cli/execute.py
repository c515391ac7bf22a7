"""Runs a prepared plan, shows it while it runs, and writes down what it came to."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import signal
import sys
from pathlib import Path

from orchestrator.api.events import Event
from orchestrator.cli.prepare import Prepared
from orchestrator.cli.staged import staged_results
from orchestrator.cli.wiring import RealChildren, real_stores
from orchestrator.engine.run import Engine, Work
from orchestrator.engine.summary import RunResult, continue_result, render_result, summarise_run
from orchestrator.errors import (
    BuildError,
    InterruptedRunError,
    OrchestratorError,
    PlanBlockedError,
    RegistryError,
    UsageError,
    VerificationError,
    disk_error,
)
from orchestrator.process.environment import child_environment
from orchestrator.state.workspace import open_run
from orchestrator.ui.plain import PlainProgress
from orchestrator.ui.result import render_failures, render_result_table
from orchestrator.ui.text import print_note, print_result

_ERRORS: tuple[type[OrchestratorError], ...] = (
    BuildError,
    RegistryError,
    VerificationError,
    PlanBlockedError,
    UsageError,
    InterruptedRunError,
)
_WHAT_NOW = {
    BuildError: "mend what failed and run it again",
    RegistryError: "check the registry with `orchestrate doctor`, then run it again",
    VerificationError: "nothing was tagged; look at the image with `orchestrate verify`",
    InterruptedRunError: "no tag moves before everything is verified",
}


def execute(
    prepared: Prepared,
    *,
    jobs: int,
    verbose: bool,
    style: str,
    result_file: Path,
    earlier: RunResult | None = None,
) -> None:
    """Run the plan; `earlier` is the result of the run that this one goes on with.

    Raises:
        OrchestratorError: the class of the first failure; what failed was printed before.
    """
    events: list[Event] = []
    progress = PlainProgress(print_note, verbose=verbose)

    def emit(event: Event) -> None:
        if keeps(event):
            events.append(event)
        progress(event)

    interrupted = False
    gc.enable()  # off while planning; a build lasts
    gc.freeze()
    environment = child_environment(os.environ)
    check_writable(result_file)
    with open_run(prepared.loaded.root) as folder, real_stores(os.environ) as stores:
        engine = Engine(
            Work(
                plan=prepared.plan,
                lowered=prepared.lowered,
                backends=prepared.backends,
                nodes=prepared.nodes,
                jobs=jobs,
            ),
            root=prepared.loaded.root,
            environment=environment,
            stores=stores,
            children=RealChildren(),
            emit=emit,
        )
        if earlier is not None:
            engine.remember(staged_results(earlier))
        try:
            asyncio.run(_stoppable(engine, folder))
        except (KeyboardInterrupt, asyncio.CancelledError):
            interrupted = True
    result = summarise_run(prepared.plan, events, now=prepared.now.isoformat())
    if earlier is not None:
        result = continue_result(earlier, result)
    try:
        _show(result, style)
    finally:
        write_result(result_file, result)
    print_note(f"result: {os.path.relpath(result_file) if sys.stderr.isatty() else result_file}")
    if interrupted or result.exit_code == InterruptedRunError.exit_code:
        message = "interrupted"
        raise InterruptedRunError(message, hints=_what_now(InterruptedRunError, result, result_file))
    if result.exit_code:
        _fail(result, result_file)


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


def check_writable(path: Path) -> None:
    """Find out before anything is built whether the result can be written.

    Raises:
        UsageError: it cannot.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not os.access(path if path.exists() else path.parent, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    except OSError as error:
        raise disk_error(error) from error


def write_result(path: Path, result: RunResult) -> None:
    """Write `result.json`, whole or not at all; a pipe or a device is written to, not replaced.

    Raises:
        UsageError: it cannot be written, though it could before the run.
    """
    target = Path(os.path.realpath(path))
    try:
        if target.exists() and not target.is_file():
            target.write_bytes(render_result(result))
            return
        scratch = target.with_name(f".{target.name}.{os.getpid()}")
        scratch.write_bytes(render_result(result))
        scratch.replace(target)
    except OSError as error:
        raise disk_error(error) from error


def _show(result: RunResult, style: str) -> None:
    if style == "json":
        print_result(render_result(result).decode())
    else:
        print_result("\n" + render_result_table(result))
    failures = render_failures(result)
    if failures:
        print_note(failures)


def _fail(result: RunResult, result_file: Path) -> None:
    kind = next((error for error in _ERRORS if error.exit_code == result.exit_code), OrchestratorError)
    first = result.failures[0] if result.failures else None
    message = f"step `{first.step}` failed" if first else "the run failed"
    more = f", and {len(result.failures) - 1} more" if len(result.failures) > 1 else ""
    raise kind(message + more, hints=_what_now(kind, result, result_file))


def _what_now(kind: type[OrchestratorError], result: RunResult, result_file: Path) -> tuple[str, ...]:
    """What to do after a run that did not end well; where only tags are missing, nothing has to be built again."""
    if result.destination == "push" and all(image.digest for image in result.images):
        file = "" if result_file.parts[-2:] == (".orchestrate", "result.json") else f" --result={result_file}"
        look = ("check the registry with `orchestrate doctor`",) if kind is RegistryError else ()
        return (*look, f"`orchestrate promote{file}` puts the tags that are missing, on what was verified")
    return (_WHAT_NOW[kind],) if kind in _WHAT_NOW else ()
