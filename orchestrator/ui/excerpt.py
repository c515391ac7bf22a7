"""One line of a file with a part of it underlined, for a terminal: tabs, wide characters, hostile text."""

from __future__ import annotations

import unicodedata
from typing import Final

from orchestrator.diagnostics import Span
from orchestrator.model import Model

_TAB: Final = "    "
_BEFORE: Final = 40
_WIDE: Final = frozenset({"W", "F"})


class Excerpt(Model):
    """What is shown of a line: cells before the underlined part, and cells underlined."""

    text: str
    before: int
    under: int


def printable(text: str) -> str:
    """A text in which nothing moves the cursor, changes colours or turns the direction of writing."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else _escape(character) for character in text)


def cut(line: str, span: Span, width: int) -> Excerpt:
    """The part of a line around a span, in at most `width` cells."""
    line = line.removeprefix("\ufeff").removesuffix("\r")
    start = 0 if span.column <= width - _BEFORE else max(0, span.column - 1 - _BEFORE)
    leading = "…" if start else ""
    room = width - len(leading) - 1
    text, cells, before, under = leading, 0, 0, 0
    for position in range(start, len(line)):
        shown, size = _cell(line[position])
        if cells + size > room:
            text += "…"
            break
        text += shown
        cells += size
        if position < span.column - 1:
            before += size
        elif position < span.column - 1 + span.length:
            under += size
    return Excerpt(text=text, before=before + len(leading), under=max(1, under))


def _cell(character: str) -> tuple[str, int]:
    if character == "\t":
        return _TAB, len(_TAB)
    if not character.isprintable():
        escaped = _escape(character)
        return escaped, len(escaped)
    if unicodedata.combining(character):
        return character, 0
    return character, 2 if unicodedata.east_asian_width(character) in _WIDE else 1


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")
