"""Reads `--progress=rawjson`: one `client.SolveStatus` a line on stderr, plain lines between (client/graph.go)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from typing import Literal

import msgspec

from orchestrator.api.events import BuildWarning, LogLine, ReaderEvent, VertexProgress
from orchestrator.api.invocation import StepId
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


class SolveStatus(Model):
    """One batch of progress."""

    vertexes: tuple[Vertex, ...] | None = None
    logs: tuple[VertexLog, ...] | None = None
    warnings: tuple[VertexWarning, ...] | None = None


_DECODER = msgspec.json.Decoder(SolveStatus)


def parse_status(line: str) -> SolveStatus | None:
    """The batch in this line; None where the line is something else."""
    if not line.startswith("{"):
        return None
    try:
        return _DECODER.decode(line)
    except (msgspec.MsgspecError, RecursionError):
        return None


def decode_text(data: str | None) -> str:
    """The text of a base64 field; what is not base64 or not UTF-8 is replaced, never an error."""
    try:
        return base64.b64decode(data or "", validate=True).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return ""


class RawJsonReader:
    """Turns the lines of one `buildx build` into events of one step."""

    def __init__(self, step: StepId) -> None:
        self._step = step
        self._states: dict[str, str] = {}
        self._pending: dict[tuple[str, int], str] = {}
        self._warned: set[str] = set()

    def feed(self, stream: Literal["stdout", "stderr"], line: str) -> Iterator[ReaderEvent]:
        """What this line says."""
        status = parse_status(line) if stream == "stderr" else None
        if status is None:
            return
        for vertex in status.vertexes or ():
            yield from self._vertex(vertex)
        for log in status.logs or ():
            yield from self._log(log)
        for warning in status.warnings or ():
            text = decode_text(warning.short)
            if text and text not in self._warned:
                self._warned.add(text)
                yield BuildWarning(step=self._step, message=text)

    def _vertex(self, vertex: Vertex) -> Iterator[VertexProgress]:
        state = _state(vertex)
        if state is None or self._states.get(vertex.digest) == state:
            return
        self._states[vertex.digest] = state
        if state != "started":
            self._pending.pop((vertex.digest, 1), None)
            self._pending.pop((vertex.digest, 2), None)
        yield VertexProgress(step=self._step, vertex=vertex.digest, name=vertex.name, state=state, message=vertex.error)

    def _log(self, log: VertexLog) -> Iterator[LogLine]:
        stream: Literal["stdout", "stderr"] = "stderr" if log.stream == 2 else "stdout"  # noqa: PLR2004 (graph.go)
        key = (log.vertex, log.stream)
        *lines, rest = (self._pending.pop(key, "") + decode_text(log.data)).split("\n")
        if len(rest) > _LONGEST_LINE:
            lines.append(rest)
            rest = ""
        if rest:
            self._pending[key] = rest
        for text in lines:
            yield LogLine(step=self._step, vertex=log.vertex, stream=stream, text=text.rstrip("\r"))


_LONGEST_LINE = 64 * 1024


def _state(vertex: Vertex) -> Literal["started", "done", "cached", "failed"] | None:
    if vertex.error:
        return "failed"
    if vertex.cached:
        return "cached"
    if vertex.completed:
        return "done"
    return "started" if vertex.started else None
