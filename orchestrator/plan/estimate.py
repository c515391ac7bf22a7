"""How long a plan takes: the durations of the last builds, put one after the other as the engine would.

Only solves count: records, verification and tags take a moment each. A solve of several platforms takes as long as the
slowest of them did; since each of them is noted with the whole solve that made it, that is the same again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from heapq import heappop, heappush
from statistics import median
from typing import NamedTuple

from orchestrator.api.backend import Mode
from orchestrator.api.invocation import StepId
from orchestrator.model import Model
from orchestrator.plan.model import Action, Plan, PlatformBuild, SolveStep
from orchestrator.plan.past import Past, Took
from orchestrator.plan.schedule import Job, NodeKey, Schedule, Seat, seats_of
from orchestrator.plan.stepnames import assemble_id, build_of


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


class Timed(NamedTuple):
    """A solve as a job with the time that it is expected to take, and the build that takes longest in it."""

    job: Job
    build: str


def estimate_plan(plan: Plan, past: Mapping[str, Past], seats: Mapping[NodeKey, Seat], *, jobs: int) -> Estimate | None:
    """The estimate of a plan; None where it builds nothing.

    Args:
        plan: whose steps are to be done.
        past: what is remembered of platform builds, by their ids.
        seats: how many solves a node takes at a time, and how fast it is.
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
    planned = tuple(_timed(solves, typical=median(known)))
    seats = {key: seats.get(key, Seat()) for timed in planned for key in timed.job.seats}
    path, length = critical_path(planned)
    return Estimate(
        seconds=round(simulate([timed.job for timed in planned], seats, jobs=jobs), 3),
        critical_path=path,
        critical_seconds=round(length, 3),
        builds=builds,
        unknown=builds - len(known),
    )


def expected_seconds(plan: Plan, past: Mapping[str, Past]) -> dict[StepId, float]:
    """How long each solve took the last time; solves of which nothing is known are left out."""
    noted = {build: one.took for build, one in past.items() if one.took}
    return {solve.step.id: max(solve.known) for solve in _solves(plan, noted) if solve.known}


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


def _timed(solves: Iterable[_Solve], *, typical: float) -> Iterator[Timed]:
    """The solves with their times; one of which nothing is known takes as long as is typical."""
    for step, needs, slowest, known in solves:
        seconds = max(known) if known else typical
        yield Timed(Job(id=step.id, needs=needs, seats=seats_of(step), seconds=seconds), slowest)


def critical_path(planned: Iterable[Timed]) -> tuple[tuple[str, ...], float]:
    """The longest way through the jobs, which are in order, as builds, and how long it takes; ties go by name."""
    ends: dict[StepId, tuple[float, StepId]] = {}
    way: dict[StepId, StepId] = {}
    builds: dict[StepId, str] = {}
    for job, build in planned:
        start, last = max([ends[need] for need in job.needs], default=(0.0, ""))
        ends[job.id] = start + job.seconds, job.id
        way[job.id], builds[job.id] = last, build
    length, name = max(ends.values(), default=(0.0, ""))
    path: list[str] = []
    while name:
        path.append(builds[name])
        name = way[name]
    return tuple(reversed(path)), length


def simulate(planned: Iterable[Job], seats: Mapping[NodeKey, Seat], *, jobs: int) -> float:
    """When the last job ends, if each takes as long as is expected: the engine's own schedule on a clock that jumps."""
    timed = {job.id: job for job in planned}
    schedule = Schedule(timed.values(), seats, limit=jobs)
    running: list[tuple[float, StepId]] = []
    now = 0.0
    while not schedule.finished:
        for start in schedule.take(now):
            speed = seats[start.node].speed if start.node else 1.0
            heappush(running, (now + timed[start.id].seconds / speed, start.id))
        now, name = heappop(running)
        schedule.done(name)
    return now
