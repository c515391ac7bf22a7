"""Progress on a terminal: what has ended scrolls, and below it stands what runs.

The last lines are drawn again about ten times a second, by a thread of their own, in one write each. Between two writes
the terminal is as it was: the cursor is never hidden and lines wrap, so that whatever ends this process leaves nothing
to be restored. While a frame is drawn lines do not wrap: a character whose width the terminal sees otherwise cannot
make a line into two.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from orchestrator.api.events import Event, StepFinished, StepState
from orchestrator.ui.frame import ASCII, UNICODE, Line, Screen, Style, draw, plain_text
from orchestrator.ui.lines import EventLines, failure_lines
from orchestrator.ui.running import Running
from orchestrator.ui.text import Colour

PERIOD: Final = 0.1
_MOST_WAITING: Final = 5000
"""Lines that wait for the next drawing; of what a build prints beyond that, its log has the rest."""
_UP: Final = "\x1b[{}A"
_ERASE: Final = "\r\x1b[J"
_NO_WRAP, _WRAP = "\x1b[?7l", "\x1b[?7h"
_SGR: Final[dict[Style, str]] = {"dim": "2", "bold": "1", "red": "31", "green": "32"}


class Terminal(Protocol):
    """A stream to a terminal."""

    @property
    def encoding(self) -> str:
        """How it writes what is not ASCII."""

    def write(self, text: str, /) -> object:
        """Write a text."""

    def flush(self) -> None:
        """Have it shown."""

    def fileno(self) -> int:
        """The descriptor of the terminal."""


class Painter:
    """Keeps a frame at the end of a terminal: whatever is printed comes above it."""

    def __init__(self, terminal: Terminal, *, colour: Colour) -> None:
        self._terminal = terminal
        self._colour = colour
        self._height = 0

    def paint(self, above: tuple[Line, ...], frame: tuple[Line, ...]) -> None:
        """Replace the frame; a terminal that takes nothing more is no error of ours."""
        parts = []
        if self._height > 1:
            parts.append(_UP.format(self._height - 1))
        if self._height:
            parts.append(_ERASE)
        parts += [f"{self._styled(line)}\r\n" for line in above]
        if frame:
            parts += [_NO_WRAP, "\r\n".join(map(self._styled, frame)), _WRAP]
        self._height = len(frame)
        if parts:
            self._terminal.write("".join(parts))
            self._terminal.flush()

    def _styled(self, line: Line) -> str:
        if self._colour == "never":
            return plain_text(line)
        return "".join(f"\x1b[{_SGR[style]}m{text}\x1b[0m" if style else text for text, style in line)


class TtyProgress:
    """Takes events from wherever they come, and draws when its time has come."""

    def __init__(self, terminal: Terminal, *, verbose: bool, colour: Colour, clock: Callable[[], float]) -> None:
        self._terminal = terminal
        self._painter = Painter(terminal, colour=colour)
        self._lines = EventLines(verbose=verbose)
        self._running = Running()
        self._waiting: deque[Line] = deque()
        self._left_out = 0
        self._clock = clock
        self._lock = threading.Lock()
        self._glyphs = UNICODE if (terminal.encoding or "").lower().replace("-", "") == "utf8" else ASCII

    def __call__(self, event: Event) -> None:
        """Take an event."""
        with self._lock:
            self._running.take(event)
            for line in self._above(event):
                if len(self._waiting) >= _MOST_WAITING:
                    self._left_out += 1
                else:
                    self._waiting.append(line)

    def tick(self) -> None:
        """Draw what there is now."""
        screen = self._screen()
        with self._lock:
            above, view = self._take_waiting(), self._running.view(self._clock())
        self._painter.paint(above, draw(view, screen))

    def close(self) -> None:
        """Take the frame away; what has ended stays."""
        with self._lock:
            above = self._take_waiting()
        self._painter.paint(above, ())

    def _above(self, event: Event) -> tuple[Line, ...]:
        lines = self._lines.ended(event)
        if isinstance(event, StepFinished) and event.state is StepState.FAILED:
            return tuple(
                ((line, "red" if not number else ""),) for number, line in enumerate((*lines, *failure_lines(event)))
            )
        return tuple(((line, ""),) for line in lines)

    def _take_waiting(self) -> tuple[Line, ...]:
        lines = tuple(self._waiting)
        self._waiting.clear()
        if self._left_out:
            lines = (*lines, ((f"{self._left_out} lines left out, see their logs", "dim"),))
            self._left_out = 0
        return lines

    def _screen(self) -> Screen:
        try:
            size = os.get_terminal_size(self._terminal.fileno())
        except OSError:
            return Screen(glyphs=self._glyphs)
        return Screen(width=size.columns or 80, height=size.lines or 24, glyphs=self._glyphs)
