"""Does what a step says, and says what it came to; which step, when and where is `engine.run`'s to decide."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import assert_never

from orchestrator.api.backend import FailureKind
from orchestrator.api.events import TagPut, TagsKept
from orchestrator.api.invocation import StepId
from orchestrator.api.outline import TagOutline
from orchestrator.engine.actions import Actions
from orchestrator.engine.batch import Batches, Tools
from orchestrator.engine.in_thread import ask_in_thread, in_thread
from orchestrator.engine.invoke import Emit, Invoker
from orchestrator.engine.load import Loader
from orchestrator.engine.promote import Promoter
from orchestrator.engine.restore import keep_old
from orchestrator.engine.results import Results, StepResult
from orchestrator.engine.solve import NodeLostError, Place, SolveFailedError, SolveWork, failed_test, run_solve
from orchestrator.engine.watch import Watch
from orchestrator.oci.digest import Digest
from orchestrator.plan import stepnames
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
from orchestrator.plan.place import ConfiguredBackend


class Performer:
    """The steps of one plan. `check` raises where what a solve was made from changed meanwhile."""

    def __init__(  # noqa: PLR0913 (one place wires it; each part is a part of its own)
        self,
        plan: Plan,
        lowered: Lowered,
        backends: Mapping[str, ConfiguredBackend],
        *,
        check: Callable[[SolveStep], None],
        actions: Actions,
        results: Results,
        invoker: Invoker,
        watch: Watch,
        kept: tuple[TagOutline, ...],
        jobs: int,
        emit: Emit,
    ) -> None:
        self._lowered = lowered
        self._backends = backends
        self._check = check
        self._actions = actions
        self._results = results
        self._invoker = invoker
        self._loader = Loader(invoker, limit=jobs)
        self._watch = watch
        self._run = plan.run
        self._kept = kept
        self._emit = emit
        self._known = frozenset(known.step for known in plan.known)
        self._records: dict[str, list[RecordStep]] = {}
        for step in plan.steps:
            if isinstance(step, RecordStep):
                self._records.setdefault(step.solve, []).append(step)
        self._promotions = tuple(step for step in plan.steps if isinstance(step, PromoteStep))
        self._recalled: set[StepId] = set()
        self._batches = Batches(plan, lowered, backends, Tools(actions, results, invoker, watch, emit))
        self.stopping = threading.Event()
        """Set where no tag is to be put any more."""
        self._promoter = Promoter(actions.repository, self.stopping.is_set)

    def drop(self, step: StepId) -> None:
        """A step is skipped, and is not to be done with others."""
        self._batches.drop(step)

    async def stands(self, step: Step) -> bool:
        """Whether what a step would do was done by another run since the plan was made; nobody does it then."""
        is_done = await self._is_done(step)
        if is_done:
            self._batches.found(step.id)
        return is_done

    async def _is_done(self, step: Step) -> bool:
        match step:
            case SolveStep():
                return await self._recall(step)
            case TestStep() if step.record in self._recalled:
                return await ask_in_thread(self._actions.has_passed, step)
            case _:
                return False

    async def _recall(self, solve: SolveStep) -> bool:
        """Whether everything that a solve would give stands by now.

        Only where it stands on what this run has built: for all others the plan has asked already.
        """
        records = self._records[solve.id]
        if all(parent in self._known for record in records for parent in record.key.parents):
            return False
        found = [await ask_in_thread(self._actions.recall, record) for record in records]
        if not all(found):
            return False
        for record, result in zip(records, found, strict=True):
            if result:
                self._results.put(record.id, result)
                self._recalled.add(record.id)
        return True

    async def act(self, step: Step, place: Place | None, folder: Path) -> StepResult:
        """Do it.

        Args:
            step: what to do.
            place: where, for a solve or a test.
            folder: one of its own, for others.

        Raises:
            OrchestratorError: it failed; `NodeLostError` where it might do on another node.
        """
        if isinstance(step, SolveStep | TestStep):
            if place is None:
                msg = f"`{step.id}` has no place"
                raise LookupError(msg)
            return await self._test(step, place) if isinstance(step, TestStep) else await self._build(step, place)
        match step:
            case RecordStep() | AssembleStep() | VerifyStep() | CopyStep() | ExportStep():
                return await in_thread(self._actions.act, step)
            case PromoteStep():
                return await self._promote(step)
            case LoadStep():
                store, digest = self._actions.open(step.home), self._results.digest(step.index)
                return await self._loader.load(step, store=store, digest=digest, folder=folder)
            case GateStep():
                if step.id == stepnames.GATE:
                    await self._keep_old()
                return StepResult()
            case _:
                assert_never(step)

    async def _build(self, step: SolveStep, place: Place) -> StepResult:
        result = await self._solve(step, place)
        await in_thread(self._check, step)
        return result

    async def _test(self, step: TestStep, place: Place) -> StepResult:
        try:
            await self._solve(step, place)
        except SolveFailedError as error:
            if isinstance(error, NodeLostError) or error.kind is not FailureKind.USER:
                raise  # a node or a registry failed, which is no fault of the image
            raise failed_test(step, error) from error
        return await in_thread(self._actions.note_passed, step)

    async def _solve(self, step: SolveStep | TestStep, place: Place) -> StepResult:
        batch = self._batches.find(step.id)
        if batch is not None:
            return await batch.solve(step, place)
        work = SolveWork(
            step=step,
            request=lower_request(step, place.node),
            invocations=self._lowered.invocations[step.id],
            chosen=self._backends[step.backend],
            builders={step.node: place.builder},
            heed=partial(ask_in_thread, self._actions.heed, step),
        )
        return await run_solve(work, invoker=self._invoker, folder=place.folder, emit=self._emit, watch=self._watch)

    async def _keep_old(self) -> None:
        """Keep what the tags point at that are to be put now, and tell where each is to move, before the first does."""
        wanted = [(step, self._results.find(step.index).digest) for step in self._promotions]
        moves = [(move, after) for step, after in wanted if after for move in step.moves]
        await asyncio.gather(
            *(
                in_thread(keep_old, self._actions.repository(move.reference.repository), move.reference, move.expected)
                for move, after in moves
                if move.expected and move.expected != after
            )
        )
        if moves:
            told = {move.reference: move for move in self._kept}
            for move, after in moves:
                outline = _outline(move, after, self._run)
                earlier = told.get(outline.reference)
                # this run has gone on with another: what counts is where the tag pointed before that one
                told[outline.reference] = earlier if earlier and earlier.run == self._run else outline
            self._emit(TagsKept(moves=tuple(told.values()), time=time.time()))

    async def _promote(self, step: PromoteStep) -> StepResult:
        digest = self._results.digest(step.index)
        loop = asyncio.get_running_loop()

        def on_put(move: TagMove, previous: Digest | None) -> None:
            event = TagPut(
                step=step.id, reference=str(move.reference), digest=digest, previous=previous, time=time.time()
            )
            loop.call_soon_threadsafe(self._emit, event)

        await in_thread(self._promoter.promote, step, digest, on_put)
        return StepResult(digest=digest)


def _outline(move: TagMove, after: Digest, run: str) -> TagOutline:
    return TagOutline(
        reference=str(move.reference),
        before=move.expected,
        after=after,
        moving=move.moving,
        version=move.noted,
        run=run,
    )
