"""The last lines of a terminal while a run lasts: one for each step that runs, and a bar for the whole.

Never wider or higher than the terminal: names lose their middle, and columns give way, nodes first.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal, TypeAlias

from orchestrator.model import Model
from orchestrator.ui.running import RunningStep, RunView
from orchestrator.ui.text import count, duration, printable
from orchestrator.ui.width import cut_end, cut_middle, fill, take_start, text_width

Style: TypeAlias = Literal["", "dim", "bold", "red", "green"]
Piece: TypeAlias = tuple[str, Style]
Line: TypeAlias = tuple[Piece, ...]

_GAP: Final = "  "
_ABOVE: Final = 3
"""Lines of a terminal that are left to what scrolls."""
_MOST_NAME: Final = 40
_LEAST_NAME: Final = 12
_MOST_NODE: Final = 14
_LEAST_VERTEX: Final = 16
_MOST_BAR: Final = 30
_LEAST_BAR: Final = 5
_TIME: Final = 6


class Glyphs(Model):
    """What lines are drawn with."""

    full: str
    empty: str
    more: str


UNICODE: Final = Glyphs(full="━", empty="╌", more="…")
ASCII: Final = Glyphs(full="#", empty="-", more="...")


class Screen(Model):
    """The size of a terminal, and what it can show."""

    width: int = 80
    height: int = 24
    glyphs: Glyphs = UNICODE


def draw(view: RunView, screen: Screen) -> tuple[Line, ...]:
    """The lines, the bar last; none of them reaches the last column, where terminals wrap."""
    width = max(1, screen.width - 1)
    room = max(0, screen.height - _ABOVE - 1)
    shown = view.running
    if len(shown) > room:
        shown = shown[: max(0, room - 1)]
    left_out = len(view.running) - len(shown)
    columns = _columns(view.running, width)
    lines = [_step(step, columns, screen.glyphs) for step in shown]
    if left_out and room:
        lines.append(((cut_end(f" + {left_out} more", width, screen.glyphs.more), "dim"),))
    return tuple(_clip(line, width) for line in (*lines, _bar(view, width, screen.glyphs)))


def _clip(line: Line, width: int) -> Line:
    """What is left of a line where a terminal is narrower than the least that it shows."""
    if text_width(plain_text(line)) <= width:
        return line
    return ((take_start(plain_text(line), width), ""),)


def _shown(text: str) -> str:
    return printable(text).replace("\t", " ")


def plain_text(line: Line) -> str:
    """A line without its styles."""
    return "".join(text for text, _ in line)


class _Columns(Model):
    """How many cells each column has; a column without any is left out."""

    name: int
    node: int
    vertex: int


def _columns(running: tuple[RunningStep, ...], width: int) -> _Columns:
    """Names first, then nodes where there are several, then vertexes; the time is always there."""
    room = width - 1 - len(_GAP) - _TIME
    longest = max((text_width(_shown(step.label)) for step in running), default=0)
    if longest > min(_MOST_NAME, room // 2):
        longest = max((text_width(_shown(step.name + step.suffix)) for step in running), default=0)
    nodes = {step.node for step in running} - {""}
    node = min(_MOST_NODE, max(map(text_width, nodes))) if len(nodes) > 1 else 0
    name = min(longest, _MOST_NAME, max(_LEAST_NAME, room // 2))
    if name + len(_GAP) + node > room - _LEAST_VERTEX:
        node = 0
    left = room - name - (len(_GAP) + node if node else 0) - len(_GAP)
    if left < _LEAST_VERTEX:
        return _Columns(name=max(0, min(longest, room)), node=0, vertex=0)
    return _Columns(name=name, node=node, vertex=left)


def _step(step: RunningStep, columns: _Columns, glyphs: Glyphs) -> Line:
    pieces: list[Piece] = [(f" {fill(_label(step, columns.name, glyphs), columns.name)}", "")]
    if columns.node:
        pieces.append((_GAP + fill(cut_middle(_shown(step.node), columns.node, glyphs.more), columns.node), "dim"))
    if columns.vertex:
        vertex = cut_end(_shown(step.vertex), columns.vertex, glyphs.more)
        pieces.append((_GAP + fill(vertex, columns.vertex), "dim"))
    pieces.append((_GAP + duration(step.seconds).rjust(_TIME), ""))
    return tuple(pieces)


def _label(step: RunningStep, cells: int, glyphs: Glyphs) -> str:
    """The name is cut rather than the platforms: there are few of these, and they say which build of it this is."""
    label, name, suffix = _shown(step.label), _shown(step.name), _shown(step.suffix)
    if text_width(label) <= cells:
        return label
    room = cells - text_width(suffix)
    if room < _LEAST_NAME:
        return cut_middle(name + suffix, cells, glyphs.more)
    return cut_middle(name, room, glyphs.more) + suffix


def _bar(view: RunView, width: int, glyphs: Glyphs) -> Line:
    ended = view.done + view.failed + view.skipped
    counted = f"{ended}/{count(view.total, view.noun)}"
    words: list[Piece] = [(counted, "bold")]
    if view.failed:
        words.append((f"{view.failed} failed", "red"))
    if view.skipped:
        words.append((f"{view.skipped} left out", ""))
    if view.running:
        words.append((f"{len(view.running)} running", ""))
    if view.left is not None:
        words.append((f"about {duration(view.left)} left", ""))
    if _length([*words, (duration(view.seconds), "")]) + len(", ") + _LEAST_BAR < width:
        words.append((duration(view.seconds), ""))
    while len(words) > 1 and _length(words) > width - 1:
        words.pop()
    cells = min(_MOST_BAR, width - 1 - _length(words) - len(_GAP))
    text = tuple(_joined(words))
    if cells < _LEAST_BAR:
        return ((cut_end(f" {plain_text(text)}", width, glyphs.more), ""),)
    full = min(cells, cells * ended // view.total) if view.total else 0
    bar: tuple[Piece, ...] = ((f" {glyphs.full * full}", "green"), (glyphs.empty * (cells - full), "dim"))
    return (*bar, (_GAP, ""), *text)


def _joined(words: list[Piece]) -> Iterator[Piece]:
    for number, word in enumerate(words):
        if number:
            yield (", ", "")
        yield word


def _length(words: list[Piece]) -> int:
    return text_width(plain_text(tuple(_joined(words))))
