"""The end of what a step of the last run printed, as `.orchestrate/logs` has it."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Final

from orchestrator.api.invocation import StepId
from orchestrator.model import Model
from orchestrator.state.beneath import Missing, open_folder, open_regular
from orchestrator.state.workspace import NAME

FOLDER: Final = "logs"
ENDING: Final = ".log"
_LONGEST_NAME: Final = 100
_ODD: Final = re.compile(r"[^A-Za-z0-9._@-]+")


class LogEnd(Model):
    """The last bytes of a log, where it is, from the root of the project, and how large it is."""

    path: str
    size: int
    content: bytes


def read_log_end(root: Path, step: StepId, most: int) -> LogEnd | None:
    """The last bytes, at most so many; None where the step printed nothing, or what it printed cannot be read."""
    for name in log_names(step):
        try:
            with open_folder(root, (NAME, FOLDER), Missing.FAIL) as folder, open_regular(name, folder) as file:
                size = os.fstat(file.fileno()).st_size
                file.seek(max(size - most, 0))
                return LogEnd(path=f"{NAME}/{FOLDER}/{name}", size=size, content=file.read(most))
        except OSError:
            continue
    return None


def log_names(step: StepId) -> tuple[str, str]:
    """The names that the log of a step may have: one that no other step has, and a plain one.

    The plain one, `solve-api@linux-arm64.log`, is its name unless another step was first to have it.
    """
    stem = _ODD.sub("-", step).lstrip(".-")
    unique = f"{stem[:_LONGEST_NAME]}-{hashlib.sha256(step.encode('utf-8', 'replace')).hexdigest()[:12]}"
    return unique + ENDING, (stem if len(stem) <= _LONGEST_NAME else unique) + ENDING
