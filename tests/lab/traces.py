"""What there is of a lab on this machine: `python -m tests.lab.traces NAME FOLDER` prints a line for each find.

For tests, and for looking what a lab is doing. A process of its own, since looking needs a `room`, and so a fork.
"""

from __future__ import annotations

import os
import sys
import tempfile
from functools import partial
from pathlib import Path

from tests.lab import bridges, cgroups, emulation, room


def find(name: str, folder: Path) -> list[str]:
    """Bridges, mounts, processes, control groups, handlers and files of the lab `name`."""
    found = [f"bridge {bridge}" for bridge in bridges.names(name)]
    mounts = Path("/proc/self/mountinfo")
    found += [f"mount {line}" for line in (mounts.read_text().splitlines() if mounts.exists() else ()) if name in line]
    with tempfile.TemporaryDirectory() as somewhere:
        found += room.visit(Path(somewhere), partial(_find_in_room, name))
    return found + ([f"folder {folder}"] if folder.exists() else [])


def _find_in_room(name: str) -> list[str]:
    ourselves = {os.getpid(), os.getppid()}
    processes = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
    found = [f"process {pid} {_program(pid)}" for pid in processes if pid not in ourselves and _belongs(pid, name)]
    found += [f"group {group}" for group, _, _ in os.walk(cgroups.FOLDER) if name in group]
    return found + [f"handler {handler}" for handler in emulation.handlers(name)]


def _program(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode()
    except OSError:
        return ""


def _belongs(pid: int, name: str) -> bool:
    try:
        return any(name.encode() in Path(f"/proc/{pid}/{file}").read_bytes() for file in ("cmdline", "cgroup"))
    except OSError:  # it has just ended
        return False


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in find(sys.argv[1], Path(sys.argv[2])))
