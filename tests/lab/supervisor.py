"""The lab's supervisor: a process that starts everything, and takes it down when its parent ends or says so.

It reads requests (one JSON object a line) from a socket that only the parent holds the other end of. When that end
is closed, by whatever death of the parent, everything is taken down. It has one thread, so that it can fork safely.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypedDict

from tests.lab import bridges, cell, cgroups, kernel, leftovers, room

_PATIENCE = 1.0  # seconds between looks at whether the parent is still there, should somebody else hold its socket


class Request(TypedDict, total=False):
    """A line from the parent: `do` says what, the rest is what it needs."""

    do: str
    name: str
    argv: list[str]
    env: dict[str, str]
    log: str
    folder: str
    emulators: dict[str, str]
    child: int
    number: int
    processors: float


class Supervisor:
    """Holds a lab's processes and answers requests."""

    def __init__(self, name: str, folder: Path, control: socket.socket) -> None:
        self._name = name
        self._folder = folder
        self._control = control
        self._parent = os.getppid()
        self._problems: list[str] = []
        self._main: dict[int, int] = {}  # our child -> the process to signal, which may be in a cell of it
        self._requests: dict[str, Callable[[Request], dict[str, object]]] = {
            "bridge": self._bridge,
            "cell": self._cell,
            "process": self._process,
            "signal": self._signal,
            "kill": self._kill,
            "limit": self._limit,
            "alive": self._alive,
        }

    def run(self, wakeup: int) -> None:
        """Serve, and take everything down whatever happens."""
        try:
            leftovers.sweep()
            self._serve(wakeup)
        except BaseException:
            self._problems.append(traceback.format_exc())
            raise
        finally:
            self._end()

    def _serve(self, wakeup: int) -> None:
        """Answer requests until the parent is gone, asks for the end, or SIGTERM comes."""
        buffer = b""
        while True:
            ready, _, _ = select.select([self._control.fileno(), wakeup], [], [], _PATIENCE)
            if wakeup in ready or os.getppid() != self._parent:
                return
            if not ready:
                continue
            received = self._control.recv(65536)
            if not received:
                return
            *lines, buffer = (buffer + received).split(b"\n")
            for line in lines:
                request: Request = json.loads(line)
                if request["do"] == "end":
                    return
                self._answer(request)

    def _end(self) -> None:
        """Kill all, remove all, and tell the parent, if it is there, what could not be removed."""
        for child in self._main:
            os.kill(child, signal.SIGKILL)
        while True:
            try:
                os.wait()
            except ChildProcessError:
                break
        problems = leftovers.remove_traces(self._name, self._folder)
        self._send({"problems": [*self._problems, *problems]})

    def _answer(self, request: Request) -> None:
        try:
            answer = self._requests[request["do"]](request)
        except OSError as error:
            answer = {"error": str(error)}
        self._send(answer)

    def _send(self, answer: Mapping[str, object]) -> None:
        try:
            self._control.sendall(json.dumps(answer).encode() + b"\n")
        except OSError:  # the parent has gone, and nobody wants to know
            return

    def _bridge(self, request: Request) -> dict[str, object]:
        bridges.create(request["name"])
        return {}

    def _cell(self, request: Request) -> dict[str, object]:
        emulators = {architecture: Path(path) for architecture, path in request["emulators"].items()}
        log, folder = Path(request["log"]), Path(request["folder"])
        child, main = cell.start(cell.Cell(request["argv"], request["env"], log, folder, self._name, emulators))
        self._main[child] = main
        return {"child": child, "pid": main}

    def _process(self, request: Request) -> dict[str, object]:
        with Path(request["log"]).open("ab") as log:
            process = subprocess.Popen(
                request["argv"],
                env=request["env"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=kernel.die_with_parent,  # noqa: PLW1509 - we have one thread
            )
        self._main[process.pid] = process.pid
        process.returncode = 0  # we wait for it ourselves; without this, Popen would, too
        return {"child": process.pid, "pid": process.pid}

    def _signal(self, request: Request) -> dict[str, object]:
        if not self._is_alive(request["child"]):
            msg = f"process {request['child']} has ended"
            raise OSError(msg)
        os.kill(self._main[request["child"]], request["number"])
        return {}

    def _kill(self, request: Request) -> dict[str, object]:
        child = request["child"]
        if self._is_alive(child):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            del self._main[child]
        return {}

    def _limit(self, request: Request) -> dict[str, object]:
        def errand() -> list[str]:
            cgroups.limit(request["name"], _family(request["child"]), request["processors"])
            return []

        room.visit(self._folder, errand)
        return {}

    def _alive(self, request: Request) -> dict[str, object]:
        return {"alive": self._is_alive(request["child"])}

    def _is_alive(self, child: int) -> bool:
        if child in self._main and os.waitpid(child, os.WNOHANG) != (0, 0):
            del self._main[child]
        return child in self._main


def _family(first: int) -> list[int]:
    """A process, and all that it and its children have started."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            said = (folder / "stat").read_text()
        except OSError:  # it has ended
            continue
        parents[int(folder.name)] = int(said.rpartition(")")[2].split()[1])
    family = [first]
    for member in family:
        family += [process for process, parent in parents.items() if parent == member]
    return family


def main(name: str, folder: Path, control: int, *proofs: int) -> None:
    """Run a supervisor; `control` and `proofs` are descriptors that we inherited.

    The proofs show others that the lab is alive. They are held until the last of us has ended.
    """
    for descriptor in (control, *proofs):
        fcntl.fcntl(descriptor, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
    wakeup, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(writer)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    kernel.adopt_orphans()
    Supervisor(name, folder, socket.socket(fileno=control)).run(wakeup)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *map(int, sys.argv[3:]))
