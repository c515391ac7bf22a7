"""Estimates: never below what no order of builds could beat, and what the engine's own order comes to."""

from __future__ import annotations

from heapq import heappop, heappush
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.engine.schedule import Schedule
from orchestrator.plan.estimate import Estimate, Job, critical_path, emulated_platforms, estimate_plan, simulate
from orchestrator.plan.model import Action, Plan, SolveStep, Step
from orchestrator.plan.past import Past, Took
from tests.unit.engine.test_schedule import solve_step
from tests.unit.plan.samples import EMULATED, HEAD, compile_text

NODES = (("a", "default"), ("b", "default"), ("a", "other"))
SLOTS = {("a", "default"): 1, ("b", "default"): 2, ("a", "other"): 3}
TEXT = HEAD + EMULATED + "[images.base]\n[images.middle]\n[images.leaf]\n[images.other]\n"
FILES = {"middle": "FROM base\n", "leaf": "FROM middle\n", "other": "FROM base\n"}
PLAN = compile_text(TEXT, FILES)
ONE_NODE = {("qemu", "default"): 4}


@st.composite
def graphs(draw: st.DrawFn) -> tuple[Job, ...]:
    """Jobs in order, on several nodes; some take no time at all."""
    jobs: list[Job] = []
    for number in range(draw(st.integers(1, 12))):
        parents = sorted(draw(st.sets(st.integers(0, number - 1), max_size=3))) if number else ()
        jobs.append(
            Job(
                name=f"s{number:02}",
                node=draw(st.sampled_from(NODES)),
                needs=tuple(f"s{parent:02}" for parent in parents),
                seconds=draw(st.integers(0, 50)),
                build=f"i{number:02}@linux/amd64",
            )
        )
    return tuple(jobs)


@given(planned=graphs(), jobs=st.integers(1, 5))
def test_no_estimate_is_shorter_than_anything_could_be(planned: tuple[Job, ...], jobs: int) -> None:
    """Than the critical path, and than all work shared by all slots; and none is longer than one after the other."""
    seconds = simulate(planned, SLOTS, jobs=jobs)
    work = sum(job.seconds for job in planned)
    _, length = critical_path(planned)
    assert max(length, work / min(jobs, sum(SLOTS.values()))) <= seconds <= work
    for node, slots in SLOTS.items():
        assert sum(job.seconds for job in planned if job.node == node) / slots <= seconds


@given(planned=graphs(), jobs=st.integers(1, 5), data=st.data())
def test_an_estimate_does_not_depend_on_the_order_of_equals(
    planned: tuple[Job, ...], jobs: int, data: st.DataObject
) -> None:
    """Neither of jobs, nor of nodes; the path only asks for parents first."""
    shuffled = tuple(data.draw(st.permutations(planned)))
    slots = dict(data.draw(st.permutations(list(SLOTS.items()))))
    assert simulate(planned, SLOTS, jobs=jobs) == simulate(shuffled, slots, jobs=jobs)
    order = sorted(shuffled, key=lambda job: len(_ancestors(planned, job.name)))
    assert critical_path(planned) == critical_path(order)


def _ancestors(planned: tuple[Job, ...], name: str) -> set[str]:
    job = next(job for job in planned if job.name == name)
    return {name}.union(*(_ancestors(planned, need) for need in job.needs))


@given(planned=graphs())
def test_the_critical_path_is_one(planned: tuple[Job, ...]) -> None:
    """Each of it needs the one before, and their times add up."""
    path, length = critical_path(planned)
    by_build = {job.build: job for job in planned}
    jobs = [by_build[build] for build in path]
    assert length == sum(job.seconds for job in jobs)
    assert all(before.name in after.needs for before, after in pairwise(jobs))


