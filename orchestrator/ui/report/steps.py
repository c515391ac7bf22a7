"""The steps of a report: when each ran, what it waited for, what it gave, and what it found in the cache."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from orchestrator.api.events import RunStarted, VertexProgress
from orchestrator.api.invocation import StepId
from orchestrator.api.place import locate
from orchestrator.ui.report.clean import clean_line, clean_lines, clean_name
from orchestrator.ui.report.critical import AT_ONCE, Span, held_by, last_need, slot_holders
from orchestrator.ui.report.model import Attempt, Log, StepRow
from orchestrator.ui.report.seen import Seen

_INSTRUCTION: Final = re.compile(r"\[[^\]]*\b\d+/\d+\]")
"""How BuildKit names the vertexes of instructions: `[linux/arm64 build 2/4] RUN make`. All others are its own."""


def step_rows(
    outline: RunStarted,
    seen: Seen,
    states: Mapping[StepId, str],
    spans: Mapping[StepId, Span],
    critical: frozenset[StepId],
    logs: Mapping[StepId, Log],
) -> Iterator[StepRow]:
    """All steps, in the order of the plan."""
    holders = slot_holders(spans)
    for step in outline.steps:
        span = spans.get(step.id)
        after = last_need(step.needs, spans)
        finished = seen.finished.get(step.id)
        first, _, rest = (finished.message if finished else "").partition("\n")
        attempts = tuple(seen.attempts.get(step.id, ()))
        ready = _ready(after, span, spans, attempts)
        rests = tuple(_rests(span, ready, seen))
        holder = "" if ready is None or rests or step.id in seen.shared else held_by(step.id, ready, spans, holders)
        place = seen.places.get(step.id) if step.kind == "solve" else None  # a test has a Dockerfile that nobody wrote
        cached, instructions = count_cached(seen.vertexes.get(step.id, {}))
        yield StepRow(
            id=clean_name(step.id),
            kind=clean_name(step.kind),
            image=clean_name(step.image),
            state=states[step.id],
            platforms=tuple(map(clean_name, step.platforms)),
            node=clean_name(span.node if span else ""),
            start=span.start if span else None,
            end=span.end if span else None,
            ready=ready,
            after=clean_name(after),
            behind=clean_name(holder),
            rested=span is not None and any(abs(span.start - end) <= AT_ONCE for end in rests),
            needs=tuple(map(clean_name, step.needs)),
            attempts=attempts,
            critical=step.id in critical,
            digest=clean_name(finished.digest or "") if finished else "",
            cached=cached,
            instructions=instructions,
            message=clean_line(first),
            place=clean_name(locate(place, step.dockerfile)) if place else "",
            excerpt=clean_lines(place.excerpt) if place else (),
            lines=clean_lines(rest.split("\n")) if rest else (),
            hints=clean_lines(finished.hints) if finished else (),
            warnings=tuple(seen.warnings.get(step.id, ())),
            log=logs.get(step.id),
        )


def count_cached(vertexes: Mapping[str, VertexProgress]) -> tuple[int, int]:
    """How many instructions were in BuildKit's cache, and how many there were."""
    states = [vertex.state for vertex in vertexes.values() if _INSTRUCTION.match(vertex.name)]
    return states.count("cached"), len(states)


def _rests(span: Span | None, ready: float | None, seen: Seen) -> Iterator[float]:
    """When its node was used again after each loss because of which a step that was ready did not begin."""
    if span is not None and ready is not None:
        yield from (end for start, end in seen.rests.get(span.node, ()) if start < span.start and end > ready)


def _ready(after: StepId, span: Span | None, spans: Mapping[StepId, Span], attempts: Sequence[Attempt]) -> float | None:
    """When nothing but a free slot was missing; None where it never began."""
    if span is None:
        return None
    ended = (spans[after].end if after else 0.0, *(attempt.end for attempt in attempts))
    return min(max(ended), span.start)
