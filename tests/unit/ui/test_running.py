"""How far a run is, by its events."""

from __future__ import annotations

import pytest

from orchestrator.api.events import Event, Retried, StepState
from orchestrator.api.outline import StepOutline
from orchestrator.ui.running import Running, RunningStep, RunView
from tests.unit.ui.runs import BOTH, begin, child, ends, large, solve, starts, vertex

CHILDREN = tuple(solve(f"child{number}", 60.0, ("solve:a",)) for number in range(499))
MOVED = Retried(step="solve:a", attempt=2, message="no answer", time=1005.0, node="arm")


def view(*events: Event, now: float = 1010.0) -> RunView:
    """What there is to show."""
    running = Running()
    for event in events:
        running.take(event)
    return running.view(now)


def test_what_runs_is_told_with_what_it_does() -> None:
    """The vertex that began last and has not ended; on which node, and for how long."""
    found = view(
        begin(solve("api")), starts("solve:api", 1004.0, "arm"), vertex("solve:api", "one"), vertex("solve:api", "two"),
        vertex("solve:api", "three"), vertex("solve:api", "three", "done"),
    )  # fmt: skip
    assert RunView(
        running=(RunningStep(name="api", platforms=BOTH, node="arm", vertex="two", seconds=6.0),),
        noun="build", total=1, seconds=10.0,
    ) == found  # fmt: skip
    assert "api@linux/amd64,arm64" == found.running[0].label


@pytest.mark.parametrize(
    ("kind", "platforms", "label"),
    [("test", ("linux/arm64",), "test api@linux/arm64"), ("verify", (), "verify api"),
     ("solve", ("linux/amd64", "windows/amd64"), "api@linux/amd64,windows/amd64")],
)  # fmt: skip
def test_steps_are_called_by_what_they_do(kind: str, platforms: tuple[str, ...], label: str) -> None:
    """Builds are called by their images alone."""
    outline = StepOutline(id=f"{kind}:api", kind=kind, image="api", needs=(), platforms=platforms)
    assert [label] == [step.label for step in view(begin(outline), starts(f"{kind}:api")).running]


def test_what_takes_a_moment_is_not_shown() -> None:
    """It would only flicker."""
    quiet = [StepOutline(id=f"{kind}:api", kind=kind, image="api", needs=()) for kind in ("gate", "record", "assemble")]
    assert () == view(begin(*quiet), *(starts(step.id) for step in quiet)).running


def test_builds_are_counted_by_how_they_ended() -> None:
    """What stands already is done; steps that build nothing are counted only where nothing is built."""
    steps = [solve(name) for name in "abcdefg"]
    verify = StepOutline(id="verify:a", kind="verify", image="a", needs=())
    states = dict(zip("abcde", StepState, strict=True))
    found = view(
        begin(*steps, verify), *(ends(f"solve:{name}", state) for name, state in states.items()), ends(verify.id)
    )
    assert ("build", 7, 2, 1, 2) == (found.noun, found.total, found.done, found.failed, found.skipped)
    promoted = view(begin(verify), ends(verify.id))
    assert ("step", 1, 1) == (promoted.noun, promoted.total, promoted.done)


def test_a_retry_is_told_with_its_wait() -> None:
    """Then with what it does; on another node where it went there."""
    again = Retried(step="solve:a", attempt=2, message="reset\nx", time=1008.0, wait=4.0, node="other")
    events = (begin(solve("a")), starts("solve:a", node="arm"), vertex("solve:a", "RUN x"), again)
    (waiting,) = view(*events).running
    assert ("retry 2 in 2s: reset", "other") == (waiting.vertex, waiting.node)
    assert ["retry 2: RUN y"] == [step.vertex for step in view(*events, vertex("solve:a", "RUN y"), now=1020.0).running]


