"""Removing what labs leave in the kernel and on disk: our own at the end, and those of labs that were killed.

Everything a lab makes carries its name, `orc` and eight hexadecimal digits.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.lab import bridges, cgroups, emulation, room

_PREFIX = "orchestrate-lab-"
_FOLDER = re.compile(r"orchestrate-lab-(orc[0-9a-f]{8})")
_BRIDGE = re.compile(r"(orc[0-9a-f]{8})e[0-9]+")
_UNSUITABLE = {"overlayfs", "nfs", "fuseblk", "ramfs"}  # overlayfs cannot put its upper layer there


@dataclass(frozen=True)
class Run:
    """A lab's name and temporary folder, with what shows others that it is alive: for the supervisor to inherit."""

    name: str
    folder: Path
    owner: socket.socket
    lock: int


def create_run() -> Run:
    """Make a name and a folder. The name is held first, so nobody ever finds a folder that looks left over."""
    parent = next((path for path in _parents() if _file_system(path) not in _UNSUITABLE), None)
    if parent is None:
        msg = "no temporary folder on a file system that overlayfs can use"
        raise OSError(msg)
    while (owner := claim(name := f"orc{secrets.token_hex(4)}")) is None:
        continue
    folder = parent / f"{_PREFIX}{name}"
    folder.mkdir(mode=0o700)
    return Run(name, folder, owner, _lock(folder))


def _lock(folder: Path) -> int:
    """Lock a folder; for those who do not see our names, being in another network namespace."""
    lock = os.open(folder / "lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise
    return lock


def claim(name: str) -> socket.socket | None:
    """Hold the name among the processes of this network namespace, which is also where bridges live."""
    owner = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        owner.bind(f"\0orchestrate-lab-{name}")
    except OSError:
        owner.close()
        return None
    return owner


def remove_traces(name: str, folder: Path) -> list[str]:
    """Remove everything of the lab `name`, whose processes have ended; returns what could not be removed."""
    problems: list[str] = []
    for bridge in bridges.names(f"{name}e"):
        _attempt(problems, partial(bridges.remove, bridge))
    if folder.is_dir():
        _attempt(problems, partial(room.visit, folder, partial(_remove_kernel_traces, name)))
    _attempt(problems, partial(_remove_folder, folder))
    return problems


def sweep() -> None:
    """Remove what labs left whose supervisor was killed, too; what cannot be removed is left to the next one."""
    for parent in _parents():
        for folder in parent.glob(f"{_PREFIX}*"):
            if match := _FOLDER.fullmatch(folder.name):
                _sweep(match[1], partial(_sweep_folder, match[1], folder))
    for bridge in bridges.names("orc"):
        if match := _BRIDGE.fullmatch(bridge):
            _sweep(match[1], partial(bridges.remove, bridge))


def _sweep(name: str, action: Callable[[], object]) -> None:
    if owner := claim(name):
        with owner:
            _attempt([], action)


def _sweep_folder(name: str, folder: Path) -> None:
    if folder.stat(follow_symlinks=False).st_uid == os.geteuid():
        lock = _lock(folder)
        try:
            remove_traces(name, folder)
        finally:
            os.close(lock)


def _remove_kernel_traces(name: str) -> list[str]:
    emulation.unregister(f"{name}-")
    cgroups.remove(name)
    return []


def _attempt(problems: list[str], action: Callable[[], object]) -> None:
    try:
        action()
    except OSError as error:
        problems.append(str(error))


def _remove_folder(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)


def _parents() -> list[Path]:
    """Short paths first: a socket's path may have 107 characters."""
    wanted = dict.fromkeys((Path("/tmp"), Path("/var/tmp"), Path(tempfile.gettempdir())))  # noqa: S108
    return [path for path in wanted if path.is_dir()]


def _file_system(folder: Path) -> str:
    done = subprocess.run(["stat", "-f", "-c", "%T", str(folder)], capture_output=True, text=True, check=True)
    return done.stdout.strip()
