"""Waiting for a process to be ready, by asking it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from tests.lab.failure import LabError, tail
from tests.lab.warden import Child, Warden

_LIMIT = 120.0  # far more than it takes on a busy machine; only a process that hangs gets there


def wait_until_ready(warden: Warden, child: Child, is_ready: Callable[[], bool], log: Path) -> None:
    """Ask until it is ready.

    Raises:
        LabError: the process ended, or does not become ready; its log is shown.
    """
    end = time.monotonic() + _LIMIT
    while not is_ready():
        if not warden.is_alive(child):
            msg = f"a process of the lab ended early:\n{tail(log)}"
            raise LabError(msg)
        if time.monotonic() > end:
            msg = f"a process of the lab does not answer:\n{tail(log)}"
            raise LabError(msg)
        time.sleep(0.01)
