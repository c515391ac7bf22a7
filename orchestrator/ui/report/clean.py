"""Text of others as a report shows it: bounded, and with nothing in it that turns or hides what stands beside it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from orchestrator.ui import excerpt
from orchestrator.ui.text import printable

_LONGEST_NAME: Final = 400
_LONGEST_LINE: Final = 2000
_MOST_LINES: Final = 200


def clean_name(text: str) -> str:
    """A name, a digest, a reference: what cannot be seen is written out, so that two names stay two."""
    return excerpt.printable(_cut(text, _LONGEST_NAME))


def clean_line(text: str) -> str:
    """A line that somebody printed, without control sequences and what turns the direction of writing."""
    return printable(_cut(text, _LONGEST_LINE))


def clean_lines(lines: Iterable[str]) -> tuple[str, ...]:
    """The last lines of many."""
    return tuple(map(clean_line, tuple(lines)[-_MOST_LINES:]))


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}… ({len(text) - most} more characters)"
