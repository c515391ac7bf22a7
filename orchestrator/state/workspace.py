"""`.orchestrate`: the folder of a project's runs, and the lock by which two of them exclude each other."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from orchestrator.errors import PlanBlockedError, disk_error

NAME: Final = ".orchestrate"
_LOCK: Final = "lock"
_RUN: Final = "run-"


@contextmanager
def open_run(root: Path) -> Iterator[Path]:
    """An empty folder for one run, removed at its end; one run at a time has one.

    Raises:
        PlanBlockedError: another run is at work here.
        UsageError: the folder cannot be written to.
    """
    workspace = root / NAME
    try:
        workspace.mkdir(exist_ok=True)
        ignore = workspace / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n", encoding="utf-8")
        lock = os.open(workspace / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    except OSError as error:
        raise disk_error(error) from error
    try:
        _take(lock, workspace)
        for left in workspace.glob(f"{_RUN}*"):  # by a run that was killed: who has the lock is alone here
            shutil.rmtree(left, ignore_errors=True)
        folder = Path(tempfile.mkdtemp(prefix=_RUN, dir=workspace))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        raise disk_error(error) from error
    finally:
        os.close(lock)


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
