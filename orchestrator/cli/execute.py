"""Runs a prepared plan, and shows it while it runs; what it came to is `cli.ending`'s to tell."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from collections.abc import Callable
from pathlib import Path

from orchestrator.api.events import Event, RunFinished
from orchestrator.api.outline import TagOutline
from orchestrator.cli.ending import Ran, Run, conclude
from orchestrator.cli.homes import prepare_homes
from orchestrator.cli.prepare import Prepared
from orchestrator.cli.progress import follow_run
from orchestrator.cli.recheck import make_input_check
from orchestrator.cli.reporting import check_report
from orchestrator.cli.resume import PlanKeeper
from orchestrator.cli.rollback import find_open_moves, tell_open
from orchestrator.cli.run_options import RunOptions
from orchestrator.cli.staged import staged_results
from orchestrator.cli.wiring import RealChildren, real_stores
from orchestrator.engine.jobs import Publish
from orchestrator.engine.run import Engine, Work
from orchestrator.errors import InterruptedRunError
from orchestrator.plan.estimate import expected_seconds
from orchestrator.process.environment import child_environment
from orchestrator.process.orphans import end_orphans
from orchestrator.state.journal import Journal
from orchestrator.state.result_file import open_result
from orchestrator.state.summary import RunResult
from orchestrator.state.workspace import open_run


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
        conclude(Run(prepared, options, file, journal, following, earlier, keeper), ran)


def _run(
    prepared: Prepared,
    folder: Path,
    options: RunOptions,
    earlier: RunResult | None,
    readers: tuple[Callable[[Event], None], ...],
    kept: tuple[TagOutline, ...],
) -> Ran:
    """Run the engine in a folder of its own, and tell people what it does."""
    events: list[Event] = []

    def emit(event: Event) -> None:
        if keeps(event):
            events.append(event)
        for read in readers:
            read(event)

    gc.enable()  # off while planning; a build lasts
    gc.freeze()
    root = prepared.loaded.root
    error: Exception | None = None
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
            if not any(isinstance(event, RunFinished) for event in events):
                error = InterruptedRunError("interrupted")
        except Exception as failure:  # noqa: BLE001 (raised again as it is, once what was done is written down)
            error = failure
    return Ran(events=tuple(events), error=error, left=engine.left)


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
    return type(event).__name__ in {"RunStarted", "StepFinished", "FailedAt", "TagsKept", "TagPut", "RunFinished"}
