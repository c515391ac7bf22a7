"""How long a plan takes: the durations of the last builds, put one after the other as the engine would.

Only solves count: records, verification and tags take a moment each. A solve of several platforms takes as long as the
slowest of them did; since each of them is noted with the whole solve that made it, that is the same again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from heapq import heappop, heappush
from statistics import median
from typing import NamedTuple, TypeAlias

from orchestrator.api.backend import Mode
from orchestrator.api.invocation import StepId
from orchestrator.model import Model
from orchestrator.plan.model import Action, Plan, PlatformBuild, SolveStep
from orchestrator.plan.past import Past, Took
from orchestrator.plan.stepnames import assemble_id, build_of

NodeKey: TypeAlias = tuple[str, str]
"""A node by the names of its backend and its own."""


class Estimate(Model):
    """What a plan comes to.

    Args:
        seconds: how long all of it takes; None where nothing is known of any of its builds.
        critical_path: the builds that no number of nodes makes any faster, parents first.
        critical_seconds: how long these take alone.
        builds: the platform builds to do.
        unknown: those of which no duration is known; they count as the median of the others.
    """

    seconds: float | None
    critical_path: tuple[str, ...] = ()
    critical_seconds: float = 0.0
    builds: int = 0
    unknown: int = 0


class Job(NamedTuple):
    """A solve: where it runs, the solves before it, how long it takes, and the build that takes longest in it."""

    name: StepId
    node: NodeKey
    needs: tuple[StepId, ...]
    seconds: float
    build: str


def estimate_plan(plan: Plan, past: Mapping[str, Past], slots: Mapping[NodeKey, int], *, jobs: int) -> Estimate | None:
    """The estimate of a plan; None where it builds nothing.

    Args:
        plan: whose steps are to be done.
        past: what is remembered of platform builds, by their ids.
        slots: how many solves a node takes at a time.
        jobs: how many run at a time in all.
    """
    builds = sum(build.action is Action.BUILD for build in plan.builds)
    if not builds:
        return None
    noted = {build: one.took for build, one in past.items() if one.took}
    solves = tuple(_solves(plan, noted)) if noted else ()
    known = [seconds for solve in solves for seconds in solve.known]
    if not known:
        return Estimate(seconds=None, builds=builds, unknown=builds)
    planned = tuple(_jobs(solves, typical=median(known)))
    path, length = critical_path(planned)
    return Estimate(
        seconds=round(simulate(planned, slots, jobs=jobs), 3),
        critical_path=path,
        critical_seconds=round(length, 3),
        builds=builds,
        unknown=builds - len(known),
    )


def emulated_platforms(plan: Plan) -> dict[StepId, tuple[str, ...]]:
    """The platforms of each solve that run under emulation; solves without any are left out."""
    found: dict[StepId, tuple[str, ...]] = {}
    for step, builds in _built(plan):
        own = tuple(str(build.platform) for build in builds if _is_emulated(build))
        if own:
            found[step.id] = own
    return found


def _is_emulated(build: PlatformBuild) -> bool:
    return build.placement is not None and build.placement.mode is Mode.EMULATED


def _built(plan: Plan) -> Iterator[tuple[SolveStep, list[PlatformBuild]]]:
    """The solves of a plan, parents first, and the platform builds that each of them does."""
    by_image: dict[str, list[PlatformBuild]] = {}
    for build in plan.builds:
        by_image.setdefault(build.image, []).append(build)
    for step in plan.steps:
        if isinstance(step, SolveStep):
            platforms = step.solve.platforms
            yield step, [build for build in by_image[step.image] if build.platform in platforms]


class _Solve(NamedTuple):
    """A solve, the solves before it, the build that took longest in it, and what those of it took that are known."""

    step: SolveStep
    needs: tuple[StepId, ...]
    slowest: str
    known: list[float]


def _solves(plan: Plan, noted: Mapping[str, Took]) -> Iterator[_Solve]:
    """The solves of a plan; of the records and indexes between two of them only the order counts."""
    behind: dict[StepId, tuple[StepId, ...]] = {}  # an index, by its step, and one platform by its build
    for step, builds in _built(plan):
        own = (step.id,)
        index = assemble_id(step.image)
        behind[index] = behind[index] + own if index in behind else own
        mode = any(map(_is_emulated, builds))
        known: list[float] = []
        slowest = builds[0].id
        for build in builds:
            behind[build.id] = own
            # an emulated build says nothing of a native one, and a solve is as slow as the slowest of its platforms
            took = noted.get(build.id)
            if took is not None and took.emulated is mode:
                slowest = build.id if not known or took.seconds > max(known) else slowest
                known.append(took.seconds)
        needs = [solve for need in step.needs for solve in behind.get(need) or behind.get(build_of(need), ())]
        yield _Solve(step, tuple(dict.fromkeys(needs)), slowest, known)


def _jobs(solves: Iterable[_Solve], *, typical: float) -> Iterator[Job]:
    """The solves with their times; one of which nothing is known takes as long as is typical."""
    for step, needs, slowest, known in solves:
        seconds = max(known) if known else typical
        yield Job(name=step.id, node=(step.backend, step.node), needs=needs, seconds=seconds, build=slowest)


def critical_path(jobs: Iterable[Job]) -> tuple[tuple[str, ...], float]:
    """The longest way through the jobs, which are in order, as builds, and how long it takes; ties go by name."""
    ends: dict[StepId, tuple[float, StepId]] = {}
    way: dict[StepId, StepId] = {}
    builds: dict[StepId, str] = {}
    for job in jobs:
        start, last = max([ends[need] for need in job.needs], default=(0.0, ""))
        ends[job.name] = start + job.seconds, job.name
        way[job.name], builds[job.name] = last, job.build
    length, name = max(ends.values(), default=(0.0, ""))
    path: list[str] = []
    while name:
        path.append(builds[name])
        name = way[name]
    return tuple(reversed(path)), length


def simulate(planned: Iterable[Job], slots: Mapping[NodeKey, int], *, jobs: int) -> float:
    """When the last job ends, if each starts as soon as its node and `jobs` allow, first come, first served.

    That is what `engine.schedule` does. Those that become ready at the same moment go by name.
    """
    return _Simulation(planned, slots, jobs).run()


class _Simulation:
    """A clock, what runs, and what waits for each node."""

    def __init__(self, planned: Iterable[Job], slots: Mapping[NodeKey, int], jobs: int) -> None:
        self._jobs = {job.name: job for job in planned}
        self._missing = {name: len(job.needs) for name, job in self._jobs.items()}
        self._children: dict[StepId, list[StepId]] = {name: [] for name in self._jobs}
        for job in self._jobs.values():
            for need in job.needs:
                self._children[need].append(job.name)
        self._free_jobs = jobs
        self._free_slots = {job.node: max(1, slots.get(job.node, 1)) for job in self._jobs.values()}
        self._waiting: dict[NodeKey, deque[tuple[int, Job]]] = {node: deque() for node in self._free_slots}
        self._running: list[tuple[float, StepId]] = []
        self._arrived = 0

    def run(self) -> float:
        now = 0.0
        self._arrive(name for name, missing in self._missing.items() if not missing)
        self._start(now)
        while self._running:
            now = self._running[0][0]
            self._arrive(self._finish(now))
            self._start(now)
        return now

    def _arrive(self, ready: Iterable[StepId]) -> None:
        for name in sorted(ready):
            job = self._jobs[name]
            self._arrived += 1
            self._waiting[job.node].append((self._arrived, job))

    def _start(self, now: float) -> None:
        while self._free_jobs > 0:
            able = [node for node, queue in self._waiting.items() if queue and self._free_slots[node] > 0]
            if not able:
                return
            node = min(able, key=lambda node: self._waiting[node][0][0])
            _, job = self._waiting[node].popleft()
            self._free_jobs -= 1
            self._free_slots[node] -= 1
            heappush(self._running, (now + job.seconds, job.name))

    def _finish(self, now: float) -> Iterator[StepId]:
        """End all that ends now; what waited for that alone."""
        while self._running and self._running[0][0] == now:
            _, name = heappop(self._running)
            self._free_jobs += 1
            self._free_slots[self._jobs[name].node] += 1
            for child in self._children[name]:
                self._missing[child] -= 1
                if not self._missing[child]:
                    yield child
