"""The plan of a run that has begun: kept until the run ends well, so that a later one can go on with it."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from orchestrator.state.beneath import Durability, Missing, open_folder, open_regular, write_whole
from orchestrator.state.workspace import NAME

FILE: Final = "begun.plan.json"
_MOST_BYTES: Final = 512 * 1024 * 1024


def keep_begun(root: Path, content: bytes) -> None:
    """Keep a plan; it is on the disk when this returns, so that a power cut does not lose it.

    Raises:
        OSError: it cannot be written.
    """
    with open_folder(root, (NAME,), Missing.CREATE) as folder:
        write_whole(FILE, folder, lambda file: file.write(content), Durability.SYNCED)


def read_begun(root: Path) -> bytes | None:
    """The plan that was begun last and did not end well; None where there is none.

    Raises:
        OSError: something else stands in its place.
    """
    try:
        with open_folder(root, (NAME,), Missing.FAIL) as folder, open_regular(FILE, folder) as file:
            return file.read(_MOST_BYTES)
    except FileNotFoundError:
        return None


def forget_begun(root: Path) -> None:
    """There is nothing to go on with any more."""
    with suppress(FileNotFoundError), open_folder(root, (NAME,), Missing.FAIL) as folder:
        os.unlink(FILE, dir_fd=folder)
