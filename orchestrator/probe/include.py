"""Expands the globs of `include`, without following links into endless or foreign trees."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from orchestrator.config.names import is_glob

_ANY_DEPTH: Final = "**"


def problem_of(pattern: str) -> str | None:
    """Why a glob cannot be one of `include`; None where it can."""
    segments = pattern.split("/")
    if pattern.startswith("/"):
        return "is absolute"
    if ".." in segments:
        return "leads out of the folder of the root file"
    if "\\" in pattern or "\0" in pattern:
        return "has a character that no path here has"
    return None


def expand(folder: Path, pattern: str) -> tuple[str, ...]:
    """What matches, sorted, relative to `folder`; `**` stands for any number of folders.

    `*` and `**` do not match what is hidden, and `**` does not follow links, which could lead in circles.
    """
    segments = tuple(segment for segment in pattern.split("/") if segment not in {"", "."})
    found: set[str] = set()
    seen: set[tuple[str, int]] = set()
    pending = [("", 0)]
    while pending:
        step = pending.pop()
        if step in seen:
            continue
        seen.add(step)
        prefix, index = step
        if index == len(segments):
            found.add(prefix)
        else:
            pending.extend(_steps(folder, prefix, index, segments[index]))
    return tuple(sorted(found - {""}))


def _steps(folder: Path, prefix: str, index: int, segment: str) -> Iterator[tuple[str, int]]:
    if segment == _ANY_DEPTH:
        yield prefix, index + 1
        for name, is_folder in _children(folder / prefix):
            if is_folder and not name.startswith("."):
                yield _below(prefix, name), index
    elif is_glob(segment):
        for name, _ in _children(folder / prefix):
            if fnmatchcase(name, segment) and (not name.startswith(".") or segment.startswith(".")):
                yield _below(prefix, name), index + 1
    elif os.path.lexists(folder / prefix / segment):
        yield _below(prefix, segment), index + 1


def _below(prefix: str, name: str) -> str:
    return f"{prefix}/{name}" if prefix else name


def _children(folder: Path) -> list[tuple[str, bool]]:
    """The names in a folder, and whether each is a folder itself and no link; none where it cannot be listed."""
    try:
        with os.scandir(folder) as entries:
            return [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    except OSError:
        return []
