"""`.orchestrate`: the folder of a project's runs, and the lock by which two of them exclude each other."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from orchestrator.errors import PlanBlockedError, UsageError, disk_error
from orchestrator.state.beneath import (
    Durability,
    Missing,
    find_size,
    open_folder,
    remove_unfinished,
    write_whole,
)

NAME: Final = ".orchestrate"
CACHE: Final = "cache"
_LOCK: Final = "lock"
_IGNORE: Final = ".gitignore"
_RUN: Final = "run-"


@contextmanager
def open_run(root: Path) -> Iterator[Path]:
    """An empty folder for one run, removed at its end; one run at a time has one.

    Raises:
        PlanBlockedError: another run is at work here.
        UsageError: the folder cannot be written to, or a link leads elsewhere.
    """
    check_workspace(root)
    workspace = root / NAME
    check_no_link(workspace / _LOCK)
    try:
        lock = _open_lock(root)
    except OSError as error:
        raise disk_error(error) from error
    try:
        _take(lock, workspace)
        _remove_left(root)
        folder = Path(tempfile.mkdtemp(prefix=_RUN, dir=workspace))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        raise disk_error(error) from error
    finally:
        os.close(lock)


def _remove_left(root: Path) -> None:
    """Remove what runs that were killed have left: who has the lock is alone here."""
    for left in (root / NAME).glob(f"{_RUN}*"):
        shutil.rmtree(left, ignore_errors=True)
    for parts in ((NAME,), (NAME, CACHE)):
        with suppress(OSError), open_folder(root, parts, Missing.FAIL) as folder:  # a courtesy, whatever stands there
            remove_unfinished(folder)


def check_workspace(root: Path) -> None:
    """Whether `.orchestrate` is a folder or can be made: a repository may bring anything of that name.

    Raises:
        UsageError: it is something else.
    """
    workspace = root / NAME
    check_no_link(workspace)
    if workspace.exists() and not workspace.is_dir():
        message = f"`{workspace}` is a file, and runs keep their files in a folder of that name"
        raise UsageError(message, hints=("move it away, or remove it",))


def check_no_link(path: Path) -> None:
    """What is ours to write is never written through a link, which a repository may have brought.

    Raises:
        UsageError: a link stands there.
    """
    if path.is_symlink():
        message = f"`{path}` is a symbolic link, and nothing is written where it leads"
        raise UsageError(message, hints=("remove it, then run this again: what is needed there is made",))


def _open_lock(root: Path) -> int:
    """Make the folder with what hides it from git, and open its lock."""
    with open_folder(root, (NAME,), Missing.CREATE) as workspace:
        if find_size(_IGNORE, workspace) is None:
            write_whole(_IGNORE, workspace, lambda file: file.write(b"*\n"), Durability.LAZY)
        return os.open(_LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644, dir_fd=workspace)


def _take(lock: int, workspace: Path) -> None:
    """Lock the file and write our process id into it, for the message of whoever comes second."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        other = os.read(lock, 32).decode("ascii", "replace").strip()
        message = f"another run is at work in `{workspace}`" + (f", process {other}" if other.isdigit() else "")
        raise PlanBlockedError(message, hints=("wait for it to end, or work in another clone",)) from error
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
