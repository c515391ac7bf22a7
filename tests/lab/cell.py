"""A cell: an engine's process with a room and a process namespace of its own.

The kernel ends everything in a process namespace with its first process. So an engine's containers, shims and
containerd cannot outlive it, whatever way it ends, and waiting for that first process means waiting for them all.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import struct
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.lab import emulation, kernel, room


@dataclass(frozen=True)
class Cell:
    """What is run, and what it finds in its room."""

    argv: Sequence[str]
    env: Mapping[str, str]
    log: Path
    folder: Path
    owner: str  # whose name QEMU handlers get
    emulators: Mapping[str, Path]


def start(cell: Cell) -> tuple[int, int]:
    """Start it, and return two process numbers as seen here: of the namespace's first process, and of the engine.

    Only from a process with one thread, since it forks.

    Raises:
        OSError: it could not be started; the log says why.
    """
    receiver, sender = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    receiver.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    kernel.unshare(kernel.CLONE_NEWPID)
    try:
        first = os.fork()
        if first == 0:
            receiver.close()
            os._exit(_first_process(cell, sender))
    finally:
        kernel.return_to_own_pid_namespace()
    sender.close()
    with receiver:
        main = _sender_of_byte(receiver)
    if main is None:
        os.kill(first, signal.SIGKILL)
        os.waitpid(first, 0)
        msg = f"the engine's room could not be made, see {cell.log}"
        raise OSError(msg)
    return first, main


def _sender_of_byte(receiver: socket.socket) -> int | None:
    """The kernel translates the sender's process number into our namespace; no /proc is needed for it."""
    size = struct.calcsize("3i")
    data, ancillary, _, _ = receiver.recvmsg(1, socket.CMSG_SPACE(size))
    for level, kind, content in ancillary:
        if data and level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
            return int(struct.unpack("3i", content[:size])[0])
    return None


def _first_process(cell: Cell, sender: socket.socket) -> int:
    try:
        log = os.open(cell.log, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        os.dup2(log, 1)
        os.dup2(log, 2)
        kernel.die_with_parent()
        if _is_closed(sender):  # our parent died before it could take us along
            return 1
        signal.set_wakeup_fd(-1)
        room.enter(cell.folder)
        room.furnish(own_processes=True)
        kernel.mount("run", "/run", "tmpfs", options="mode=755")  # containerd's shims leave sockets there
        emulation.register(cell.owner, cell.emulators)
        return _run_and_reap(cell, sender)
    except BaseException:  # noqa: BLE001 - a forked child must not return into its parent's code
        os.write(2, traceback.format_exc().encode())
        return 1


def _is_closed(sender: socket.socket) -> bool:
    poll = select.poll()
    poll.register(sender, 0)
    return any(happened & select.POLLHUP for _, happened in poll.poll(0))


def _run_and_reap(cell: Cell, sender: socket.socket) -> int:
    main = os.fork()
    if main == 0:
        sender.send(b".")
        os.execve(cell.argv[0], list(cell.argv), dict(cell.env))  # noqa: S606 - no shell is the point
    sender.close()
    while True:
        pid, status = os.wait()
        if pid == main:
            return abs(os.waitstatus_to_exitcode(status))
