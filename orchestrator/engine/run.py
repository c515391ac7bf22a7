"""Runs the steps of a plan: what is ready runs, what fails takes down only what needs it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple

from orchestrator.api.backend import FailureKind, Node, SolveFailure
from orchestrator.api.events import (
    NodeLost,
    Retried,
    RunFinished,
    RunStarted,
    StepFinished,
    StepStarted,
    StepState,
    TagsKept,
)
from orchestrator.api.invocation import StepId
from orchestrator.api.outline import TagOutline
from orchestrator.engine.actions import Actions
from orchestrator.engine.invoke import Emit, Invoker
from orchestrator.engine.jobs import Publish, make_jobs, most_at_once
from orchestrator.engine.losses import REST, Losses
from orchestrator.engine.nodes import Nodes
from orchestrator.engine.perform import Performer
from orchestrator.engine.ports import Children, Stores
from orchestrator.engine.promote import LostAnswerError
from orchestrator.engine.results import Results, StepResult
from orchestrator.engine.solve import NodeLostError, Place, SolveFailedError, check_node
from orchestrator.engine.watch import Watch
from orchestrator.errors import InterruptedRunError, OrchestratorError, TestFailedError, disk_error
from orchestrator.model import Model
from orchestrator.oci.digest import Digest
from orchestrator.plan.context import Listing
from orchestrator.plan.estimate import emulated_platforms
from orchestrator.plan.lower import Lowered
from orchestrator.plan.model import Plan, PromoteStep, RecordStep, SolveStep, Step, TestStep
from orchestrator.plan.outline import outline_images, outline_steps
from orchestrator.plan.place import ConfiguredBackend
from orchestrator.plan.schedule import NodeKey, Schedule, offered_seats

_THREADS: Final = 32
_INTERRUPTED: Final = InterruptedRunError.exit_code
_GRACE: Final = 5.0
"""Seconds that an interrupted run gives to what it has asked of registries."""


def _take_as_it_is(step: SolveStep) -> None:
    """What was solved is what was planned, as far as anybody here can tell."""
    del step


class Work(Model):
    """A plan with all that running it takes.

    Args:
        plan: what to do.
        lowered: the children of its solves and tests.
        backends: by name.
        nodes: by backend.
        jobs: how many solves and tests run at a time in all.
        listings: the listings of contexts that records name.
        seconds: how long solves took the last time, where that is known.
        fail_fast: whether the first failure stops everything, rather than only what needs it.
        publish: what gets its tags where something has failed.
        kept: the tags that earlier runs were about to put, and did not end well.
        check: raises where what a solve was made from changed meanwhile.
    """

    plan: Plan
    lowered: Lowered
    backends: Mapping[str, ConfiguredBackend]
    nodes: Mapping[str, tuple[Node, ...]]
    jobs: int
    listings: Mapping[Digest, Listing] = {}
    seconds: Mapping[StepId, float] = {}
    fail_fast: bool = False
    publish: Publish = Publish.ALL
    kept: tuple[TagOutline, ...] = ()
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
        plan = work.plan
        self._work = work
        self._emit = emit
        self._stores = stores
        self._results = Results()
        for known in plan.known:
            self._results.put(known.step, StepResult(digest=known.digest, manifest=known.manifest, key=known.key))
        invoker = Invoker(root=root, environment=environment, children=children, results=self._results, emit=emit)
        self._nodes = Nodes(plan, work.nodes, work.backends, lowered=work.lowered, invoker=invoker, root=root)
        self._watch = Watch(work.backends, children.ask)
        self._losses = Losses()
        self._performer = Performer(
            plan,
            work.lowered,
            work.backends,
            check=work.check,
            actions=Actions(
                root=root,
                stores=stores,
                results=self._results,
                listings=work.listings,
                emulated=emulated_platforms(plan),
            ),
            results=self._results,
            invoker=invoker,
            watch=self._watch,
            kept=work.kept,
            jobs=work.jobs,
            emit=emit,
        )
        self._steps = {step.id: step for step in plan.steps}
        self._tests = _tests_by_solve(plan)
        seats = offered_seats(work.nodes)
        jobs = make_jobs(plan.steps, seats, work.seconds, work.publish, groups=work.lowered.groups)
        self._at_once = most_at_once(jobs, seats, limit=work.jobs)
        self._schedule = Schedule(jobs, seats, limit=work.jobs)
        self._running: dict[asyncio.Task[_Ended], Step] = {}
        self._exit_code = 0
        self.left: tuple[str, ...] = ()
        """What could not be taken down after the run, as people read it."""

    def remember(self, results: Mapping[str, StepResult]) -> None:
        """Take over what steps of an earlier run gave, for a plan that holds only the later ones."""
        for step, result in results.items():
            self._results.put(step, result)

    async def run(self, folder: Path) -> int:
        """Run every step that can be run; the exit code is that of the first failure, 0 without one.

        However it ends, the last event has the code that a command ends with for it.

        Args:
            folder: an empty folder below the root for the files of children; emptied at the end.

        Raises:
            OrchestratorError: what backends want to have run first failed, and no step was begun.
        """
        plan = self._work.plan
        self._emit(
            RunStarted(
                run=plan.run,
                time=time.time(),
                project=plan.project,
                destination=plan.destination.value,
                steps=outline_steps(plan.steps, self._work.seconds),
                images=outline_images(plan),
                at_once=self._at_once,
            )
        )
        if self._work.kept:
            self._emit(TagsKept(moves=self._work.kept, time=time.time()))
        # `asyncio.run` shuts it down
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_THREADS, "orchestrate"))
        exit_code = OrchestratorError.exit_code
        try:
            for node, reason in (await self._nodes.set_up(folder)).items():
                self._give_up(node, reason)
            await self._drain(folder)
            exit_code = self._exit_code
        except (asyncio.CancelledError, KeyboardInterrupt):
            exit_code = _INTERRUPTED
            raise
        except OrchestratorError as error:
            exit_code = error.exit_code
            raise
        except OSError as error:
            failure = disk_error(error)
            exit_code = failure.exit_code
            raise failure from error
        finally:
            self.left = await self._take_down(folder)
            self._emit(RunFinished(run=plan.run, exit_code=exit_code, time=time.time()))
        return exit_code

    async def _take_down(self, folder: Path) -> tuple[str, ...]:
        """Take down what was set up; by now the run has ended as it has, and to stop means not to wait for this."""
        try:
            return await self._nodes.take_down(folder)
        except asyncio.CancelledError:
            return ("interrupted before all that backends had set up was taken down",)

    async def _drain(self, folder: Path) -> None:
        async with asyncio.TaskGroup() as group:
            try:
                await self._advance(group, folder)
            except asyncio.CancelledError:
                self._performer.stopping.set()
                # threads are awaited, so that what they did is told; one that waits for a registry gets no answer then
                asyncio.get_running_loop().call_later(_GRACE, self._stores.abort)
                raise

    async def _advance(self, group: asyncio.TaskGroup, folder: Path) -> None:
        begun = 0
        while not self._schedule.finished:
            for start in self._schedule.take(time.monotonic()):
                step, begun = self._steps[start.id], begun + 1
                inside = folder / f"{begun}-{_slug(step.id)}"
                self._running[group.create_task(self._step(step, start.node, inside))] = step
            look = self._schedule.next_look(time.monotonic())
            if not self._running:
                await asyncio.sleep(look or 0)
                continue
            done, _ = await asyncio.wait(self._running, timeout=look, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                self._settle(self._running.pop(task), task)

    def _settle(self, step: Step, task: asyncio.Task[_Ended]) -> None:
        """What the end of a step means for the others."""
        ended = _Ended() if task.cancelled() else task.result()
        if ended.moves:
            if not self._schedule.again(step.id, without=ended.moves):
                self._skip(step.id, "stopped before it could begin again")
            return
        if not task.cancelled() and ended.error is None:
            self._schedule.done(step.id)
            return
        for skipped, cause in self._schedule.failed(step.id):
            self._skip(skipped, f"needs {cause}")
        if ended.error is not None and self._exit_code in {0, _INTERRUPTED}:
            self._exit_code = ended.error.exit_code
        if self._work.fail_fast or isinstance(step, PromoteStep):
            self._stop(step)

    def _stop(self, failed: Step) -> None:
        """Begin nothing any more, and end what builds: a release of which a tag was refused goes no further."""
        for name in self._schedule.stop():
            self._skip(name, f"stopped after {failed.id}")
        self._performer.stopping.set()
        for task, step in self._running.items():
            if isinstance(step, SolveStep | TestStep):
                task.cancel()

    async def _step(self, step: Step, key: NodeKey | None, folder: Path) -> _Ended:
        """Run one step; an error that a user can understand ends the step, not the run."""
        running = _Running(step, key[1] if key else "", time.time())
        self._emit(StepStarted(step=step.id, time=running.since, node=running.node))
        try:
            if await self._performer.stands(step):
                self._finish(running, StepState.FOUND)
                return _Ended()
            place = await self._place(key, folder) if key else None
            result = await self._performer.act(step, place, folder)
        except NodeLostError as error:
            if key and self._lose(step, key, error):
                return _Ended(moves=key)
            self._finish(running, StepState.FAILED, error=error)
            return _Ended(error=error)
        except InterruptedRunError as error:
            self._finish(running, StepState.CANCELLED, error=error)
            return _Ended(error=error)
        except OrchestratorError as error:
            self._finish(running, StepState.FAILED, error=error)
            return _Ended(error=error)
        except OSError as error:
            failure = disk_error(error)
            self._finish(running, StepState.FAILED, error=failure)
            return _Ended(error=failure)
        except asyncio.CancelledError:
            self._finish(running, StepState.CANCELLED)
            raise
        self._results.put(step.id, result)
        if key:
            for test in self._tests.get(step.id, ()):
                self._schedule.pin(test, key)
        self._finish(running, StepState.DONE, result=result)
        return _Ended()

    async def _place(self, key: NodeKey, folder: Path) -> Place:
        """The node that a step was given.

        Raises:
            NodeLostError: it was given up, or was lost before and still does not answer.
        """
        node, reason = self._nodes.find(key), self._losses.reason(key)
        if reason:
            raise NodeLostError(SolveFailure(kind=FailureKind.INFRASTRUCTURE, message=reason))
        if self._losses.is_suspect(key):
            await check_node(key[0], node, self._watch)
            self._losses.forgive(key)
        return Place(node=node, builder=self._nodes.builder(node), folder=folder)

    def _lose(self, step: Step, key: NodeKey, error: NodeLostError) -> bool:
        """Leave a lost node alone; whether the step that ran there begins again, elsewhere or when it answers again."""
        is_news = not (self._losses.is_suspect(key) or self._losses.reason(key))
        until = self._losses.note(key, time.monotonic())
        if until is None:
            self._give_up(key, error.message)
        else:
            self._schedule.rest(key, until)
            if is_news:
                self._emit(NodeLost(node=key[1], message=error.message, time=time.time(), rest=REST))
        if until is None and not self._schedule.has_other(step.id, key):
            return False
        attempt = self._losses.move(step.id)
        if attempt is None:
            return False
        self._emit(Retried(step=step.id, attempt=attempt, message=error.message, time=time.time(), node=key[1]))
        return True

    def _give_up(self, key: NodeKey, reason: str) -> None:
        """Start nothing on a node any more; what no other can take fails."""
        if not self._schedule.shuns(key):
            self._losses.give_up(key, reason)
            self._schedule.shun(key)
            self._emit(NodeLost(node=key[1], message=reason, time=time.time()))

    def _finish(
        self,
        running: _Running,
        state: StepState,
        *,
        result: StepResult | None = None,
        error: OrchestratorError | None = None,
    ) -> None:
        if state is StepState.FAILED and error and self._exit_code in {0, _INTERRUPTED}:
            self._exit_code = error.exit_code  # here, where it is told: the first failure is one and the same for all
        now = time.time()
        lines = error.lines if isinstance(error, SolveFailedError | TestFailedError) else ()
        self._emit(
            StepFinished(
                step=running.step.id,
                state=state,
                time=now,
                seconds=now - running.since,
                node=running.node,
                digest=(result.manifest or result.digest) if result else None,
                message="\n".join((error.message, *lines)) if error else "",
                hints=error.hints if error else (),
                sizes=result.sizes if result else (),
                unsure=_unsure(running.step, state, error),
            )
        )

    def _skip(self, step: StepId, message: str) -> None:
        self._performer.drop(step)
        self._emit(StepFinished(step=step, state=StepState.SKIPPED, time=time.time(), seconds=0.0, message=message))


class _Running(NamedTuple):
    """A step that has begun, where, and when."""

    step: Step
    node: str
    since: float


class _Ended(NamedTuple):
    """How a step ended: with an error, or so that it begins again, and not on this node if another can take it."""

    error: OrchestratorError | None = None
    moves: NodeKey | None = None


def _tests_by_solve(plan: Plan) -> dict[StepId, list[StepId]]:
    """The tests of what a solve builds: they run where it ran."""
    solves = {step.id: step.solve for step in plan.steps if isinstance(step, RecordStep)}
    found: dict[StepId, list[StepId]] = {}
    for step in plan.steps:
        if isinstance(step, TestStep) and step.record in solves:
            found.setdefault(solves[step.record], []).append(step.id)
    return found


def _unsure(step: Step, state: StepState, error: OrchestratorError | None) -> tuple[str, ...]:
    """The tags that were asked for without an answer: of one the answer was lost, or a second Ctrl-C awaited none."""
    if isinstance(error, LostAnswerError):
        return (str(error.reference),)
    if isinstance(step, PromoteStep) and state is StepState.CANCELLED and error is None:
        return tuple(str(move.reference) for move in step.moves)
    return ()


def _slug(step: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in step)[:100]
