"""Requests of several steps: run once for all of them, and again for the rest when one has failed.

The steps stay steps of the plan. Each waits for what it needs, as ever, and for what the others of its request need of
the rest of the plan; so the first that begins runs the request, and the others take what it gave. Whoever was linked to
a parent takes it only if what is recorded of that parent by then is what it was built on: else it is built alone, on
the record. So nothing is recorded as built on what it was not built on, whatever other runs put meanwhile.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from functools import partial
from typing import NamedTuple, assert_never

import msgspec

from orchestrator.api.backend import (
    Became,
    FailureKind,
    Link,
    LowerRequest,
    Node,
    Refusal,
    SolveFailure,
    SolveResult,
    SolveUnknown,
)
from orchestrator.api.events import LoweredAgain, Retried
from orchestrator.api.invocation import DigestOf, Invocation, Outcome, StepId, Word
from orchestrator.api.solve import NamedContext, NoOutput, Solve
from orchestrator.engine.actions import Actions
from orchestrator.engine.in_thread import ask_in_thread
from orchestrator.engine.invoke import Emit, Invoker
from orchestrator.engine.results import Results, StepResult
from orchestrator.engine.solve import (
    NodeLostError,
    Place,
    SolveWork,
    Tries,
    check_node,
    failed_solve,
    run_solve,
    silence,
)
from orchestrator.engine.watch import Watch
from orchestrator.errors import BuildError, RegistryError
from orchestrator.oci.digest import Digest
from orchestrator.plan.grouping import Group, links_among
from orchestrator.plan.lower import Lowered
from orchestrator.plan.model import Plan, RecordStep, SolveStep, TestStep
from orchestrator.plan.place import ConfiguredBackend


class Tools(NamedTuple):
    """What running anything takes."""

    actions: Actions
    results: Results
    invoker: Invoker
    watch: Watch
    emit: Emit


class Batches:
    """The requests of several steps of one plan; a backend that takes one at a time has none."""

    def __init__(self, plan: Plan, lowered: Lowered, backends: Mapping[str, ConfiguredBackend], tools: Tools) -> None:
        steps = {step.id: step for step in plan.steps if isinstance(step, SolveStep | TestStep)}
        records: dict[StepId, list[StepId]] = {}
        for record in plan.steps:
            if isinstance(record, RecordStep):
                records.setdefault(record.solve, []).append(record.id)
        self._batches: dict[StepId, Batch] = {}
        for group in lowered.groups:
            members = {step: steps[step] for step in group.steps}
            chosen = backends[members[group.steps[0]].backend]
            batch = Batch(group, members, chosen, tools, planned=lowered.invocations[group.steps[0]], records=records)
            self._batches |= dict.fromkeys(group.steps, batch)

    def find(self, step: StepId) -> Batch | None:
        """The request that does this step; None where it has one of its own."""
        return self._batches.get(step)

    def drop(self, step: StepId) -> None:
        """A step is skipped: no request does it any more."""
        if step in self._batches:
            self._batches[step].drop(step)

    def found(self, step: StepId) -> None:
        """A step stands by now, as another run has done it: no request does it any more."""
        if step in self._batches:
            self._batches[step].found(step)


class Batch:
    """One request of several steps while a plan runs."""

    def __init__(
        self,
        group: Group,
        steps: Mapping[StepId, SolveStep | TestStep],
        chosen: ConfiguredBackend,
        tools: Tools,
        *,
        planned: tuple[Invocation, ...],
        records: Mapping[StepId, list[StepId]],
    ) -> None:
        self._group = group
        self._steps = steps
        self._chosen = chosen
        self._tools = tools
        self._planned: tuple[Invocation, ...] | None = planned
        self._records = records
        self._alone = asyncio.Lock()
        self._became: dict[StepId, StepResult | SolveFailure] = {}
        self._built_on: dict[StepId, dict[StepId, StepResult]] = {}
        self._apart: dict[StepId, StepId] = {}
        self._why = ""
        self._tries = {step: Tries(each.solve.retries) for step, each in steps.items()}
        self._rounds = 0

    def drop(self, step: StepId) -> None:
        """One of its steps is skipped; the others are lowered without it, if they are not done yet."""
        if step not in self._became:
            self._became[step] = SolveFailure(kind=FailureKind.USER, message="what it needs has failed")
            self._planned, self._why = None, "what others of the same run need has failed"

    def found(self, step: StepId) -> None:
        """One of its steps stands by now; what is linked to it is built on that, each alone, unless it was built here.

        What was built here on another build of it is found out by that, and built again.
        """
        stood = isinstance(self._became.get(step), StepResult)
        for each in (step, *self._below(step)):
            if each not in self._became or not stood:
                self._became.pop(each, None)
                self._apart[each] = step
        self._planned, self._why = None, self._faster(step)

    def _below(self, step: StepId) -> Iterator[StepId]:
        """What is linked to a step, near or far; its steps are in the order of their links."""
        above = {step}
        for each in self._group.steps:
            if not above.isdisjoint(self._parents(each)):
                above.add(each)
                yield each

    def _faster(self, step: StepId) -> str:
        return f"another run was faster with `{self._steps[step].image}`"

    async def solve(self, step: SolveStep | TestStep, place: Place) -> StepResult:
        """What became of one of its steps; the first that asks runs it, and the others wait meanwhile.

        Raises:
            SolveFailedError: it failed, and not (or not any more) in a way that passes.
            NodeLostError: the node does not answer any more.
        """
        async with self._alone:
            while step.id in self._rest:
                await self._run(place)
        if step.id in self._apart:
            return await self._solve_alone(step, place, f"{self._faster(self._apart[step.id])}: built on that")
        became = self._became[step.id]
        if isinstance(became, SolveFailure):
            raise failed_solve(became)
        stranger = self._find_stranger(step.id)
        if stranger is None:
            return became
        return await self._solve_alone(step, place, f"{self._faster(stranger)}: built again, on that")

    def _find_stranger(self, step: StepId) -> StepId | None:
        """A parent of which another build is recorded than the one that this step was built on."""
        for parent, built_on in self._built_on[step].items():
            taken = any(self._tools.results.find(record).taken for record in self._records.get(parent, ()))
            if taken or self._tools.results.find(parent).digest != built_on.digest:
                return parent
        return None

    async def _solve_alone(self, step: SolveStep | TestStep, place: Place, message: str) -> StepResult:
        self._tools.emit(LoweredAgain(steps=(step.id,), message=message, time=time.time()))
        request = LowerRequest(steps=(step.solve,), node=place.node)
        work = SolveWork(
            step=step,
            request=request,
            invocations=self._lower(request),
            chosen=self._chosen,
            builders=self._builders(place),
            heed=partial(ask_in_thread, self._tools.actions.heed, step),
        )
        tools = self._tools
        folder = place.folder / "alone"
        return await run_solve(work, invoker=tools.invoker, folder=folder, emit=tools.emit, watch=tools.watch)

    @property
    def _rest(self) -> tuple[StepId, ...]:
        """The steps of which nothing is known yet, parents first."""
        return tuple(step for step in self._group.steps if step not in self._became and step not in self._apart)

    async def _run(self, place: Place) -> None:
        """Run the request of the rest once."""
        request = self._request(place.node)
        if self._planned is None and not self._rounds:
            self._tools.emit(LoweredAgain(steps=self._rest, message=self._why, time=time.time()))
        invocations, self._planned = self._planned or self._lower(request), None
        self._rounds += 1
        started = time.monotonic()
        found = self._chosen.backend.results(request, await self._start(invocations, place))
        wait = await self._settle(request, found, place.node, (time.monotonic() - started) / len(request.steps))
        if rest := self._rest:
            failed = {
                solve.id: failure for solve in request.steps if isinstance(failure := found.get(solve.id), SolveFailure)
            }
            images = dict.fromkeys(self._steps[step].image for step in failed)
            message = f"{', '.join(f'`{image}`' for image in images)} failed beside it"
            self._tools.emit(LoweredAgain(steps=rest, message=message, time=time.time()))
            await asyncio.sleep(wait)
            for step in rest:
                if step in failed and failed[step].by_registry:
                    await ask_in_thread(self._tools.actions.heed, self._steps[step])

    def _request(self, node: Node) -> LowerRequest:
        """The request of what is left; parents that are built already are handed over by what was built."""
        links = links_among(self._group.links, self._rest)
        solves = tuple(self._given(self._steps[step].solve) for step in self._rest)
        return LowerRequest(steps=solves, node=node, links=links)

    def _given(self, solve: Solve) -> Solve:
        built = {
            link.context: result
            for link in self._group.links
            if link.step == solve.id and isinstance(result := self._became.get(link.parent), StepResult)
        }
        contexts = tuple(
            NamedContext(name=each.name, value=_handed_over(each.value, built[each.name]))
            if each.name in built
            else each
            for each in solve.contexts
        )
        return msgspec.structs.replace(solve, contexts=contexts) if built else solve

    def _lower(self, request: LowerRequest) -> tuple[Invocation, ...]:
        lowered = self._chosen.backend.lower(request)
        if isinstance(lowered, Refusal):
            raise BuildError(lowered.message, hints=lowered.hints)
        return lowered

    def _builders(self, place: Place) -> dict[str, str]:
        return dict.fromkeys({place.node.name, *(step.node for step in self._steps.values())}, place.builder)

    async def _start(self, invocations: tuple[Invocation, ...], place: Place) -> tuple[Outcome, ...]:
        """Run its children, the rest only after those that succeed.

        Raises:
            NodeLostError: the node does not answer any more.
        """
        outcomes: list[Outcome] = []
        for number, invocation in enumerate(invocations):
            folder = place.folder / f"{self._rounds}-{number}"
            start = partial(self._tools.invoker.run, invocation, folder=folder, builders=self._builders(place))
            reader = self._chosen.backend.reader(invocation)
            outcome = await self._tools.watch.run(start, reader, backend=self._chosen.name, node=place.node)
            if isinstance(outcome, SolveFailure):
                raise NodeLostError(outcome)
            outcomes.append(outcome)
            if not outcome.succeeded:
                break
        return tuple(outcomes)

    async def _settle(self, request: LowerRequest, found: Mapping[StepId, Became], node: Node, share: float) -> float:
        """Take what a round gave, parents first; how many seconds to wait before the next one.

        A round without a failure leaves nothing open, so that there are not more of them than failures.

        Raises:
            NodeLostError: the node does not answer any more.
        """
        waits = [0.0]
        has_failed = any(isinstance(found.get(solve.id), SolveFailure) for solve in request.steps)
        for solve in request.steps:
            if solve.id in self._apart:
                continue  # it was found meanwhile, or is built on what was
            became = found.get(solve.id) or silence(self._chosen.name)
            if any(isinstance(self._became.get(parent), SolveFailure) for parent in self._parents(solve.id)):
                # the plan skips it with its parent, and never asks
                self._became[solve.id] = SolveFailure(kind=FailureKind.USER, message="what it needs has failed")
            elif isinstance(became, SolveFailure):
                waits.append(await self._fail(solve, became, node))
            elif (result := await self._result(solve, became, request.links, share)) is not None:
                self._became[solve.id] = result
                self._built_on[solve.id] = {
                    parent: built
                    for parent in self._parents(solve.id)
                    if isinstance(built := self._became.get(parent), StepResult)
                }
            elif not has_failed:
                self._became[solve.id] = silence(self._chosen.name)
        return max(waits)

    def _parents(self, step: StepId) -> tuple[StepId, ...]:
        return tuple(link.parent for link in self._group.links if link.step == step)

    async def _fail(self, solve: Solve, failure: SolveFailure, node: Node) -> float:
        """A solve failed: for good, or to be tried again after so many seconds."""
        if failure.kind is not FailureKind.USER and not failure.by_registry:
            await check_node(self._chosen.name, node, self._tools.watch)
        wait = self._tries[solve.id].wait_after(failure)
        if wait is None:
            self._became[solve.id] = failure
            return 0.0
        attempt = self._tries[solve.id].count
        retried = Retried(step=solve.id, attempt=attempt, message=failure.message, time=time.time(), wait=wait)
        self._tools.emit(retried)
        return wait

    async def _result(
        self, solve: Solve, became: SolveResult | SolveUnknown, links: tuple[Link, ...], share: float
    ) -> StepResult | None:
        """What a solve gave, if it is known to have given anything; what it was linked to has to stand as well."""
        linked = {link.parent for link in links if link.step == solve.id}
        if not all(isinstance(self._became.get(parent), StepResult) for parent in linked):
            return None
        match became:
            case SolveUnknown(digest=digest):
                stands = digest is not None and await ask_in_thread(self._stands, solve, digest)
                return StepResult(digest=digest, seconds=share) if stands else None
            case SolveResult(digest=digest, path=path):
                is_there = digest is not None or isinstance(solve.output, NoOutput)
                return StepResult(digest=digest, path=path, seconds=share) if is_there else None
            case _:
                assert_never(became)

    def _stands(self, solve: Solve, digest: Digest) -> bool:
        """Whether the registry has what a child said that it pushed; where it does not say, it is built again."""
        try:
            return self._tools.actions.open(self._steps[solve.id].home).find(digest) == digest
        except RegistryError:
            return False


def _handed_over(value: Word, built: StepResult) -> Word:
    """A context that names a parent by what was built of it, rather than by what is made of that later."""
    if built.path:
        return f"oci-layout://{built.path}@{built.digest}"
    parts = (value,) if isinstance(value, str) else value
    return "".join(str(built.digest) if isinstance(part, DigestOf) else str(part) for part in parts)
