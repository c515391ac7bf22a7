"""Files below `.orchestrate/cache`: what they hold can be had again, so losing one costs time and nothing else.

They are read whole and written whole, and no link that a repository brought is followed.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

from orchestrator.state.beneath import Durability, Missing, find_size, open_folder, open_regular, write_whole
from orchestrator.state.workspace import CACHE, NAME

_IGNORE: Final = ".gitignore"


def read_cached(root: Path, name: str, limit: int) -> bytes:
    """A file of the cache of the project in `root`; empty where there is none, or one of more than `limit` bytes."""
    try:
        with open_folder(root, (NAME, CACHE), Missing.FAIL) as folder, open_regular(name, folder) as file:
            content = file.read(limit + 1)
    except OSError:
        return b""
    return content if len(content) <= limit else b""


def write_cached(root: Path, name: str, content: bytes) -> None:
    """Write a file of the cache; a disk that cannot be written to keeps nothing."""
    _write(root, name, lambda file: file.write(content))


def read_own(root: Path, name: str, limit: int) -> bytes:
    """A file that `write_own` has written here; empty where another has come into its place, such as one from git.

    For what cannot be held against a digest. Who brings a file does not choose its inode, nor who checks it out its
    time of change to the nanosecond; both stand at its beginning.
    """
    try:
        with open_folder(root, (NAME, CACHE), Missing.FAIL) as folder, open_regular(name, folder) as file:
            content = file.read(limit + 1)
            seal = _seal(os.fstat(file.fileno()))
    except OSError:
        return b""
    return content[len(seal) :] if len(content) <= limit and content.startswith(seal) else b""


def write_own(root: Path, name: str, content: bytes) -> None:
    """Write a file for `read_own`; a disk that cannot be written to keeps nothing."""

    def write(file: BinaryIO) -> None:
        status = os.fstat(file.fileno())
        file.write(_seal(status))
        file.write(content)
        file.flush()
        os.utime(file.fileno(), ns=(status.st_mtime_ns, status.st_mtime_ns))

    _write(root, name, write)


def _seal(status: os.stat_result) -> bytes:
    return f"{status.st_ino} {status.st_mtime_ns}\n".encode()


def _write(root: Path, name: str, write: Callable[[BinaryIO], object]) -> None:
    with suppress(OSError):
        with open_folder(root, (NAME,), Missing.CREATE) as folder:
            if find_size(_IGNORE, folder) is None:
                write_whole(_IGNORE, folder, lambda file: file.write(b"*\n"), Durability.LAZY)
        with open_folder(root, (NAME, CACHE), Missing.CREATE) as folder:
            write_whole(name, folder, write, Durability.LAZY)
