"""Runs the steps of a plan: what is ready runs, what fails takes down only what needs it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, assert_never

from orchestrator.api.backend import FailureKind, Node
from orchestrator.api.events import RunFinished, RunStarted, StepFinished, StepStarted, StepState, TagPut
from orchestrator.api.invocation import StepId
from orchestrator.engine.actions import Actions
from orchestrator.engine.in_thread import in_thread
from orchestrator.engine.invoke import Emit, Invoker
from orchestrator.engine.load import load_image
from orchestrator.engine.nodes import Nodes
from orchestrator.engine.ports import Children, Stores
from orchestrator.engine.promote import promote
from orchestrator.engine.results import Results, StepResult
from orchestrator.engine.schedule import Schedule
from orchestrator.engine.solve import SolveFailedError, SolveWork, failed_test, run_solve
from orchestrator.engine.watch import Watch
from orchestrator.errors import InterruptedRunError, OrchestratorError, TestFailedError, disk_error
from orchestrator.model import Model
from orchestrator.oci.digest import Digest
from orchestrator.plan.context import Listing
from orchestrator.plan.estimate import emulated_platforms
from orchestrator.plan.lower import Lowered, lower_request
from orchestrator.plan.model import (
    AssembleStep,
    CopyStep,
    ExportStep,
    GateStep,
    LoadStep,
    Plan,
    PromoteStep,
    RecordStep,
    SolveStep,
    Step,
    TagMove,
    TestStep,
    VerifyStep,
)
from orchestrator.plan.outline import outline_images, outline_steps
from orchestrator.plan.place import ConfiguredBackend

_THREADS: Final = 32
_INTERRUPTED: Final = 130
_GRACE: Final = 5.0
"""Seconds that an interrupted run gives to what it has asked of registries."""


def _take_as_it_is(step: SolveStep) -> None:
    """What was solved is what was planned, as far as anybody here can tell."""
    del step


class Work(Model):
    """A plan with all that running it takes; `check` raises where what a solve was made from changed meanwhile."""

    plan: Plan
    lowered: Lowered
    backends: Mapping[str, ConfiguredBackend]
    nodes: Mapping[str, tuple[Node, ...]]
    jobs: int
    listings: Mapping[Digest, Listing] = {}
    check: Callable[[SolveStep], None] = _take_as_it_is


class Engine:
    """One run of one plan."""

    def __init__(
        self,
        work: Work,
        *,
        root: Path,
        environment: Mapping[str, str],
        stores: Stores,
        children: Children,
        emit: Emit,
    ) -> None:
        self._work = work
        self._watch = Watch(work.backends, children.ask)
        self._root = root
        self._environment = environment
        self._children = children
        self._emit = emit
        self._stores = stores
        self._results = Results()
        self._actions = Actions(
            root=root,
            stores=stores,
            results=self._results,
            listings=work.listings,
            emulated=emulated_platforms(work.plan),
        )
        self._records: dict[str, list[RecordStep]] = {}
        for step in work.plan.steps:
            if isinstance(step, RecordStep):
                self._records.setdefault(step.solve, []).append(step)
        for known in work.plan.known:
            self._results.put(known.step, StepResult(digest=known.digest, manifest=known.manifest, key=known.key))
        self._invoker = Invoker(root=root, environment=environment, children=children, results=self._results, emit=emit)
        self._nodes = Nodes(work.plan, work.nodes, work.backends, invoker=self._invoker, root=root)
        self._recalled: set[StepId] = set()
        self._exit_code = 0
        self._stopping = threading.Event()

    def remember(self, results: Mapping[str, StepResult]) -> None:
        """Take over what steps of an earlier run gave, for a plan that holds only the later ones."""
        for step, result in results.items():
            self._results.put(step, result)

    async def run(self, folder: Path) -> int:
        """Run every step that can be run; the exit code is that of the first failure, 0 without one.

        Args:
            folder: an empty folder below the root for the files of children; emptied at the end.
        """
        plan = self._work.plan
        slots = {(name, node.name): node.slots for name, nodes in self._work.nodes.items() for node in nodes}
        schedule = Schedule(plan.steps, jobs=self._work.jobs, slots=slots)
        self._emit(
            RunStarted(
                run=plan.run,
                time=time.time(),
                project=plan.project,
                destination=plan.destination.value,
                steps=outline_steps(plan.steps, {}),
                images=outline_images(plan),
            )
        )
        self._exit_code = _INTERRUPTED
        # `asyncio.run` shuts it down
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_THREADS, "orchestrate"))
        try:
            await self._nodes.set_up(folder)
            await self._drain(schedule, folder)
        finally:
            try:
                await self._nodes.take_down(folder)
            finally:
                self._emit(RunFinished(run=plan.run, exit_code=self._exit_code, time=time.time()))
        return self._exit_code

    async def _drain(self, schedule: Schedule, folder: Path) -> None:
        async with asyncio.TaskGroup() as group:
            try:
                self._exit_code = await self._advance(group, schedule, folder)
            except asyncio.CancelledError:
                self._stopping.set()
                # threads are awaited, so that what they did is told; one that waits for a registry gets no answer then
                asyncio.get_running_loop().call_later(_GRACE, self._stores.abort)
                raise

    async def _advance(self, group: asyncio.TaskGroup, schedule: Schedule, folder: Path) -> int:
        exit_code = 0
        running: dict[asyncio.Task[OrchestratorError | None], Step] = {}
        while not schedule.finished:
            for step in schedule.take():
                running[group.create_task(self._step(step, folder))] = step
            done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                step, error = running.pop(task), task.result()
                if error is None:
                    schedule.done(step)
                    continue
                exit_code = exit_code or error.exit_code
                for skipped, cause in schedule.failed(step):
                    self._skip(skipped, cause)
        return exit_code

    async def _step(self, step: Step, folder: Path) -> OrchestratorError | None:
        """Run one step; an error that a user can understand ends the step, not the run."""
        started = time.time()
        node = step.node if isinstance(step, SolveStep | TestStep) else ""
        self._emit(StepStarted(step=step.id, time=started, node=node))
        try:
            if await self._stands(step):
                self._finish(step, started, StepState.FOUND)
                return None
            result = await self._act(step, folder)
        except InterruptedRunError as error:
            self._finish(step, started, StepState.CANCELLED, message=error.message)
            return error
        except OrchestratorError as error:
            lines = error.lines if isinstance(error, SolveFailedError | TestFailedError) else ()
            self._finish(step, started, StepState.FAILED, message="\n".join((error.message, *lines)), hints=error.hints)
            return error
        except OSError as error:
            failure = disk_error(error)
            self._finish(step, started, StepState.FAILED, message=failure.message, hints=failure.hints)
            return failure
        except asyncio.CancelledError:
            self._finish(step, started, StepState.CANCELLED)
            raise
        self._results.put(step.id, result)
        self._finish(step, started, StepState.DONE, digest=result.manifest or result.digest)
        return None

    async def _stands(self, step: Step) -> bool:
        """Whether what a step would do was done by another run since the plan was made."""
        match step:
            case SolveStep():
                return await self._recall(step)
            case TestStep() if step.record in self._recalled:
                return await in_thread(self._actions.has_passed, step)
            case _:
                return False

    async def _recall(self, solve: SolveStep) -> bool:
        """Whether everything that a solve would give stands by now.

        Only where it stands on what this run has built: for all others the plan has asked already.
        """
        records = self._records[solve.id]
        known = {each.step for each in self._work.plan.known}
        if all(parent in known for record in records for parent in record.key.parents):
            return False
        found = [await in_thread(self._actions.recall, record) for record in records]
        if not all(found):
            return False
        for record, result in zip(records, found, strict=True):
            if result:
                self._results.put(record.id, result)
                self._recalled.add(record.id)
        return True

    async def _act(self, step: Step, folder: Path) -> StepResult:
        match step:
            case SolveStep():
                return await self._solve(step, folder)
            case TestStep():
                return await self._test(step, folder)
            case RecordStep() | AssembleStep() | VerifyStep() | CopyStep() | ExportStep():
                return await in_thread(self._actions.act, step)
            case PromoteStep():
                return await self._promote(step)
            case LoadStep():
                return await load_image(
                    step,
                    store=self._actions.open(step.home),
                    digest=self._results.digest(step.index),
                    invoker=self._invoker,
                    folder=folder / _slug(step.id),
                )
            case GateStep():
                return StepResult()
            case _:
                assert_never(step)

    async def _test(self, step: TestStep, folder: Path) -> StepResult:
        try:
            await self._solve(step, folder)
        except SolveFailedError as error:
            if error.kind is not FailureKind.USER:
                raise  # a node or a registry failed, which is no fault of the image
            raise failed_test(step, error) from error
        return await in_thread(self._actions.note_passed, step)

    async def _solve(self, step: SolveStep | TestStep, folder: Path) -> StepResult:
        work = SolveWork(
            step=step,
            request=lower_request(step, self._work.nodes),
            invocations=self._work.lowered.invocations[step.id],
            chosen=self._work.backends[step.backend],
            builders=self._nodes.builders(step.backend),
        )
        inside = folder / _slug(step.id)
        result = await run_solve(work, invoker=self._invoker, folder=inside, emit=self._emit, watch=self._watch)
        if isinstance(step, SolveStep):
            await in_thread(self._work.check, step)
        return result

    async def _promote(self, step: PromoteStep) -> StepResult:
        digest = self._results.digest(step.index)
        loop = asyncio.get_running_loop()

        def on_put(move: TagMove, previous: Digest | None) -> None:
            event = TagPut(
                step=step.id, reference=str(move.reference), digest=digest, previous=previous, time=time.time()
            )
            loop.call_soon_threadsafe(self._emit, event)

        await in_thread(promote, step, digest, self._actions.repository, on_put, self._stopping.is_set)
        return StepResult(digest=digest)

    def _finish(
        self,
        step: Step,
        started: float,
        state: StepState,
        *,
        digest: Digest | None = None,
        message: str = "",
        hints: tuple[str, ...] = (),
    ) -> None:
        now = time.time()
        self._emit(
            StepFinished(
                step=step.id,
                state=state,
                time=now,
                seconds=now - started,
                node=step.node if isinstance(step, SolveStep | TestStep) else "",
                digest=digest,
                message=message,
                hints=hints,
            )
        )

    def _skip(self, step: Step, cause: str) -> None:
        self._emit(
            StepFinished(step=step.id, state=StepState.SKIPPED, time=time.time(), seconds=0.0, message=f"needs {cause}")
        )


def _slug(step: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in step)[:100]
