"""Process groups: every child leads one of its own, so that what it started can be ended with it.

A grandchild that makes a session of its own (a daemon) leaves the group, and is not ours to end.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_POLL: Final = 0.01
_ROUNDS: Final = 500


def signal_group(leader: int, number: signal.Signals) -> bool:
    """Send a signal to the whole group; False where nobody is left in it."""
    try:
        os.killpg(leader, number)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # somebody is there who is not ours, such as a `sudo`
    return True


def kill_group(leader: int) -> None:
    """Kill the whole group and wait until nobody is left in it; what even then does not end hangs in the kernel."""
    if not signal_group(leader, signal.SIGKILL):
        return
    for _ in range(_ROUNDS):
        if not group_alive(leader):
            return
        time.sleep(_POLL)


def group_alive(leader: int) -> bool:
    """Whether a process of the group still runs.

    One that has ended but was not reaped does not count: where nothing reaps orphans, as in a container without an
    init, it stays for ever and keeps `killpg` content.
    """
    try:
        os.killpg(leader, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    if not (_PROC / "self" / "stat").exists():
        return True
    with os.scandir(_PROC) as entries:
        return any(_runs_in(entry, leader) for entry in entries if entry.name.isdigit())


def _runs_in(entry: os.DirEntry[str], leader: int) -> bool:
    """Whether the process of this folder of /proc is in the group and has not ended; see proc_pid_stat(5)."""
    try:
        line = Path(entry.path, "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    # the program's name stands in parentheses and may hold anything, spaces and parentheses included
    state, _parent, group = line.rpartition(")")[2].split()[:3]
    return int(group) == leader and state not in {"Z", "X"}
