"""Reads the progress of one `docker buildx bake`: whose vertex it is stands before its name, `[target stage] …`.

Bake writes that only where it has more than one target. A vertex that several targets share is sent under the names of
all of them in turn, and its output once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final, Literal

from msgspec.structs import replace

from orchestrator.api.events import ReaderEvent
from orchestrator.buildkit.progress import RawJsonReader, SolveStatus, Vertex, parse_status

_PREFIX: Final = re.compile(r"\[([A-Za-z0-9_-]+)(?:\] | )")


def split_name(name: str, targets: Mapping[str, int]) -> tuple[str, str]:
    """The target of a vertex, empty where it has none of these, and its name without it."""
    match = _PREFIX.match(name)
    if match is None or match[1] not in targets:
        return "", name
    rest = name[match.end() :]
    return match[1], f"[{rest}" if match[0].endswith(" ") and not match[0].endswith("] ") else rest


class BakeReader:
    """Turns the lines of one bake into events of the steps that it does; `steps` has their ids by target."""

    def __init__(self, steps: Mapping[str, str]) -> None:
        self._ranks = {target: rank for rank, target in enumerate(steps)}
        self._readers = [RawJsonReader(step) for step in steps.values()]
        self._owners: dict[str, int] = {}
        self._seen: dict[str, int] = {}

    def feed(self, stream: Literal["stdout", "stderr"], line: str) -> Iterator[ReaderEvent]:
        """What this line says; a vertex is the first target's, parents first, that had it when it began."""
        status = parse_status(line) if stream == "stderr" else None
        if status is None:
            return
        vertexes = [self._place(vertex) for vertex in status.vertexes or ()]
        digests = [vertex.digest for vertex in vertexes]
        digests += [log.vertex for log in status.logs or ()]
        digests += [warning.vertex for warning in status.warnings or ()]
        for rank in dict.fromkeys(map(self._owner, digests)):
            own = SolveStatus(
                vertexes=tuple(vertex for vertex in vertexes if self._owner(vertex.digest) == rank),
                logs=tuple(log for log in status.logs or () if self._owner(log.vertex) == rank),
                warnings=tuple(each for each in status.warnings or () if self._owner(each.vertex) == rank),
            )
            if rank >= 0:
                yield from self._readers[rank].read(own)

    def _place(self, vertex: Vertex) -> Vertex:
        """Learn whose a vertex is, and give it the name that it has without its target."""
        target, name = split_name(vertex.name, self._ranks)
        if target:
            rank = self._ranks[target]
            self._seen[vertex.digest] = min(rank, self._seen.get(vertex.digest, rank))
        if vertex.digest in self._seen and (vertex.started or vertex.cached or vertex.error):
            self._owners.setdefault(vertex.digest, self._seen[vertex.digest])
        return replace(vertex, name=name)

    def _owner(self, vertex: str) -> int:
        """The number of the reader of a vertex; none has what is of no target, unless there is only one."""
        return self._owners.get(vertex, 0 if len(self._readers) == 1 else -1)
