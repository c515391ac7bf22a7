"""Progress on a real pseudo-terminal, as a small terminal shows it."""

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import struct
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from queue import Queue
from typing import TextIO

import pytest

from orchestrator.api.events import Event, LogLine, NodeLost, StepState
from orchestrator.ui.text import Colour
from orchestrator.ui.tty import TtyProgress
from tests.unit.ui.runs import begin, ends, large, solve, starts, vertex
from tests.unit.ui.terminal import FakeTerminal

_MARK = "\0"
"""Nothing that is shown holds it."""


class Seen:
    """Progress on a pseudo-terminal, and the screen behind it."""

    def __init__(self, stream: TextIO, master: int, *, verbose: bool, colour: Colour) -> None:
        self.now = 1000.0
        self.progress = TtyProgress(stream, verbose=verbose, colour=colour, clock=lambda: self.now)
        self.screen = FakeTerminal(80, 24)
        self._master = master
        self._stream = stream
        self._arrived: Queue[str] = Queue()
        self.written = ""

    def resize(self, width: int, height: int) -> None:
        """The user pulls at the window."""
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
        self.screen.resize(width, height)

    def tick(self, *events: Event) -> list[str]:
        """Let things happen, and look."""
        for event in events:
            self.progress(event)
        self.progress.tick()
        return self.look()

    def look(self) -> list[str]:
        """What is on the screen, once all that was written has come."""
        self._stream.write(_MARK)
        self._stream.flush()
        text = ""
        while not text.endswith(_MARK):
            text += self._arrived.get(timeout=60)
        self.written += text.removesuffix(_MARK)
        self.screen.feed(text.removesuffix(_MARK))
        return self.screen.screen

    def read(self) -> None:
        """Take what comes, as a terminal does, or the writer would wait for ever."""
        decoder = codecs.getincrementaldecoder("utf-8")()
        with suppress(OSError):  # the other end is closed
            while content := os.read(self._master, 1 << 16):
                self._arrived.put(decoder.decode(content))


@contextmanager
def terminal(
    width: int = 80, height: int = 24, *, verbose: bool = False, colour: Colour = "never", encoding: str = "utf-8"
) -> Iterator[Seen]:
    """A terminal of a size."""
    master, slave = pty.openpty()
    with os.fdopen(slave, "w", encoding=encoding, errors="backslashreplace") as stream:
        seen = Seen(stream, master, verbose=verbose, colour=colour)
        reader = threading.Thread(target=seen.read)
        reader.start()
        seen.resize(width, height)
        yield seen
    reader.join()
    os.close(master)


def test_what_ended_scrolls_and_what_runs_stands_below() -> None:
    """And at the end only what ended is left, with the cursor on a line of its own."""
    with terminal() as seen:
        shown = seen.tick(begin(solve("a"), solve("b")), starts("solve:a"), vertex("solve:a", "[1/2] RUN x"))
        assert [" a@linux/amd64,arm64  [1/2] RUN x", " ╌"] == [shown[0][:33], shown[1][:2]]
        seen.now = 1010.0
        shown = seen.tick(ends("solve:a"), starts("solve:b", 1005.0))
        assert ["solve:a  done in 10s", " b@linux/amd64,arm64"] == [shown[0], shown[1][:20]]
        assert 3 == len(shown)
        seen.progress(ends("solve:b"))
        seen.progress.close()
        assert ["solve:a  done in 10s", "solve:b  done in 10s", ""] == seen.look()
        assert seen.screen.wraps


def test_a_failure_is_shown_in_its_place_with_its_last_lines() -> None:
    """Lines that are longer than the terminal is wide wrap, and are whole."""
    with terminal(40, 12) as seen:
        message = "exit code: 7\n" + "\n".join(f"line {number}" for number in range(12)) + "\n" + "x" * 50
        seen.tick(begin(solve("a"), solve("b")), starts("solve:a"), starts("solve:b"))
        seen.tick(ends("solve:a", StepState.FAILED, message=message))
        told = seen.screen.all
        assert "solve:a  FAILED in 10s  exit code: 7" == told[0]
        assert ["  | line 3", "  | line 4"] == told[1:3]
        assert ["  | " + "x" * 36, "x" * 14, " b@amd64,arm64    0.0s"] == told[-4:-1]


@pytest.mark.parametrize(("width", "height"), [(80, 24), (60, 20), (40, 10), (20, 4), (5, 2)])
def test_twenty_running_of_five_hundred_fit(width: int, height: int) -> None:
    """Frame after frame stands in the same place: nothing of one is left beside the next."""
    with terminal(width, height) as seen:
        shown: list[str] = []
        for event in large(500, 100, 20):
            seen.progress(event)
        for number in range(5):
            seen.now = 1152.5 + number
            shown = seen.tick()
        assert len(shown) <= height
        assert 1 == sum("/500" in line for line in seen.screen.all) or width < 8
        assert 100 == sum("solve:" in line for line in seen.screen.all) or width < 30


def test_the_window_may_change_its_size() -> None:
    """Wider, narrower, lower: the next frame fits, and what has ended is still there."""
    with terminal() as seen:
        for event in large(60, 3, 20):
            seen.progress(event)
        seen.tick()
        for width, height in ((120, 40), (50, 24), (30, 8), (80, 24)):
            seen.resize(width, height)
            shown = seen.tick()
            assert max(map(len, shown)) <= width
            assert len(shown) <= height
            assert "/60 builds" in shown[-1]
        seen.progress.close()
        seen.look()
        assert 3 == sum(line.startswith("solve:") for line in seen.screen.all)


def test_a_node_that_is_lost_is_told_above_what_runs() -> None:
    """What runs goes on below."""
    with terminal() as seen:
        shown = seen.tick(begin(solve("a")), starts("solve:a"), NodeLost(node="arm", message="no answer", time=1.0))
        assert "node arm  lost, nothing is built there in this run: no answer" == shown[0]
        assert "1 running" in shown[-1]


def test_lines_that_do_not_fit_into_memory_are_counted() -> None:
    """Who reads what builds print on a terminal reads the end; the rest is in the logs."""
    with terminal(verbose=True) as seen:
        for number in range(6000):
            seen.progress(LogLine(step="solve:a", vertex="v", stream="stdout", text=f"line {number}"))
        seen.progress.close()
        shown = seen.look()
        assert ["solve:a  | line 4999", "1000 lines left out, see their logs", ""] == shown[-3:]


def test_without_colour_nothing_is_coloured() -> None:
    """With colour the words are the same."""
    for colour, styles in (("never", set()), ("always", {"0", "1", "2", "31", "32"})):
        with terminal(colour="always" if colour == "always" else "never") as seen:
            seen.tick(begin(solve("a"), solve("b")), starts("solve:a"), ends("solve:a", StepState.FAILED))
            assert styles == seen.screen.styles
            assert "1 failed" in seen.screen.screen[-1]


def test_a_terminal_that_knows_ascii_alone_gets_ascii() -> None:
    """As where `LANG=C`."""
    with terminal(encoding="ascii") as seen:
        assert " ---" in seen.tick(begin(solve("a" * 60)), starts(f"solve:{'a' * 60}"))[-1]
        assert seen.written.isascii()


def test_between_two_frames_the_terminal_is_as_it_was() -> None:
    """Whatever ends the program, even SIGKILL, leaves nothing that has to be restored."""
    with terminal() as seen:
        for event in large(60, 3, 20):
            seen.tick(event)
            assert seen.screen.wraps
        assert "\x1b[?25l" not in seen.written
        assert "\x1b[?1049h" not in seen.written
