"""A line of a file of the project, as people and editors read it."""

from __future__ import annotations

import posixpath

from orchestrator.api.events import FailedAt


def locate_file(at: FailedAt, dockerfile: str) -> str:
    """The path from the root: BuildKit names the file alone, which is the Dockerfile of the step or unknown to us."""
    return dockerfile if posixpath.basename(dockerfile) == at.file else at.file


def locate(at: FailedAt, dockerfile: str) -> str:
    """`api/Dockerfile:3`."""
    return f"{locate_file(at, dockerfile)}:{at.line}"
