from __future__ import annotations

import pytest

from orchestrator.api.events import (
    BuildWarning,
    ChildStarted,
    Event,
    LogLine,
    LoweredAgain,
    NodeLost,
    Retried,
    RunFinished,
    RunStarted,
    StepFinished,
    StepStarted,
    StepState,
    TagPut,
    VertexProgress,
)
from orchestrator.oci.digest import digest_bytes, short
from orchestrator.ui.plain import PlainProgress

ONE, OTHER = digest_bytes(b"one"), digest_bytes(b"other")


def lines(*events: Event, verbose: bool = False) -> list[str]:
    """What is written for some events."""
    written: list[str] = []
    progress = PlainProgress(written.append, verbose=verbose, clock=lambda: 0.0)
    for event in events:
        progress(event)
    return written


def finished(step: str, state: StepState = StepState.DONE, **fields: str) -> StepFinished:
    """The end of a step."""
    return StepFinished(
        step=step, state=state, time=0.0, seconds=2.0, digest=fields.get("digest"), message=fields.get("message", "")
    )  # fmt: skip


def tag(previous: str | None) -> TagPut:
    """A tag that was put."""
    return TagPut(step="promote:x", reference="r/x:1", digest=ONE, previous=previous, time=0.0)


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (StepStarted(step="solve:x", time=0.0), "solve:x  started"),
        (StepStarted(step="copy:x:r/y", time=0.0), "copy:x:r/y  started"),
        (StepStarted(step="solve:x", time=0.0, node="arm"), "solve:x  started on arm"),
        (StepStarted(step="record:x@linux/amd64", time=0.0), None),
        (finished("solve:x"), "solve:x  done in 2.0s"),
        (finished("solve:x", digest=ONE), "solve:x  done in 2.0s"),
        (finished("verify:x", digest=ONE), f"verify:x  done in 2.0s  {short(ONE)}"),
        (finished("record:x@linux/amd64", digest=ONE), None),
        (finished("gate:release"), None),
        (finished("record:x", StepState.FAILED, message="no such\nline two"), "record:x  FAILED in 2.0s  no such"),
        (finished("solve:x", StepState.CANCELLED), "solve:x  cancelled in 2.0s"),
        (finished("solve:x", StepState.SKIPPED, message="needs assemble:y"), "solve:x  skipped (needs assemble:y)"),
        (finished("promote:x", StepState.SKIPPED, message="needs gate:release"),
         "promote:x  skipped (needs gate:release)"),
        (finished("record:x", StepState.SKIPPED, message="needs solve:x"), None),
        (Retried(step="solve:x", attempt=2, message="reset", time=0.0), "solve:x  retry 2: reset"),
        (LoweredAgain(steps=("solve:x",), message="`y` failed", time=0.0), "solve:x  again: `y` failed"),
        (LoweredAgain(steps=("solve:x", "solve:z"), message="`y` failed", time=0.0),
         "solve:x and 1 other  again: `y` failed"),
        (Retried(step="solve:x", attempt=1, message="no\nx", time=0.0, wait=2.0, node="arm"),
         "solve:x  retry 1 away from arm in 2.0s: no"),
        (NodeLost(node="arm", message="no\nanswer", time=0.0, rest=60.0),
         "node arm  lost, nothing is built there for 1m00s: no"),
        (NodeLost(node="arm", message="no", time=0.0), "node arm  lost, nothing is built there in this run: no"),
        (tag(None), f"tag r/x:1  new  {short(ONE)}"),
        (tag(OTHER), f"tag r/x:1  moved  {short(ONE)}"),
        (tag(ONE), f"tag r/x:1  stands  {short(ONE)}"),
        (BuildWarning(step="solve:x", message="use ="), "solve:x  warning: use ="),
        (RunStarted(run="r", time=0.0, project="p", destination="oci", steps=(), images=()), None),
        (RunFinished(run="r", exit_code=0, time=0.0), None),
        (ChildStarted(steps=("solve:x",), argv=("docker",), time=0.0), None),
    ],
)  # fmt: skip
def test_a_line_for_what_a_reader_wants(event: Event, line: str | None) -> None:
    """And none for the rest."""
    assert ([] if line is None else [line]) == lines(event)


@pytest.mark.parametrize("kind", ["promote", "promote-moving"])
def test_a_step_without_tags_is_no_news(kind: str) -> None:
    """An image may have no fixed tag, or no moving one; where its step fails, that is told all the same."""
    step = f"{kind}:x"
    put = TagPut(step=step, reference="r/x:1", digest=ONE, previous=None, time=0.0)
    assert [] == lines(finished(step))
    assert [f"{step}  FAILED in 2.0s"] == lines(finished(step, StepState.FAILED))
    assert [f"tag r/x:1  new  {short(ONE)}", f"{step}  done in 2.0s"] == lines(put, finished(step))


def test_what_builds_print_is_for_those_who_ask() -> None:
    """Control sequences are taken out of it."""
    vertex = VertexProgress(step="solve:x", vertex="v", name="[1/2] RUN\x1b[2J x", state="started")
    log = LogLine(step="solve:x", vertex="v", stream="stdout", text="9%\r\x1b[31mred\x1b[0m\tx\x07")
    assert [] == lines(vertex, log)
    assert ["solve:x  started [1/2] RUN x", "solve:x  | red\tx"] == lines(vertex, log, verbose=True)


class Clock:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """The time."""
        return self.now


def test_a_run_that_is_silent_for_long_says_what_it_does() -> None:
    """Every half minute, and not where something else was said meanwhile."""
    written: list[str] = []
    clock = Clock()
    progress = PlainProgress(written.append, verbose=False, clock=clock)
    for number in range(6):
        progress(StepStarted(step=f"solve:i{number}", time=1000.0))
    progress(StepStarted(step="record:x@linux/amd64", time=1000.0))
    written.clear()
    for second in range(1, 66):
        clock.now = 1000.0 + second
        if second == 20:
            progress(finished("solve:i0"))
        progress.tick()
    assert [
        "solve:i0  done in 2.0s",
        "still running: solve:i1 (50s), solve:i2 (50s), solve:i3 (50s), solve:i4 (50s), 1 more",
    ] == written


def test_silence_is_golden_where_nothing_runs() -> None:
    """A step that takes a moment is not worth a line."""
    written: list[str] = []
    clock = Clock()
    progress = PlainProgress(written.append, verbose=False, clock=clock)
    progress(StepStarted(step="gate:release", time=1000.0))
    clock.now = 5000.0
    progress.tick()
    assert [] == written
