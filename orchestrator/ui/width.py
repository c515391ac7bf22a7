"""How many cells of a terminal a text takes, and how it is made to take fewer."""

from __future__ import annotations

import unicodedata
from typing import Final

_WIDE: Final = frozenset({"W", "F"})


def cell_width(character: str) -> int:
    """Cells of one printable character: none for a combining one, two for a wide one."""
    if character.isascii():
        return 1
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in _WIDE else 1


def text_width(text: str) -> int:
    """Cells of a text."""
    return len(text) if text.isascii() else sum(map(cell_width, text))


def take_start(text: str, cells: int) -> str:
    """As much of the beginning as these cells can hold."""
    used = 0
    for position, character in enumerate(text):
        used += cell_width(character)
        if used > cells:
            return text[:position]
    return text


def take_end(text: str, cells: int) -> str:
    """As much of the end as these cells can hold."""
    used = 0
    for position in range(len(text) - 1, -1, -1):
        used += cell_width(text[position])
        if used > cells:
            return text[position + 1 :]
    return text


def cut_end(text: str, cells: int, mark: str = "…") -> str:
    """The text, or its beginning and a mark."""
    if text_width(text) <= cells:
        return text
    return take_start(text, cells - text_width(mark)) + mark if cells >= text_width(mark) else ""


def cut_middle(text: str, cells: int, mark: str = "…") -> str:
    """The text, or its beginning and its end with a mark between: names differ at both."""
    if text_width(text) <= cells:
        return text
    room = cells - text_width(mark)
    if room <= 0:
        return ""
    start = take_start(text, room - room // 2)
    return start + mark + take_end(text, room - text_width(start))


def fill(text: str, cells: int) -> str:
    """The text with blanks up to so many cells."""
    return text + " " * (cells - text_width(text))
