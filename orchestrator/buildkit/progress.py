"""Reads `--progress=rawjson`: one `client.SolveStatus` a line on stderr, plain lines between (client/graph.go)."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Final, Literal, TypeAlias

import msgspec

from orchestrator.api.events import BuildWarning, FailedAt, LogLine, ReaderEvent, VertexProgress
from orchestrator.api.invocation import StepId
from orchestrator.buildkit.excerpt import ExcerptReader
from orchestrator.model import Model


class Vertex(Model):
    """A node of BuildKit's graph; sent again at every change."""

    digest: str = ""
    name: str = ""
    started: str | None = None
    completed: str | None = None
    cached: bool = False
    error: str = ""


class VertexLog(Model):
    """A piece of a vertex's output, in base64."""

    vertex: str = ""
    stream: int = 1
    data: str | None = None


class VertexWarning(Model):
    """A finding of the frontend."""

    vertex: str = ""
    short: str | None = None


class VertexStatus(Model):
    """A part of what a vertex does, such as the push of one manifest."""

    id: str = ""
    completed: str | None = None


class SolveStatus(Model):
    """One batch of progress."""

    vertexes: tuple[Vertex, ...] | None = None
    statuses: tuple[VertexStatus, ...] | None = None
    logs: tuple[VertexLog, ...] | None = None
    warnings: tuple[VertexWarning, ...] | None = None


VertexState: TypeAlias = Literal["started", "done", "cached", "failed"]

_DECODER: Final = msgspec.json.Decoder(SolveStatus)
_LONGEST_LINE: Final = 64 * 1024
# the numbers of streams in client/graph.go
_STDOUT: Final = 1
_STDERR: Final = 2


def parse_status(line: str) -> SolveStatus | None:
    """The batch in this line; None where the line is something else."""
    if not line.startswith("{"):
        return None
    try:
        return _DECODER.decode(line)
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
        return None


def decode_bytes(data: str | None) -> bytes:
    """The bytes of a base64 field; what is not base64 is nothing, never an error."""
    try:
        return base64.b64decode(data or "", validate=True)
    except ValueError:
        return b""


def decode_text(data: str | None) -> str:
    """The text of a base64 field; what is not UTF-8 is replaced."""
    return decode_bytes(data).decode("utf-8", "replace")


class RawJsonReader:
    """Turns the lines of one `buildx build` into events of one step."""

    def __init__(self, step: StepId) -> None:
        self._step = step
        self._states: dict[str, VertexState] = {}
        self._pending: dict[tuple[str, int], bytes] = {}
        self._warned: set[str] = set()
        self._excerpt = ExcerptReader()

    def feed(self, stream: Literal["stdout", "stderr"], line: str) -> Iterator[ReaderEvent]:
        """What this line says; the end of a vertex comes after all that it printed."""
        status = parse_status(line) if stream == "stderr" else None
        if status is not None:
            yield from self.read(status)
        elif stream == "stderr" and (found := self._excerpt.feed(line)):
            yield FailedAt(step=self._step, file=found.file, line=found.line, excerpt=found.lines)

    def read(self, status: SolveStatus) -> Iterator[ReaderEvent]:
        """What this batch says."""
        states = [(vertex, _state(vertex)) for vertex in status.vertexes or ()]
        for vertex, state in states:
            if state == "started":
                yield from self._vertex(vertex, state)
        for log in status.logs or ():
            yield from self._log(log)
        for vertex, state in states:
            if state is not None and state != "started":
                yield from self._vertex(vertex, state)
        for warning in status.warnings or ():
            text = decode_text(warning.short)
            if text and text not in self._warned:
                self._warned.add(text)
                yield BuildWarning(step=self._step, message=text)

    def _vertex(self, vertex: Vertex, state: VertexState) -> Iterator[ReaderEvent]:
        if self._states.get(vertex.digest) == state:
            return
        self._states[vertex.digest] = state
        if state != "started":
            for number in (_STDOUT, _STDERR):
                rest = self._pending.pop((vertex.digest, number), b"")
                if rest:
                    yield self._line(vertex.digest, number, rest)
        yield VertexProgress(step=self._step, vertex=vertex.digest, name=vertex.name, state=state, message=vertex.error)

    def _log(self, log: VertexLog) -> Iterator[LogLine]:
        vertex, number = log.vertex, _STDERR if log.stream == _STDERR else _STDOUT
        before = self._pending.pop((vertex, number), b"")
        *lines, rest = (before + decode_bytes(log.data)).split(b"\n")
        has_ended = self._states.get(vertex, "started") != "started"
        if rest and (has_ended or len(rest) > _LONGEST_LINE):
            lines.append(rest)
        elif rest:
            self._pending[vertex, number] = rest
        for line in lines:
            yield self._line(vertex, number, line)

    def _line(self, vertex: str, number: int, line: bytes) -> LogLine:
        text = line.decode("utf-8", "replace").rstrip("\r")
        return LogLine(step=self._step, vertex=vertex, stream="stderr" if number == _STDERR else "stdout", text=text)


def _state(vertex: Vertex) -> VertexState | None:
    if vertex.error:
        return "failed"
    if vertex.cached:
        return "cached"
    if vertex.completed:
        return "done"
    return "started" if vertex.started else None