@pytest.mark.parametrize(
    ("events", "left"),
    [
        ((begin(solve("a"), solve("b")),), None),
        ((begin(solve("a", 60.0), solve("b", 60.0)),), 120.0),
        ((begin(solve("a", 60.0), solve("b")),), 120.0),
        ((begin(solve("a", 60.0), solve("b", 60.0), at_once=2), starts("solve:a"), starts("solve:b")), 50.0),
        ((begin(solve("a", 60.0), solve("b", 60.0, ("solve:a",))), starts("solve:a")), 110.0),
        ((begin(solve("a"), solve("b"), solve("c")), starts("solve:a"), ends("solve:a", seconds=30.0)), 60.0),
        ((begin(solve("a", 5.0)), starts("solve:a")), 0.0),
        ((begin(solve("a", 5.0)), starts("solve:a"), ends("solve:a")), None),
        ((begin(solve("a", 60.0), solve("b", 40.0)), ends("solve:a", StepState.SKIPPED)), 40.0),
        ((begin(solve("a", 60.0), *CHILDREN, at_once=8), starts("solve:a")), (500 * 60.0 - 10.0) / 8),
        ((begin(solve("a", 60.0), solve("b", 60.0), at_once=2), starts("solve:a"), MOVED, starts("solve:a", 1005.0),
          starts("solve:b", 1005.0)), 55.0),
    ],
    ids=["no-history", "one-by-one", "unknown-is-mean", "at-once", "in-a-row", "learned", "late", "over", "skipped",
         "children-of-one", "moved"],
)  # fmt: skip
def test_what_is_left_is_estimated(events: tuple[Event, ...], left: float | None) -> None:
    """From how long it took the last time, or in this run."""
    assert left == view(*events).left


ALL = ("solve:a", "solve:b", "solve:c")
TOGETHER = (begin(*(solve(name, 30.0) for name in "abc"), solve("d", 60.0)), starts("solve:a"))


@pytest.mark.parametrize(
    ("events", "now", "left"),
    [
        ((), 1010.0, 140.0),
        ((child(*ALL),), 1010.0, 140.0),
        ((child(*ALL),), 1080.0, 70.0),
        ((child(*ALL),), 1100.0, 60.0),
        ((child(*ALL), ends("solve:a", seconds=80.0)), 1080.0, 60.0),
        ((child(*ALL), ends("solve:a", seconds=80.0), child("solve:b", "solve:c", time=1080.0)),
         1090.0, 110.0),
        ((child(*ALL), ends("solve:a", seconds=80.0), child("solve:b", time=1080.0),
          starts("solve:b", 1080.0)), 1090.0, 80.0),
    ],
    ids=["before", "begun", "nearly", "late", "ending", "again", "alone"],
)  # fmt: skip
def test_what_one_child_does_is_one_piece_of_work(events: tuple[Event, ...], now: float, left: float) -> None:
    """It moves on by the second, although none of its steps ends before the last: `bake` runs all in one."""
    assert left == view(*TOGETHER, *events, now=now).left


def test_what_one_child_does_is_learned_by_its_shares() -> None:
    """The first of its steps takes as long as all of them, and the others next to nothing."""
    steps = (solve("a"), solve("b"), solve("c"))
    together = (begin(*steps), starts("solve:a"), child("solve:a", "solve:b"))
    ended = (ends("solve:a", seconds=100.0), starts("solve:b", 1100.0))
    assert 50.0 == view(*together, *ended, now=1100.0).left


def test_what_is_done_for_a_step_that_has_not_begun_is_shown() -> None:
    """On the line of the one that does it too, with its name; on its own once it has begun."""
    events = (
        begin(solve("a"), solve("b")), starts("solve:a"), child("solve:a", "solve:b"), vertex("solve:a", "RUN x"),
        vertex("solve:a", "RUN x", "done"), vertex("solve:b", "RUN y"),
    )  # fmt: skip
    assert ["b: RUN y"] == [step.vertex for step in view(*events).running]
    assert [""] == [step.vertex for step in view(*events, vertex("solve:b", "RUN y", "done")).running]
    again = Retried(step="solve:b", attempt=2, message="reset", time=1010.0, wait=4.0)
    assert ["retry 2 in 4s: reset"] == [step.vertex for step in view(*events, again).running]
    begun = (ends("solve:a"), starts("solve:b"), vertex("solve:b", "RUN z"))
    assert ["RUN z"] == [step.vertex for step in view(*events, *begun).running]


def test_ten_thousand_steps_are_as_cheap_as_ten() -> None:
    """What is kept of a run is what runs: a view looks at nothing else."""
    running = Running()
    for event in large(10_000, 9_000, 20):
        running.take(event)
    found = running.view(20_000.0)
    assert (20, 10_000, 8_998, 2) == (len(found.running), found.total, found.done, found.failed)
    assert 20 == len(running._running)
