"""Files that the user names for us to write: what is not ours is never replaced, and neither is a device."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from orchestrator.state.beneath import Durability, Missing, open_folder, open_named, try_to_create, write_whole

_HEAD: Final = 4096
"""Bytes; by these a file is known for ours."""


def replace_own(path: Path, content: bytes, *, is_own: Callable[[bytes], bool], durability: Durability) -> bool:
    """Write a file, whole or not at all; False where something else stands there, which stays.

    Args:
        path: the file; a link is replaced, what it leads to is not.
        content: what to write.
        is_own: whether a file that begins so was written by us; an empty one may be replaced, too.
        durability: whether it has to survive a power cut.

    Raises:
        OSError: it cannot be written, or is no regular file; with the path as the user knows it.
    """
    try:
        if not _is_free(path, is_own):
            return False
        with open_folder(path.parent, (), Missing.FAIL) as folder:
            write_whole(path.name, folder, lambda file: file.write(content), durability)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
    return True


def can_replace(path: Path, *, is_own: Callable[[bytes], bool]) -> bool:
    """Whether `replace_own` would write this file now; for what is only there to be written much later.

    Raises:
        OSError: as `replace_own`.
    """
    try:
        if not _is_free(path, is_own):
            return False
        with open_folder(path.parent, (), Missing.FAIL) as folder:
            try_to_create(folder)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
    return True


def _is_free(path: Path, is_own: Callable[[bytes], bool]) -> bool:
    if not path.exists():
        return True
    with open_named(path) as file:
        head = file.read(_HEAD)
    return not head or is_own(head)
