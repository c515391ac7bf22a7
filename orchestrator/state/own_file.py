"""Files that the user names for us to write: what is not ours is never replaced, and neither is a device."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from orchestrator.state.beneath import Durability, Missing, open_folder, open_named, write_whole

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
        if path.exists():
            with open_named(path) as file:
                head = file.read(_HEAD)
            if head and not is_own(head):
                return False
        with open_folder(path.parent, (), Missing.FAIL) as folder:
            write_whole(path.name, folder, lambda file: file.write(content), durability)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
    return True
