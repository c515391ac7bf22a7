from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.api.solve import BuildOptions, LayoutOutput, Solve
from orchestrator.engine.schedule import Schedule
from orchestrator.oci.platform import parse_platform
from orchestrator.plan.model import GateStep, LayoutHome, SolveStep, Step

COUNT = 12


def solve_step(name: str, needs: tuple[str, ...], node: str) -> SolveStep:
    """A step that takes a slot."""
    options = BuildOptions(context=".", dockerfile="Dockerfile")
    solve = Solve(
        id=name, image=name, platforms=(parse_platform("linux/amd64"),), options=options, output=LayoutOutput(name="l")
    )  # fmt: skip
    backend, _, place = node.partition("/")
    return SolveStep(
        id=name, image=name, needs=needs, solve=solve, backend=backend, node=place, home=LayoutHome(path=name)
    )  # fmt: skip


@st.composite
def graphs(draw: st.DrawFn) -> tuple[Step, ...]:
    """Steps in order; some take a slot of a node."""
    steps: list[Step] = []
    for number in range(draw(st.integers(1, COUNT))):
        needs = tuple(f"s{parent}" for parent in sorted(draw(st.sets(st.integers(0, max(0, number - 1)), max_size=3))))
        needs = needs if number else ()
        node = draw(st.sampled_from(["", "a/default", "b/default", "a/other"]))
        steps.append(solve_step(f"s{number}", needs, node) if node else GateStep(id=f"s{number}", needs=needs))
    return tuple(steps)


def descendants(steps: tuple[Step, ...], name: str) -> set[str]:
    """All that needs it, near or far."""
    found: set[str] = set()
    for step in steps:
        if found & set(step.needs) or name in step.needs:
            found.add(step.id)
    return found


@given(steps=graphs(), jobs=st.integers(1, 4), data=st.data())
def test_every_step_ends_exactly_once(steps: tuple[Step, ...], jobs: int, data: st.DataObject) -> None:
    """Done, failed or skipped; never before its needs, never more at a time than slots and jobs allow."""
    slots = {("a", "default"): 1, ("b", "default"): 2, ("a", "other"): 1}
    schedule = Schedule(steps, jobs=jobs, slots=slots)
    running: list[Step] = []
    done: set[str] = set()
    over: list[str] = []
    while not schedule.finished:
        started = list(schedule.take())
        running += started
        assert running, "something can always be done"
        solves = [step for step in running if isinstance(step, SolveStep)]
        assert len(solves) <= jobs
        for node, limit in slots.items():
            assert sum((step.backend, step.node) == node for step in solves) <= limit
        for step in started:
            assert set(step.needs) <= done
        step = running.pop(data.draw(st.integers(0, len(running) - 1)))
        over.append(step.id)
        if data.draw(st.booleans()):
            schedule.done(step)
            done.add(step.id)
            continue
        skipped = schedule.failed(step)
        assert descendants(steps, step.id) - set(over) == {other.id for other, _ in skipped}
        for other, cause in skipped:
            assert cause in other.needs
            assert cause in over
            over.append(other.id)
    assert [] == running
    assert [] == list(schedule.take())
    assert sorted(over) == sorted(step.id for step in steps)


@given(steps=graphs())
def test_without_failures_nothing_is_skipped(steps: tuple[Step, ...]) -> None:
    """Everything runs."""
    slots = {("a", "default"): 1, ("b", "default"): 1, ("a", "other"): 1}
    schedule = Schedule(steps, jobs=2, slots=slots)
    order: list[str] = []
    while not schedule.finished:
        for step in list(schedule.take()):
            order.append(step.id)
            schedule.done(step)
    assert sorted(order) == sorted(step.id for step in steps)


def test_two_backends_may_have_nodes_of_one_name() -> None:
    """Each has its own slots."""
    steps = (solve_step("x", (), "a/default"), solve_step("y", (), "b/default"))
    schedule = Schedule(steps, jobs=2, slots={("a", "default"): 1, ("b", "default"): 1})
    assert ["x", "y"] == [step.id for step in schedule.take()]


def test_needs_that_are_not_in_the_plan_are_met() -> None:
    """A plan of later steps alone goes on with what an earlier run gave."""
    schedule = Schedule((GateStep(id="x", needs=("elsewhere",)),), jobs=1, slots={})
    assert ["x"] == [step.id for step in schedule.take()]


def test_an_empty_plan_is_finished() -> None:
    """There is nothing to wait for."""
    assert Schedule((), jobs=1, slots={}).finished
