"""Small pieces of text that every command shares: columns, durations, and what a terminal can show."""

from __future__ import annotations

import os
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Final, Literal, TextIO

from orchestrator.errors import disk_error
from orchestrator.ui.notes import shape_note

Colour = Literal["never", "always"]

_MINUTE: Final = 60
_HOUR: Final = 3600


def colour_for(stream: TextIO | None, environment: Mapping[str, str] = os.environ) -> Colour:
    """Whether this stream gets colours: a terminal, unless NO_COLOR or a dumb terminal says otherwise."""
    if stream is None or environment.get("NO_COLOR") or environment.get("TERM") == "dumb":
        return "never"
    if environment.get("FORCE_COLOR"):
        return "always"
    return "always" if stream.isatty() else "never"


def print_result(text: str) -> None:
    """Write a result to stdout; a reader that stopped reading, or none at all, is no error of ours.

    Raises:
        UsageError: it cannot be written, as on a full disk.
    """
    if sys.stdout is None:
        return
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        give_up(sys.stdout)
        if not isinstance(error, BrokenPipeError):
            raise disk_error(error) from error


def print_note(text: str) -> None:
    """Write something that is no result to stderr, where anybody listens."""
    if sys.stderr is None:
        return
    try:
        sys.stderr.write(shape_note(text))
        sys.stderr.flush()
    except OSError:
        give_up(sys.stderr)


def print_line(line: str) -> None:
    """Write a line to stderr that is made for who reads it, as it is."""
    if sys.stderr is None:
        return
    try:
        sys.stderr.write(line if line.endswith("\n") else f"{line}\n")
        sys.stderr.flush()
    except OSError:
        give_up(sys.stderr)


def give_up(stream: TextIO) -> None:
    """Write no more to a stream that took nothing: what is still buffered would be tried again at exit, and fail it."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def table(rows: Sequence[tuple[str, ...]], *, indent: str = "") -> list[str]:
    """Rows as aligned columns, two spaces between them, nothing after the last."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)] if rows else []
    lines = []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        lines.append((indent + "  ".join(cells)).rstrip())
    return lines


def duration(seconds: float) -> str:
    """`0.4s`, `12s`, `3m05s`, `1h02m`."""
    if round(seconds, 1) < 10:  # noqa: PLR2004 (below ten seconds tenths matter)
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole}s"
    if whole < _HOUR:
        return f"{whole // _MINUTE}m{whole % _MINUTE:02d}s"
    return f"{whole // _HOUR}h{whole % _HOUR // _MINUTE:02d}m"


def count(number: int, noun: str) -> str:
    """`1 image`, `2 images`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def printable(text: str) -> str:
    """Text of others without anything that moves a cursor: control and format characters are dropped, tabs kept."""
    if text.isprintable():
        return text
    return "".join(
        letter for letter in _without_sequences(text) if letter == "\t" or unicodedata.category(letter)[0] != "C"
    )


def printable_log(line: str) -> str:
    """A line that a build printed, as `printable`: where it goes back to its start, as progress bars do, the last text.

    Elsewhere nothing is left out for a carriage return: in a name or a command it would hide what is before it.
    """
    if "\r" not in line:
        return printable(line)
    written = map(printable, reversed(line.split("\r")))
    return next((text for text in written if text.strip()), "")


def _without_sequences(text: str) -> str:
    """Drop ANSI escape sequences as a whole, so that their letters do not stay behind."""
    import re  # noqa: PLC0415 (only where there is something to strip)

    return re.sub(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])", "", text)
