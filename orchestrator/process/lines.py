"""Bytes that arrive in any portions, cut into lines of bounded length."""

from __future__ import annotations

from collections.abc import Iterator


class LineCutter:
    """Cuts a stream into lines without their newline.

    A line longer than `limit` bytes is cut there and the rest of it dropped: one line never fills the memory.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._start = bytearray()
        self._pending = False

    def feed(self, chunk: bytes) -> Iterator[str]:
        """The lines that `chunk` completes."""
        *complete, rest = chunk.split(b"\n")
        for piece in complete:
            self._add(piece)
            yield self._take()
        if rest:
            self._add(rest)

    def finish(self) -> Iterator[str]:
        """At the end of the stream: the last line, where it has no newline."""
        if self._pending:
            yield self._take()

    def _add(self, piece: bytes) -> None:
        self._pending = True
        self._start += piece[: self._limit - len(self._start)]

    def _take(self) -> str:
        line = self._start.decode(errors="replace")
        self._start.clear()
        self._pending = False
        return line
