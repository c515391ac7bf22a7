from __future__ import annotations

import pytest

from orchestrator.api.events import (
    BuildWarning,
    ChildStarted,
    Event,
    LogLine,
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
    progress = PlainProgress(written.append, verbose=verbose)
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
    log = LogLine(step="solve:x", vertex="v", stream="stdout", text="\x1b[31mred\x1b[0m\tx\x07")
    assert [] == lines(vertex, log)
    assert ["solve:x  started [1/2] RUN x", "solve:x  | red\tx"] == lines(vertex, log, verbose=True)