@given(planned=graphs(), jobs=st.integers(1, 5), data=st.data())
def test_the_engine_takes_as_long(planned: tuple[Job, ...], jobs: int, data: st.DataObject) -> None:
    """Its own schedule, with a clock that jumps. Times are powers of two, so that no two jobs end together."""
    powers = data.draw(st.permutations([2**number for number in range(len(planned))]))
    times = dict(zip((job.name for job in planned), powers, strict=True))
    planned = tuple(job._replace(seconds=times[job.name]) for job in planned)
    steps: tuple[Step, ...] = tuple(solve_step(job.name, job.needs, "/".join(job.node)) for job in planned)
    by_name = {step.id: step for step in steps}
    schedule = Schedule(steps, jobs=jobs, slots=SLOTS)
    running: list[tuple[float, str]] = []
    now = 0.0
    while not schedule.finished:
        for step in schedule.take():
            heappush(running, (now + times[step.id], step.id))
        now, name = heappop(running)
        schedule.done(by_name[name])
    assert now == simulate(planned, SLOTS, jobs=jobs)


def took(seconds: float, *, emulated: bool = True) -> Past:
    """What is remembered of a build."""
    return Past(is_known=True, took=Took(seconds=seconds, emulated=emulated))


def all_of(plan: Plan, seconds: float) -> dict[str, Past]:
    """The same for every build; the sample's solves have an emulated platform each."""
    return {build.id: took(seconds) for build in plan.builds}


def test_a_plan_of_known_builds() -> None:
    """The longest chain, and what else fits beside it."""
    past = {**all_of(PLAN, 10.0), "other@linux/amd64": took(25.0), "other@linux/arm64": took(25.0)}
    assert Estimate(
        seconds=35.0,
        critical_path=("base@linux/amd64", "other@linux/amd64"),
        critical_seconds=35.0,
        builds=8,
        unknown=0,
    ) == estimate_plan(PLAN, past, ONE_NODE, jobs=8)


def test_one_at_a_time_takes_as_long_as_all() -> None:
    """Jobs are a limit beside slots."""
    assert [40.0, 30.0] == [
        estimate.seconds
        for jobs in (1, 2)
        if (estimate := estimate_plan(PLAN, all_of(PLAN, 10.0), ONE_NODE, jobs=jobs))
    ]


def test_without_history_nothing_is_said() -> None:
    """But that there is none."""
    assert Estimate(seconds=None, builds=8, unknown=8) == estimate_plan(PLAN, {}, ONE_NODE, jobs=8)


def test_what_was_never_built_counts_as_the_median() -> None:
    """And is counted."""
    past = {name: one for name, one in all_of(PLAN, 10.0).items() if not name.startswith("leaf@")}
    found = estimate_plan(PLAN, {**past, "base@linux/amd64": took(90.0)}, ONE_NODE, jobs=8)
    assert found is not None
    assert (110.0, 2) == (found.seconds, found.unknown)


def test_a_solve_of_which_a_platform_is_known_takes_as_long_as_that() -> None:
    """It is noted with the whole solve."""
    found = estimate_plan(PLAN, {"base@linux/arm64": took(7.0)}, ONE_NODE, jobs=8)
    assert found is not None
    assert (21.0, 7, "base@linux/arm64") == (found.seconds, found.unknown, found.critical_path[0])


def test_an_emulated_build_says_nothing_of_a_native_one() -> None:
    """Nor the other way round."""
    native = {build.id: took(10.0, emulated=False) for build in PLAN.builds}
    found = estimate_plan(PLAN, native, ONE_NODE, jobs=8)
    assert found is not None
    assert (None, 8) == (found.seconds, found.unknown)


def test_solves_know_which_of_their_platforms_are_emulated() -> None:
    """By the placement of the builds in them."""
    expected = {step.id: ("linux/arm64",) for step in PLAN.steps if isinstance(step, SolveStep)}
    assert expected == emulated_platforms(PLAN)


def test_a_plan_that_builds_nothing_has_no_estimate() -> None:
    """Everything stands."""
    stands = tuple(msgspec.structs.replace(build, action=Action.REUSE) for build in PLAN.builds)
    assert estimate_plan(msgspec.structs.replace(PLAN, builds=stands, steps=()), {}, ONE_NODE, jobs=8) is None


@pytest.mark.parametrize("slots", [{}, {("qemu", "default"): 1}])
def test_a_node_that_says_nothing_of_its_slots_has_one(slots: dict[tuple[str, str], int]) -> None:
    """As one that has it."""
    found = estimate_plan(PLAN, all_of(PLAN, 10.0), slots, jobs=8)
    assert found is not None
    assert 40.0 == found.seconds
