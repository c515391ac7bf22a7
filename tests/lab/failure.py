"""What can go wrong with a lab, as exceptions."""

from __future__ import annotations

from pathlib import Path


class LabUnavailable(Exception):  # noqa: N818 - a fact about the machine, not an error
    """No lab can be had on this machine; the text is the reason."""


class LabError(Exception):
    """A lab that should have worked did not; the text says which part and shows its log."""


def tail(log: Path, lines: int = 25) -> str:
    """The last lines of a log, for error messages; empty if there is none."""
    try:
        text = log.read_text(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])
