"""Reads regular files and nothing else: a pipe would make us wait for ever, a device may never end."""

from __future__ import annotations

import os
import stat


def read_regular(path: str, limit: int) -> bytes | None:
    """The first `limit` bytes of a regular file; None where there is none that can be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):
        return None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return None
    with os.fdopen(descriptor, "rb") as stream:
        return stream.read(limit)
