"""Folders of the cache: each is made once, by whoever needs it first."""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

_UNFINISHED = ".unfinished-"


def made_once(target: Path, make: Callable[[Path], None]) -> Path:
    """Have `make` fill the folder `target`, unless it is there already.

    It is filled elsewhere under a lock and put in place by one rename: two test runs that start at once do not
    disturb each other, and one that is cut off leaves nothing that looks finished.
    """
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with (target.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for unfinished in target.parent.glob(f"{_UNFINISHED}*"):  # we hold the lock, so its maker is gone
            shutil.rmtree(unfinished)
        if not target.is_dir():
            with tempfile.TemporaryDirectory(prefix=_UNFINISHED, dir=target.parent) as work:
                made = Path(work) / target.name
                made.mkdir()
                make(made)
                made.rename(target)
    return target
