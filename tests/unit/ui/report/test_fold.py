"""A report says what the events say: states, times, who waited for what, what was reused and why."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.api.events import (
    ChildStarted,
    Event,
    FailedAt,
    NodeLost,
    PlatformSize,
    Retried,
    RunFinished,
    RunStarted,
    StepFinished,
    StepStarted,
    StepState,
    TagLeft,
    TagPut,
    TagRestored,
    TagsKept,
    VertexProgress,
)
from orchestrator.api.outline import BuildOutline, ImageOutline, StepOutline, TagOutline
from orchestrator.ui.report.fold import fold_report
from orchestrator.ui.report.model import Attempt, ImageRow, ReportData, StepRow
from tests.unit.ui.report.journals import hostile_events, hostile_log, run_events

AMD64 = "linux/amd64"
SOLVE, RECORD, TEST, VERIFY, PROMOTE = (
    f"solve:app@{AMD64}",
    f"record:app@{AMD64}",
    f"test:app@{AMD64}",
    "verify:app",
    "promote:app",
)


def begun(*kinds: str, action: str = "build", destination: str = "push", standing: tuple[str, ...] = ()) -> RunStarted:
    """One image whose steps are a chain of these kinds."""
    ids = [f"{kind}:app@{AMD64}" if kind in {"solve", "record", "test"} else f"{kind}:app" for kind in kinds]
    steps = tuple(
        StepOutline(id=step, kind=kind, image="app", needs=(before,) if before else (), platforms=(AMD64,))
        for before, step, kind in zip(("", *ids), ids, kinds, strict=False)
    )
    reasons, stands = (("files changed: `a`",), None) if action == "build" else ((), "sha256:7")
    builds = (BuildOutline(platform=AMD64, action=action, reasons=reasons, inputs="sha256:1", digest=stands),)
    image = ImageOutline(name="app", action=action, builds=builds, tags=("r/app:1",), standing=standing)
    return RunStarted(run="r", time=100.0, project="p", destination=destination, steps=steps, images=(image,))


def ran(step: str, start: float, end: float, state: StepState = StepState.DONE, **more: object) -> tuple[Event, Event]:
    """A step that ran between these times."""
    finished = StepFinished(step=step, state=state, time=100 + end, seconds=end - start)
    return StepStarted(step=step, time=100 + start, node="n"), msgspec.structs.replace(finished, **more)


def fold(*events: Event) -> ReportData:
    """The report of a run without logs."""
    return fold_report(events, lambda _step, _most: None)


def image_of(data: ReportData) -> ImageRow:
    """Its only image."""
    (image,) = data.images
    return image


def step_of(data: ReportData, step: str) -> StepRow:
    """A step by its id."""
    return next(row for row in data.steps if row.id == step)


@pytest.mark.parametrize(
    ("kinds", "ended", "build", "image"),
    [
        (("solve", "record"), (StepState.DONE, StepState.DONE), "built", "built"),
        (("solve", "record"), (StepState.FOUND, StepState.DONE), "reused", "reused"),
        (("solve", "record"), (StepState.FAILED, StepState.SKIPPED), "failed", "failed"),
        (("solve", "record"), (StepState.SKIPPED, StepState.SKIPPED), "skipped", "skipped"),
        (("solve", "record"), (StepState.CANCELLED,), "cancelled", "cancelled"),
        (("solve", "record", "test"), (StepState.DONE, StepState.DONE, StepState.FAILED), "test failed", "test failed"),
        (("solve", "record", "verify"), (StepState.DONE, StepState.DONE, StepState.FAILED), "built", "failed"),
        (("solve", "record", "promote"), (StepState.DONE, StepState.DONE, StepState.SKIPPED), "built", "built"),
        (("solve", "record", "promote"), (StepState.DONE, StepState.DONE, StepState.FAILED), "built", "failed"),
        (("solve", "record"), (), "not started", "not started"),
    ],
)
def test_states(kinds: tuple[str, ...], ended: Sequence[StepState], build: str, image: str) -> None:
    """What became of the steps of an image decides what became of it."""
    run = begun(*kinds)
    steps = zip(run.steps, ended, strict=False)
    data = fold(run, *(event for step, state in steps for event in ran(step.id, 0, 1, state)))
    assert (build, image) == (image_of(data).builds[0].state, image_of(data).state)


def test_an_image_without_steps_stands_as_planned() -> None:
    """What is reused as a whole has nothing to do; what is blocked has nothing that could be done."""
    assert "reused" == image_of(fold(begun(action="reuse"))).state
    assert "blocked" == image_of(fold(begun(action="blocked"))).state


@pytest.mark.parametrize("kinds", [("assemble", "verify", "promote"), ("verify", "promote")])
def test_what_an_earlier_run_built_is_reused(kinds: tuple[str, ...]) -> None:
    """A run that was gone on with, or promoted, has no steps of it, but its digest."""
    run = begun(*kinds, action="reuse")
    image = image_of(fold(run, *(event for step in run.steps for event in ran(step.id, 0, 1))))
    assert ("reused", "reused", "sha256:7") == (image.state, image.builds[0].state, image.builds[0].digest)


def test_what_ran_when_the_journal_ends_is_unfinished() -> None:
    """Nobody says that the run has ended, and the report says that."""
    data = fold(begun("solve", "record"), *ran(SOLVE, 0, 1)[:1], *ran("other", 2, 5))
    assert (None, "has not ended: it was cut off, or still runs") == (data.exit_code, data.outcome)
    assert ("unfinished", 5.0) == (image_of(data).state, step_of(data, SOLVE).end)


def test_a_step_says_what_it_waited_for() -> None:
    """It could begin when the last of its needs had ended; the rest it waited for a slot."""
    data = fold(
        begun("solve", "record"), *ran(SOLVE, 0, 4), *ran(RECORD, 6, 7), RunFinished(run="r", exit_code=0, time=108)
    )
    record = step_of(data, RECORD)
    assert (4.0, 6.0, 7.0, SOLVE, True) == (record.ready, record.start, record.end, record.after, record.critical)
    assert (5.0, 2.0, 8.0) == (data.critical.work, data.critical.waited, data.seconds)


def test_a_step_says_who_held_its_slot() -> None:
    """The step whose end let it begin; one that waited for what it needs was behind nobody."""
    held = fold(begun("solve", "record"), *ran("record:app@linux/amd64", 0, 4), *ran(SOLVE, 5, 6))
    assert (RECORD, 0.0, 5.0) == ((step := step_of(held, SOLVE)).behind, step.ready, step.start)
    needed = fold(begun("solve", "record"), *ran(SOLVE, 0, 4), *ran(RECORD, 4, 6))
    assert "" == step_of(needed, RECORD).behind


def test_a_slot_is_taken_as_soon_as_it_is_free() -> None:
    """Whoever began long after had another reason, which nobody knows."""
    late = fold(begun("solve", "record"), *ran(RECORD, 0, 4), *ran(SOLVE, 9, 10))
    assert ("", False, 0.0, 9.0) == ((step := step_of(late, SOLVE)).behind, step.rested, step.ready, step.start)


def test_what_one_child_does_with_others_waits_for_what_those_need() -> None:
    """So it is not said that it waited for a slot, whoever ended meanwhile."""
    shared = ChildStarted(steps=(SOLVE, "solve:other"), argv=("docker",), time=105)
    held = fold(begun("solve", "record"), *ran(RECORD, 0, 5), *ran(SOLVE, 5, 6), shared)
    assert "" == step_of(held, SOLVE).behind


@pytest.mark.parametrize(("start", "rested"), [(34.5, True), (50, False)])
def test_a_node_that_was_lost_is_left_alone_for_a_while(start: float, rested: bool) -> None:  # noqa: FBT001 (a case)
    """Who waited for that waited for no slot, though one may have become free at the same time."""
    lost = NodeLost(node="n", message="no answer", time=104, rest=30)
    data = fold(begun("solve", "record"), *ran(RECORD, 0, start), lost, *ran(SOLVE, start, start + 1))
    assert ("", rested) == ((step := step_of(data, SOLVE)).behind, step.rested)


def test_a_failed_test_has_no_line_in_a_dockerfile() -> None:
    """Nobody wrote the one that it has; that of a solve is named."""
    run = begun("solve", "record", "test")
    steps = tuple(msgspec.structs.replace(step, dockerfile="app/Dockerfile") for step in run.steps)
    places = [FailedAt(step=step, file="Dockerfile", line=3, excerpt=("RUN make",)) for step in (SOLVE, TEST)]
    data = fold(msgspec.structs.replace(run, steps=steps), *places)
    assert [("app/Dockerfile:3", ("RUN make",)), ("", ())] == [
        ((row := step_of(data, step)).place, row.excerpt) for step in (SOLVE, TEST)
    ]


def test_only_instructions_count_as_cached() -> None:
    """The last state of each vertex counts; what BuildKit does for itself is never in a cache."""
    vertexes = (
        ("1", "[1/3] FROM base", "cached"),
        ("2", "[linux/arm64 build 2/3] RUN make", "started"),
        ("2", "[linux/arm64 build 2/3] RUN make", "done"),
        ("3", "[internal] load metadata", "cached"),
        ("4", "exporting to image", "done"),
    )
    progress = [VertexProgress(step=SOLVE, vertex=v, name=name, state=state) for v, name, state in vertexes]  # type: ignore[arg-type]  # three words of the list
    step = step_of(fold(begun("solve"), *progress), SOLVE)
    assert (1, 2) == (step.cached, step.instructions)


def test_tags_say_what_became_of_them() -> None:
    """Put over what was there, or standing already, or not put; where none was asked for nothing is said."""
    run = begun("promote")
    put = TagPut(step=PROMOTE, reference="r/app:1", digest="sha256:2", previous="sha256:1", time=101)
    kept = TagsKept(moves=(TagOutline(reference="r/app:1", before="sha256:1", after="sha256:2"),), time=100)
    rows = [
        image_of(fold(run, kept, put)).tags[0],
        image_of(fold(run, kept)).tags[0],
        image_of(fold(run, msgspec.structs.replace(put, previous="sha256:2"))).tags[0],
        image_of(fold(begun(standing=("r/app:1",)))).tags[0],
        image_of(fold(begun("verify", destination="oci"))).tags[0],
    ]
    assert ["put", "not put", "stands", "stands", ""] == [row.state for row in rows]
    assert ["sha256:1", "sha256:1", "sha256:2", "", ""] == [row.before for row in rows]


def test_what_was_undone_after_the_run_is_said() -> None:
    """By `--rollback`, however much later: the run took no longer for that."""
    put = TagPut(step=PROMOTE, reference="r/app:1", digest="sha256:2", previous="sha256:1", time=101)
    data = fold(begun("promote"), put, TagRestored(reference="r/app:1", digest="sha256:1", time=9999))
    assert ("undone", 1.0) == (image_of(data).tags[0].state, data.seconds)
    data = fold(begun("promote"), put, TagLeft(reference="r/app:1", fate="stays", time=9999))
    assert ("put", 1.0) == (image_of(data).tags[0].state, data.seconds)


def test_failures_keep_their_lines_and_hints() -> None:
    """The first line is the message, the others are what was printed last."""
    failed = ran(SOLVE, 0, 1, StepState.FAILED, message="no\nline 1\nline 2", hints=("mend it",), node="n2")
    step = step_of(fold(begun("solve"), *failed), SOLVE)
    assert ("no", ("line 1", "line 2"), ("mend it",), "n2") == (step.message, step.lines, step.hints, step.node)


def test_retries_and_lost_nodes_are_noted() -> None:
    """With when they happened."""
    data = fold(
        begun("solve"),
        Retried(step=SOLVE, attempt=2, message="reset\nmore", time=103, wait=1.5, node="n1"),
        NodeLost(node="n1", message="no answer", time=104, rest=60),
    )
    assert [(3.0, SOLVE), (4.0, "")] == [(note.time, note.step) for note in data.notes]
    assert ["retry 2, away from node n1, after 1.5 s: reset", "node lost, not used for 60 s: no answer"] == [
        note.text for note in data.notes
    ]


def test_a_step_that_moved_says_where_it_was_before() -> None:
    """What it lost there is no waiting for a slot."""
    data = fold(
        begun("solve"),
        *ran(SOLVE, 1, 9, node="n2")[:1],
        Retried(step=SOLVE, attempt=1, message="gone", time=105, node="n"),
        *ran(SOLVE, 6, 9, node="n2"),
    )
    step = step_of(data, SOLVE)
    assert (Attempt(node="n", start=1.0, end=5.0),) == step.attempts
    assert ("n2", 5.0, 6.0, 9.0) == (step.node, step.ready, step.start, step.end)


def test_what_was_verified_has_its_sizes() -> None:
    """Those of its platforms; what nobody looked at in this run has none."""
    sizes = (PlatformSize(platform=AMD64, size=7), PlatformSize(platform="linux/arm64", size=9))
    assert 7 == image_of(fold(begun("verify"), *ran(VERIFY, 0, 1, sizes=sizes))).builds[0].size
    assert None is image_of(fold(begun("verify"))).builds[0].size


def test_without_a_run_there_is_no_report() -> None:
    """A journal that was torn off before its first event."""
    with pytest.raises(ValueError, match="no run begins in it"):
        fold()


@given(st.integers(1, 30), st.integers(0, 1000), st.data())
def test_any_beginning_of_a_run_has_a_report(number: int, seed: int, data: st.DataObject) -> None:
    """Wherever it was killed; every image and step is in it, and no step ends before it began."""
    events = list(run_events(number, seed))
    report = fold(*events[: data.draw(st.integers(1, len(events)))])
    assert number == len(report.images)
    assert all(step.start is None or (step.end or 0) >= step.start >= (step.ready or 0) >= 0 for step in report.steps)
    assert set(report.critical.steps) == {step.id for step in report.steps if step.critical}


def test_events_of_a_journal_that_makes_no_sense_have_a_report() -> None:
    """Steps that need themselves, words that nobody knows, sizes that cannot be."""
    report = fold_report(hostile_events(), hostile_log)
    assert ("ended with 99", 11, 11) == (report.outcome, len(report.images), len(report.steps))
