"""Files beneath a folder that somebody else may have filled: no link is followed, files appear whole or not at all.

Whoever writes a file holds a lock on it until it has its name, so what a killed process left unfinished is known by
nobody holding one. Everything here raises `OSError`.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from pathlib import Path
from typing import BinaryIO, Final

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY
_TEMPORARY: Final = re.compile(r"\..{0,16}\.[0-9a-f]{16}\.partial")


class Missing(Enum):
    """What to do about folders that are not there."""

    FAIL = "fail"
    CREATE = "create"


class Durability(Enum):
    """Whether a file has to survive a power cut before the writer goes on."""

    LAZY = "lazy"
    SYNCED = "synced"


@contextmanager
def open_folder(root: Path, parts: tuple[str, ...], missing: Missing) -> Iterator[int]:
    """A descriptor of `root/part/…`; `root` may be a link, what is beneath it may not."""
    if missing is Missing.CREATE:
        root.mkdir(parents=True, exist_ok=True)
    folder = os.open(root, _FOLDER)
    try:
        for part in parts:
            if missing is Missing.CREATE:
                with suppress(FileExistsError):
                    os.mkdir(part, dir_fd=folder)
            inner = os.open(part, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)
            os.close(folder)
            folder = inner
        yield folder
    finally:
        os.close(folder)


def open_regular(name: str, folder: int) -> BinaryIO:
    """A file in `folder` for reading; a link, a pipe or a device is an error, and does not make us wait."""
    return _check_regular(os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder))


def open_named(path: Path) -> BinaryIO:
    """A file for reading that the user named: links are followed, but only to a regular file."""
    return _check_regular(os.open(path, os.O_RDONLY | os.O_NONBLOCK))


def find_size(name: str, folder: int) -> int | None:
    """The size of a regular file in `folder`; None where there is no such file."""
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def is_same(name: str, one: int, other: int) -> bool:
    """Whether two folders have the same file under a name, by a hard link."""
    try:
        here, there = (os.stat(name, dir_fd=folder, follow_symlinks=False) for folder in (one, other))
    except FileNotFoundError:
        return False
    return os.path.samestat(here, there)


def write_whole(name: str, folder: int, write: Callable[[BinaryIO], object], durability: Durability) -> None:
    """Have `write` fill a file that takes its name, and the place of another, once it is complete."""
    temporary = _name_temporary(name)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    try:
        with os.fdopen(os.open(temporary, flags, 0o644, dir_fd=folder), "wb") as file:
            _take(file.fileno())
            write(file)
            file.flush()
            if durability is Durability.SYNCED:
                os.fsync(file.fileno())
            os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=folder)
        raise
    if durability is Durability.SYNCED:
        os.fsync(folder)


def remove_unfinished(folder: int) -> None:
    """Remove what `write_whole` has begun in `folder` in processes that were killed."""
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if _TEMPORARY.fullmatch(entry.name)]
    for name in names:
        with suppress(OSError), open_regular(name, folder) as file:
            if _take(file.fileno()):
                os.unlink(name, dir_fd=folder)


def _take(file: int) -> bool:
    """Lock a file; False where somebody else has it, or the file system knows no locks."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def try_to_create(folder: int) -> None:
    """Create a file and remove it: permissions alone do not tell whether that can be done."""
    name = _name_temporary("")
    os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=folder))
    os.unlink(name, dir_fd=folder)


def link_whole(name: str, source: int, target: int) -> bool:
    """Give the file `name` of one folder to another by a hard link; False where file systems do not allow it."""
    temporary = _name_temporary(name)
    try:
        os.link(name, temporary, src_dir_fd=source, dst_dir_fd=target, follow_symlinks=False)
    except OSError as error:
        if error.errno in {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.ENOENT}:
            return False
        raise
    try:
        os.rename(temporary, name, src_dir_fd=target, dst_dir_fd=target)
    except FileNotFoundError:  # a link has no lock of its own: somebody took it for unfinished
        return False
    with suppress(FileNotFoundError):  # where both were one file already, renaming does nothing and leaves it
        os.unlink(temporary, dir_fd=target)
    return True


def _check_regular(descriptor: int) -> BinaryIO:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file")
    return os.fdopen(descriptor, "rb")


def _name_temporary(name: str) -> str:
    return f".{name[:16]}.{secrets.token_hex(8)}.partial"
