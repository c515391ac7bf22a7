"""From the events of a run to its report: nothing else is read, so the journal of another machine will do."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from orchestrator.api.events import (
    BuildWarning,
    ChildStarted,
    Event,
    FailedAt,
    NodeLost,
    Retried,
    RunFinished,
    RunStarted,
    StepFinished,
    StepStarted,
    TagLeft,
    TagPut,
    TagRestored,
    TagsKept,
    VertexProgress,
)
from orchestrator.api.invocation import StepId
from orchestrator.ui.report.clean import clean_line, clean_name
from orchestrator.ui.report.critical import Span, critical_path
from orchestrator.ui.report.images import image_rows
from orchestrator.ui.report.layout import draw
from orchestrator.ui.report.logs import FindLog, take_logs
from orchestrator.ui.report.model import Attempt, Critical, Note, ReportData
from orchestrator.ui.report.seen import Seen
from orchestrator.ui.report.states import step_state
from orchestrator.ui.report.steps import step_rows

_MOST_NOTES: Final = 500
_MOST_WARNINGS: Final = 50
_OUTCOMES: Final = {
    0: "done",
    1: "stopped by a bug of orchestrate",
    2: "stopped: the command line, the configuration or the disk",
    3: "stopped: the plan is no longer true",
    4: "a build failed",
    5: "a registry refused or failed",
    6: "verification failed",
    7: "a platform test failed",
    130: "interrupted",
}
_CUT_OFF: Final = "has not ended: it was cut off, or still runs"


def fold_report(events: Iterable[Event], find_log: FindLog) -> ReportData:
    """What the events of one run tell.

    Raises:
        ValueError: no run begins in them.
    """
    seen = gather(events)
    outline = seen.outline
    if outline is None:
        message = "no run begins in it"
        raise ValueError(message)
    states = {
        step.id: step_state(seen.finished.get(step.id), has_begun=step.id in seen.started) for step in outline.steps
    }
    spans = {step.id: span for step in outline.steps if (span := _span(step.id, step.needs, seen, outline.time))}
    path = critical_path(spans)
    logs = dict(take_logs(states.items(), find_log))
    drawing = draw({image.name: image.needs for image in outline.images})
    return ReportData(
        project=clean_name(outline.project),
        run=clean_name(outline.run),
        destination=clean_name(outline.destination),
        began=_instant(outline.time),
        seconds=round(max(seen.last - outline.time, 0.0), 3),
        exit_code=seen.exit_code,
        outcome=_CUT_OFF if seen.exit_code is None else _OUTCOMES.get(seen.exit_code, f"ended with {seen.exit_code}"),
        images=tuple(image_rows(outline, seen, states, drawing)),
        steps=tuple(step_rows(outline, seen, states, spans, frozenset(path), logs)),
        critical=_critical(path, spans),
        notes=tuple(seen.notes[:_MOST_NOTES]),
        width=drawing.width,
        height=drawing.height,
    )


def gather(events: Iterable[Event]) -> Seen:
    """All that is kept of the events, in one pass; a later run in the same journal begins anew."""
    seen = Seen()
    for event in events:
        if isinstance(event, RunStarted):
            seen = Seen()
            seen.outline = event
        _take(event, seen)
        # not all events have a time of their own, and what is undone is undone after the run
        if hasattr(event, "time") and not isinstance(event, TagRestored | TagLeft):
            seen.last = max(seen.last, event.time)
    return seen


def _take(event: Event, seen: Seen) -> None:
    match event:
        case StepStarted():
            _start(event, seen)
        case ChildStarted() if len(event.steps) > 1:
            seen.shared.update(event.steps)
        case StepFinished():
            seen.finished[event.step] = event
        case VertexProgress():
            seen.vertexes.setdefault(event.step, {})[event.vertex] = event
        case BuildWarning() | FailedAt():
            _take_finding(event, seen)
        case TagsKept() | TagPut() | TagRestored():
            _take_tag(event, seen)
        case RunFinished():
            seen.exit_code = event.exit_code
        case Retried() | NodeLost():
            _note(event, seen)
        case _:
            pass


def _take_finding(event: BuildWarning | FailedAt, seen: Seen) -> None:
    if isinstance(event, FailedAt):
        seen.places[event.step] = event
        return
    warnings = seen.warnings.setdefault(event.step, [])
    if len(warnings) < _MOST_WARNINGS:
        warnings.append(clean_line(event.message))


def _take_tag(event: TagsKept | TagPut | TagRestored, seen: Seen) -> None:
    match event:
        case TagsKept():
            seen.before |= {move.reference: move.before or "" for move in event.moves}
        case TagPut():
            seen.put[event.reference] = event
            seen.undone.discard(event.reference)
        case TagRestored():
            seen.undone.add(event.reference)


def _start(event: StepStarted, seen: Seen) -> None:
    """A step that begins again was somewhere else before: on a node that was lost."""
    before = seen.started.get(event.step)
    if before is not None and seen.outline is not None:
        zero = seen.outline.time
        start = round(max(before - zero, 0.0), 3)
        end = round(seen.retried.get(event.step, event.time) - zero, 3)
        attempt = Attempt(node=clean_name(seen.nodes.get(event.step, "")), start=start, end=max(end, start))
        seen.attempts.setdefault(event.step, []).append(attempt)
    seen.started[event.step] = event.time
    seen.nodes[event.step] = event.node


def _note(event: Retried | NodeLost, seen: Seen) -> None:
    time = round(event.time - (seen.outline.time if seen.outline else event.time), 3)
    message = clean_line(event.message.partition("\n")[0])
    if isinstance(event, Retried):
        seen.retried[event.step] = event.time
        where = f", away from node {clean_name(event.node)}" if event.node else ""
        text = f"retry {event.attempt}{where}, after {round(event.wait, 1)} s: {message}"
        seen.notes.append(Note(time=time, text=text, step=clean_name(event.step), node=clean_name(event.node)))
        return
    if event.rest is not None:
        seen.rests.setdefault(event.node, []).append((time, time + event.rest))
    rest = "for the rest of this run" if event.rest is None else f"for {round(event.rest)} s"
    seen.notes.append(Note(time=time, text=f"node lost, not used {rest}: {message}", node=clean_name(event.node)))


def _span(step: StepId, needs: tuple[StepId, ...], seen: Seen, zero: float) -> Span | None:
    """When a step ran, in seconds since the run began; None where it never did."""
    started, finished = seen.started.get(step), seen.finished.get(step)
    if started is None:
        return None
    end = finished.time if finished else seen.last
    start = round(max(started - zero, 0.0), 3)
    node = (finished.node if finished else "") or seen.nodes.get(step, "")
    return Span(start=start, end=max(round(end - zero, 3), start), needs=needs, node=node)


def _critical(path: tuple[str, ...], spans: dict[str, Span]) -> Critical:
    work = sum(spans[step].end - spans[step].start for step in path)
    ends = (0.0, *(spans[step].end for step in path))
    waited = sum(max(spans[step].start - end, 0.0) for step, end in zip(path, ends, strict=False))
    return Critical(steps=tuple(map(clean_name, path)), work=round(work, 3), waited=round(waited, 3))


def _instant(time: float) -> str:
    try:
        return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, ValueError, OSError):
        return "at no time that there is"
