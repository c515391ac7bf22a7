"""The private names under which results stand in a repository before, and after, they get their tags.

One function for each kind. They are a function of the plan's run id: the same plan gives the same names
on every machine.
"""

from __future__ import annotations

import hashlib
from typing import Final

from orchestrator.oci.platform import Platform

RUN_ID_LENGTH: Final = 16
_READABLE: Final = 60


def run_id(content: bytes) -> str:
    """The id of a plan's run, from all that its solves are made of."""
    return hashlib.sha256(content).hexdigest()[:RUN_ID_LENGTH]


def solve_tag(run: str, step: str, image: str) -> str:
    """The tag that a solve pushes under: `run-<id>-<image>-<hash>`."""
    return f"run-{run}-{image[:_READABLE]}-{_hex(run, step)[:8]}"


def record_tag(run: str, image: str, platform: Platform) -> str:
    """The tag of one platform's index: `in-<64 hex>`."""
    return "in-" + _hex(run, image, str(platform))


def final_tag(run: str, image: str) -> str:
    """The private tag of a verified index: `ok-<64 hex>`."""
    return "ok-" + _hex(run, image)


def _hex(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
