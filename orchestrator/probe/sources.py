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
    base = os.path.realpath(boundary)
    states: dict[str, FolderState] = {}
    outside: set[str] = set()
    for folder in folders:
        if folder in states:
            continue
        path = os.path.normpath(root / folder)
        states[folder] = _folder_state(path)
        if states[folder] is FolderState.FOLDER and _leaves(path, base):
            outside.add(folder)
    texts: dict[str, str | None] = {}
    for dockerfile in dockerfiles:
        if dockerfile not in texts:
            path = os.path.normpath(root / dockerfile)
            texts[dockerfile] = _read_text(path)
            if texts[dockerfile] is not None and _leaves(path, base):
                outside.add(dockerfile)
    return SourceFacts(folders=states, dockerfiles=texts, outside=frozenset(outside))


def _folder_state(path: str) -> FolderState:
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 (10,000 of them: a Path costs more than the call)
    except (OSError, ValueError):
        return FolderState.MISSING
    return FolderState.FOLDER if stat.S_ISDIR(mode) else FolderState.OTHER


def _leaves(path: str, base: str) -> bool:
    """Whether a path that is written inside of the boundary leads out of it."""
    written = path == base or path.startswith(base + os.sep)
    real = os.path.realpath(path)
    return written and not (real == base or real.startswith(base + os.sep))


def _read_text(path: str) -> str | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):
        return None
    with os.fdopen(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        return stream.read(MAX_DOCKERFILE + 1).decode("utf-8", "replace")
