"""The critical path: what a run waited for, found from when its steps really began and ended."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.model import Model


class Span(Model):
    """When a step ran, and which steps it waited for before."""

    start: float
    end: float
    needs: tuple[str, ...] = ()


def last_need(needs: tuple[str, ...], spans: Mapping[str, Span]) -> str:
    """The one of these steps that ended last, the first named where several did; empty where none ran."""
    ran = [need for need in needs if need in spans]
    return max(ran, key=lambda need: spans[need].end) if ran else ""


def critical_path(spans: Mapping[str, Span]) -> tuple[str, ...]:
    """From the step that ended last back through the need that ended last, and so on: first to last.

    A step of a damaged journal may need itself; each is taken once.
    """
    if not spans:
        return ()
    step = max(spans, key=lambda name: (spans[name].end, spans[name].start))
    path: list[str] = []
    while step and step not in path:
        path.append(step)
        step = last_need(spans[step].needs, spans)
    return tuple(reversed(path))
