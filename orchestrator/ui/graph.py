"""The graph of images as text, mermaid, dot and JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Final

from orchestrator.config.locate import resolve
from orchestrator.diagnostics import Diagnostic
from orchestrator.model import Model
from orchestrator.plan.compile import Declared
from orchestrator.plan.document import render_place
from orchestrator.ui.excerpt import printable


class DrawnEdge(Model):
    """An arrow from what is needed to what needs it."""

    parent: str
    child: str
    kind: str
    place: str


class Picture(Model):
    """What is drawn: waves of names, and arrows."""

    waves: tuple[tuple[str, ...], ...]
    edges: tuple[DrawnEdge, ...]


def picture(declared: Declared, wanted: frozenset[str], texts: Mapping[str, str]) -> Picture:
    """The part of the graph that these images make."""
    edges = [edge for edge in declared.edges if edge.child in wanted and edge.parent in wanted]
    places = resolve((Diagnostic(code="edge", message="", place=edge.place) for edge in edges), texts)
    waves = (tuple(name for name in wave if name in wanted) for wave in declared.order.waves)
    return Picture(
        waves=tuple(wave for wave in waves if wave),
        edges=tuple(
            DrawnEdge(
                parent=edge.parent,
                child=edge.child,
                kind=edge.kind.value,
                place=render_place(carrier.place) or "",
            )
            for edge, carrier in zip(edges, places, strict=True)
        ),
    )


def render_text(drawn: Picture) -> str:
    """Waves, and under each image what it needs and where that is written."""
    lines: list[str] = []
    for number, wave in enumerate(drawn.waves, 1):
        lines.append(f"wave {number}")
        for name in wave:
            lines.append(f"  {name}")
            lines += [
                f"    needs {edge.parent} ({edge.kind}, {printable(edge.place)})"
                for edge in drawn.edges
                if edge.child == name
            ]
    return "\n".join(lines) + "\n"


def render_mermaid(drawn: Picture) -> str:
    """A mermaid flowchart; ids are numbers, since names may be words of mermaid's own."""
    ids = {name: f"n{number}" for number, name in enumerate(name for wave in drawn.waves for name in wave)}
    lines = ["flowchart LR", *(f'  {ids[name]}["{name}"]' for name in ids)]
    for edge in drawn.edges:
        arrow = "-.->" if edge.kind == "needs" else "-->"
        lines.append(f'  {ids[edge.parent]} {arrow}|"{edge.kind}"| {ids[edge.child]}')
    return "\n".join(lines) + "\n"


def render_dot(drawn: Picture) -> str:
    """A graph for Graphviz."""
    lines = ["digraph images {", "  rankdir=LR;", "  node [shape=box];"]
    lines += [f'  "{name}";' for wave in drawn.waves for name in wave]
    for edge in drawn.edges:
        style = ", style=dashed" if edge.kind == "needs" else ""
        lines.append(f'  "{edge.parent}" -> "{edge.child}" [label="{edge.kind}"{style}];')
    return "\n".join((*lines, "}")) + "\n"


def render_json(drawn: Picture) -> str:
    """Waves and edges."""
    edges = [
        {"parent": edge.parent, "child": edge.child, "kind": edge.kind, "place": edge.place} for edge in drawn.edges
    ]
    return json.dumps({"format_version": "1.0", "waves": drawn.waves, "edges": edges}, indent=2) + "\n"


RENDERERS: Final[Mapping[str, Callable[[Picture], str]]] = {
    "text": render_text,
    "mermaid": render_mermaid,
    "dot": render_dot,
    "json": render_json,
}
