"""Reads what stands on disk for a plan: which folders are there, and the Dockerfiles in them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from orchestrator.plan.facts import FolderState, SourceFacts

MAX_DOCKERFILE: Final = 1024 * 1024


def read_sources(root: Path, *, folders: Iterable[str], dockerfiles: Iterable[str], boundary: Path) -> SourceFacts:
    """Look at these paths, relative to `root`. `outside` are those that a symbolic link leads out of `boundary`."""
    links = _Links(os.path.realpath(boundary))
    base = str(root)
    states: dict[str, FolderState] = {}
    texts: dict[str, str | None] = {}
    outside: set[str] = set()
    for folder in dict.fromkeys(folders):
        path = os.path.normpath(os.path.join(base, folder))  # noqa: PTH118 (10,000 of them: a `Path` costs more)
        states[folder] = _folder_state(path)
        if states[folder] is FolderState.FOLDER and links.leave(path):
            outside.add(folder)
    for dockerfile in dict.fromkeys(dockerfiles):
        path = os.path.normpath(os.path.join(base, dockerfile))  # noqa: PTH118 (as above)
        texts[dockerfile] = _read_text(path)
        if texts[dockerfile] is not None and links.leave(path):
            outside.add(dockerfile)
    return SourceFacts(folders=states, dockerfiles=texts, outside=frozenset(outside))


class _Links:
    """Follows symbolic links, each folder once: `os.path.realpath` would look at every parent of every path again."""

    def __init__(self, base: str) -> None:
        self._base = base
        self._real = {os.sep: os.sep}

    def leave(self, path: str) -> bool:
        """Whether a path that is written inside of the base leads out of it."""
        return self._within(path) and not self._within(self._resolve(path))

    def _within(self, path: str) -> bool:
        return path == self._base or path.startswith(self._base + os.sep)

    def _resolve(self, path: str) -> str:
        if path not in self._real:
            parent, name = os.path.split(path)
            plain = os.path.join(self._resolve(parent), name)  # noqa: PTH118 (10,000 of them)
            self._real[path] = os.path.realpath(plain) if os.path.islink(plain) else plain  # noqa: PTH114 (as above)
        return self._real[path]


def _folder_state(path: str) -> FolderState:
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 (10,000 of them: a Path costs more than the call)
    except (OSError, ValueError):
        return FolderState.MISSING
    return FolderState.FOLDER if stat.S_ISDIR(mode) else FolderState.OTHER


def _read_text(path: str) -> str | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):
        return None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return None
    with os.fdopen(descriptor, "rb") as stream:
        return stream.read(MAX_DOCKERFILE + 1).decode("utf-8", "replace")
