"""Who waited for whom: the critical path, and who held the slots, found from when steps really began and ended."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from typing import Final

from orchestrator.model import Model

AT_ONCE: Final = 1.0
"""Seconds that may pass until a busy machine does what it could have done."""


class Span(Model):
    """When a step ran, where (empty: it needs no node), and which steps it waited for before."""

    start: float
    end: float
    needs: tuple[str, ...] = ()
    node: str = ""


def last_need(needs: tuple[str, ...], spans: Mapping[str, Span]) -> str:
    """The one of these steps that ended last, the first named where several did; empty where none ran."""
    ran = [need for need in needs if need in spans]
    return max(ran, key=lambda need: spans[need].end) if ran else ""


def slot_holders(spans: Mapping[str, Span]) -> dict[str, str]:
    """For each step on a node the one that ended there last before it began: for whose slot it waited, if it did."""
    by_node: dict[str, list[tuple[float, str]]] = {}
    for name, span in spans.items():
        if span.node:
            by_node.setdefault(span.node, []).append((span.end, name))
    for ends in by_node.values():
        ends.sort()
    found = {}
    for name, span in spans.items():
        ends = by_node.get(span.node, [])
        at = bisect_right(ends, span.start, key=lambda end: end[0])
        if at and ends[at - 1][1] != name:
            found[name] = ends[at - 1][1]
    return found


def held_by(name: str, ready: float, spans: Mapping[str, Span], holders: Mapping[str, str]) -> str:
    """The step for whose slot another one waited since it was ready; empty where it began for another reason.

    A slot is taken as soon as it is free.
    """
    span, holder = spans[name], holders.get(name, "")
    return holder if holder and ready < spans[holder].end and span.start - spans[holder].end <= AT_ONCE else ""


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
