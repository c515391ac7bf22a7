"""Estimates: never below what no order of builds could beat, and what the engine's own order comes to."""

from __future__ import annotations

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.plan.estimate import (
    Estimate,
    Timed,
    critical_path,
    emulated_platforms,
    estimate_plan,
    simulate,
)
from orchestrator.plan.model import Action, Plan, SolveStep
from orchestrator.plan.past import Past, Took
from orchestrator.plan.schedule import Job, Seat
from tests.unit.plan.samples import EMULATED, HEAD, compile_text

NODES = (("a", "default"), ("b", "default"), ("a", "other"))
SEATS = {("a", "default"): Seat(1), ("b", "default"): Seat(2), ("a", "other"): Seat(3)}
TEXT = HEAD + EMULATED + "[images.base]\n[images.middle]\n[images.leaf]\n[images.other]\n"
FILES = {"middle": "FROM base\n", "leaf": "FROM middle\n", "other": "FROM base\n"}
PLAN = compile_text(TEXT, FILES)
ONE_NODE = {("qemu", "default"): Seat(4)}


@st.composite
def graphs(draw: st.DrawFn) -> tuple[Timed, ...]:
    """Jobs in order, on several nodes; some take no time at all."""
    planned: list[Timed] = []
    for number in range(draw(st.integers(1, 12))):
        parents = sorted(draw(st.sets(st.integers(0, number - 1), max_size=3))) if number else ()
        job = Job(
            id=f"s{number:02}",
            needs=tuple(f"s{parent:02}" for parent in parents),
            seats=(draw(st.sampled_from(NODES)),),
            seconds=draw(st.integers(0, 50)),
        )
        planned.append(Timed(job, f"i{number:02}@linux/amd64"))
    return tuple(planned)


@given(planned=graphs(), jobs=st.integers(1, 5))
def test_no_estimate_is_shorter_than_anything_could_be(planned: tuple[Timed, ...], jobs: int) -> None:
    """Than the critical path, and than all work shared by all slots; and none is longer than one after the other."""
    alone = tuple(timed.job for timed in planned)
    seconds = simulate(alone, SEATS, jobs=jobs)
    work = sum(job.seconds for job in alone)
    _, length = critical_path(planned)
    assert max(length, work / min(jobs, sum(seat.slots for seat in SEATS.values()))) <= seconds <= work
    for node, seat in SEATS.items():
        assert sum(job.seconds for job in alone if node in job.seats) / seat.slots <= seconds


@given(planned=graphs())
def test_the_critical_path_is_one(planned: tuple[Timed, ...]) -> None:
    """Each of it needs the one before, and their times add up."""
    path, length = critical_path(planned)
    by_build = {timed.build: timed.job for timed in planned}
    jobs = [by_build[build] for build in path]
    assert length == sum(job.seconds for job in jobs)
    assert all(before.id in after.needs for before, after in pairwise(jobs))


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


@pytest.mark.parametrize("seats", [{}, {("qemu", "default"): Seat()}])
def test_a_node_that_says_nothing_of_its_slots_has_one(seats: dict[tuple[str, str], Seat]) -> None:
    """As one that has it."""
    found = estimate_plan(PLAN, all_of(PLAN, 10.0), seats, jobs=8)
    assert found is not None
    assert 40.0 == found.seconds
