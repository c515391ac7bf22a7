"""Ports on the loopback interface that stay ours while nobody listens on them."""

from __future__ import annotations

import random
import socket
from contextlib import closing

_RANGE = range(20000, 32000)  # below the kernel's ephemeral ports, so that no connection takes one between two starts


def free_port() -> int:
    """A port that nobody uses. Who listens first has it, so be ready to try another."""
    for port in random.sample(_RANGE, 200):
        with closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    msg = "no free port"
    raise OSError(msg)
