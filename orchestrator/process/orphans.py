"""Children of runs that were killed: they go on, and nobody hears them.

Nothing of ours runs when we are killed with SIGKILL, so the next run ends them. They are known by what only a child of
a run has: it leads a session without a terminal, stands in the project's folder, and names the folder of a run.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from orchestrator.process.group import group_alive, kill_group, signal_group

_PROC: Final = Path("/proc")
_POLL: Final = 0.05
_ROUNDS: Final = 40
_NO_TERMINAL: Final = "0"


def end_orphans(root: Path, run: Path) -> None:
    """End what other runs of this project have left; for the run that has the lock, whose folder is `run`.

    Where there is no /proc, as on macOS, they end by themselves: as soon as they say something.
    """
    folders = re.compile(rb"(?:\A|[\0=,/])" + re.escape(os.fsencode(run.parent.name)) + rb"/run-([^/\0]+)/")
    own = os.fsencode(run.name.removeprefix("run-"))
    leaders = [
        leader
        for leader, words in _leaders(os.path.realpath(root))
        if any(found != own for found in folders.findall(words))
    ]
    for leader in leaders:
        signal_group(leader, signal.SIGTERM)
    for _ in range(_ROUNDS):
        if not any(map(group_alive, leaders)):
            return
        time.sleep(_POLL)
    for leader in leaders:
        kill_group(leader)


def _leaders(root: str) -> Iterator[tuple[int, bytes]]:
    """The processes of this user that lead a session without a terminal in this folder, with their words."""
    if not (_PROC / "self/stat").exists():
        return
    for folder in _PROC.glob("[0-9]*"):
        words = _read_words(folder, root)
        if words:
            yield int(folder.name), words


def _read_words(folder: Path, root: str) -> bytes:
    """The words of such a process; nothing of any other, of one that has ended, and of somebody else's."""
    try:
        if folder.stat().st_uid != os.geteuid() or str((folder / "cwd").readlink()) != root or not _leads(folder):
            return b""
        return (folder / "cmdline").read_bytes()
    except OSError:
        return b""


def _leads(folder: Path) -> bool:
    """See proc_pid_stat(5): the program's name stands in parentheses and may hold anything."""
    fields = (folder / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    _state, _parent, group, session, terminal = fields[:5]
    return (group, session, terminal) == (folder.name, folder.name, _NO_TERMINAL)
