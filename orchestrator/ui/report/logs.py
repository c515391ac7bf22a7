"""The ends of logs that go into a report: those of failed steps first, and all together no more than there is room."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, Protocol

from orchestrator.api.invocation import StepId
from orchestrator.model import Model
from orchestrator.ui.report.clean import clean_line, clean_name
from orchestrator.ui.report.encode import encode_for_page
from orchestrator.ui.report.model import Log

ROOM: Final = 5 * 1024 * 1024
"""Bytes of the page for all logs."""
_FAILED: Final = 256 * 1024
_OTHER: Final = 32 * 1024
_LEAST: Final = 256


class LogTail(Model):
    """The end of a log as it was written: where the whole is, and how many bytes it has."""

    path: str
    size: int
    content: bytes


class FindLog(Protocol):
    """Finds what a step printed."""

    def __call__(self, step: StepId, most: int) -> LogTail | None:
        """The last bytes of it, at most so many; None where there is no log."""


def take_logs(steps: Iterable[tuple[StepId, str]], find_log: FindLog, *, room: int = ROOM) -> Iterator[tuple[str, Log]]:
    """The logs of steps, given with their states, each cut so that those after it have room, too.

    Where there is none, it is said where the log is.
    """
    ordered = [
        (step, state, log)
        for step, state in sorted(steps, key=lambda step: step[1] != "failed")
        if (log := find_log(step, 0)) and log.size
    ]
    for number, (step, state, log) in enumerate(ordered):
        fair = room // (len(ordered) - number)
        most = min(room // 2, _FAILED) if state == "failed" else min(fair, _OTHER)
        tail = find_log(step, most) if most >= _LEAST else None
        if tail is None:
            yield step, Log(path=clean_name(log.path), size=log.size, text="", cut=True)
            continue
        shown = _fit(tail, most)
        room -= _weight(shown.text)
        yield step, shown


def _fit(tail: LogTail, most: int) -> Log:
    """As much of the end as fits: escapes make text longer than it was."""
    lines = tail.content.decode("utf-8", "replace").split("\n")
    cut = len(tail.content) < tail.size
    if cut and len(lines) > 1:
        lines = lines[1:]  # the first one lacks its beginning
    text = "\n".join(map(clean_line, lines)).rstrip("\n")
    while (weight := _weight(text)) > most:
        cut = True
        text = text[len(text) - len(text) * most // weight + 1 :]
    return Log(path=clean_name(tail.path), size=tail.size, text=text, cut=cut)


def _weight(text: str) -> int:
    return len(encode_for_page(text).encode())
