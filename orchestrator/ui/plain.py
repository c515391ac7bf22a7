"""Progress as lines for logs and CI: what started, what ended, what went wrong, and that something still runs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from orchestrator.api.events import Event
from orchestrator.ui.lines import EventLines
from orchestrator.ui.running import Running
from orchestrator.ui.text import duration, printable

SILENCE: Final = 30.0
"""Seconds after which a run that prints nothing says what it does: CI ends what is silent for long."""
_MOST_NAMED: Final = 4


class PlainProgress:
    """Writes one line for each event that a reader of a log wants; with `verbose` also what builds print."""

    def __init__(self, write: Callable[[str], None], *, verbose: bool, clock: Callable[[], float]) -> None:
        self._write = write
        self._lines = EventLines(verbose=verbose)
        self._running = Running()
        self._clock = clock
        self._spoke = clock()
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        """Take an event."""
        with self._lock:
            self._running.take(event)
            for line in self._lines.all(event):
                self._say(line)

    def tick(self) -> None:
        """Say what still runs, where nothing was said for long."""
        with self._lock:
            now = self._clock()
            running = self._running.view(now).running if now - self._spoke >= SILENCE else ()
            if running:
                named = [f"{printable(step.label)} ({duration(step.seconds)})" for step in running[:_MOST_NAMED]]
                more = [f"{len(running) - _MOST_NAMED} more"] if len(running) > _MOST_NAMED else []
                self._say(f"still running: {', '.join((*named, *more))}")

    def close(self) -> None:
        """Everything is said."""

    def _say(self, line: str) -> None:
        self._spoke = self._clock()
        self._write(line)
