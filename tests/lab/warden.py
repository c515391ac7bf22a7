"""The parent's side of the supervisor: starts it and talks to it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.lab import leftovers
from tests.lab.failure import LabError, tail

_PROJECT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Child:
    """A process the supervisor started: its handle, and the number of the process that does the work."""

    handle: int
    pid: int


class Warden:
    """Starts processes that end with this process, whatever it dies of. Safe to use from several threads."""

    def __init__(self) -> None:
        run = leftovers.create_run()
        self.name, self.folder = run.name, run.folder
        self._lock = threading.Lock()
        self._closed = False
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._answers = self._control.makefile("rb")
        self._log = self.folder / "supervisor.log"
        inherited = (theirs.fileno(), run.lock, run.owner.fileno())
        argv = [sys.executable, "-m", "tests.lab.supervisor", self.name, str(self.folder), *map(str, inherited)]
        with theirs, run.owner, self._log.open("wb") as log:
            self._process = subprocess.Popen(
                argv,
                cwd="/",
                env={**os.environ, "PYTHONPATH": str(_PROJECT)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=inherited,
                start_new_session=True,  # Ctrl-C is for us, who then close the lab
            )
        os.close(run.lock)

    @property
    def pid(self) -> int:
        """The supervisor's process number."""
        return self._process.pid

    def create_bridge(self, name: str) -> None:
        """Make a network bridge."""
        self._ask({"do": "bridge", "name": name})

    def start_cell(
        self, argv: Sequence[str], env: Mapping[str, str], *, log: Path, folder: Path, emulators: Mapping[str, Path]
    ) -> Child:
        """Start a process in a cell (see `cell`)."""
        paths = {architecture: str(path) for architecture, path in emulators.items()}
        place = {"log": str(log), "folder": str(folder), "emulators": paths}
        return self._started({"do": "cell", "argv": list(argv), "env": dict(env), **place}, log)

    def start_process(self, argv: Sequence[str], env: Mapping[str, str], *, log: Path) -> Child:
        """Start an ordinary process."""
        return self._started({"do": "process", "argv": list(argv), "env": dict(env), "log": str(log)}, log)

    def send_signal(self, child: Child, number: signal.Signals) -> None:
        """Send a signal to the process that does the work."""
        self._ask({"do": "signal", "child": child.handle, "number": int(number)})

    def limit(self, child: Child, group: str, processors: float) -> None:
        """Give a cell so many processors, in a control group of this name."""
        self._ask({"do": "limit", "child": child.handle, "name": group, "processors": processors})

    def kill(self, child: Child) -> None:
        """SIGKILL; when it returns, the process and all of its cell are gone."""
        self._ask({"do": "kill", "child": child.handle})

    def is_alive(self, child: Child) -> bool:
        """Whether the process is running (or stopped)."""
        return bool(self._ask({"do": "alive", "child": child.handle})["alive"])

    def close(self) -> None:
        """Take everything down and wait until it is gone.

        Raises:
            LabError: something could not be removed.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
            try:
                self._control.sendall(b'{"do": "end"}\n')
                lines = self._answers.readlines()
            except OSError:
                lines = []
            self._answers.close()
            self._control.close()
            self._process.wait()
        # An interrupted request may have left its answer unread: the last line is the one that counts.
        answer = json.loads(lines[-1]) if lines else {}
        problems = answer.get("problems", [f"the supervisor had died: {tail(self._log)}"])
        if problems:
            raise LabError("the lab left something behind: " + "; ".join(problems))

    def _started(self, request: Mapping[str, object], log: Path) -> Child:
        try:
            answer = self._ask(request)
        except LabError as error:
            msg = f"{error}\n{tail(log)}"
            raise LabError(msg) from error
        return Child(int(str(answer["child"])), int(str(answer["pid"])))

    def _ask(self, request: Mapping[str, object]) -> Mapping[str, object]:
        with self._lock:
            if self._closed:
                msg = "the lab is closed"
                raise LabError(msg)
            try:
                self._control.sendall(json.dumps(request).encode() + b"\n")
                line = self._answers.readline()
            except OSError:
                line = b""
        if not line:
            msg = f"the lab's supervisor has died\n{tail(self._log)}"
            raise LabError(msg)
        answer: dict[str, object] = json.loads(line)
        if "error" in answer:
            raise LabError(str(answer["error"]))
        return answer
