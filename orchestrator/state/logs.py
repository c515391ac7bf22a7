"""`.orchestrate/logs`: what each step of the last run printed, in a file of its own; a fold of events.

Control sequences are taken out. A file is bounded, and so is the number of open files. A disk that takes nothing more
ends the logs, not the run: `problem` says so.
"""

from __future__ import annotations

import os
import stat
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from orchestrator.api.events import Event, LogLine, Retried, RunStarted, StepFinished, StepState, VertexProgress
from orchestrator.api.invocation import StepId
from orchestrator.model import Model
from orchestrator.state.beneath import Missing, open_folder
from orchestrator.state.stored_logs import ENDING, FOLDER, log_names
from orchestrator.state.workspace import NAME

MOST_BYTES: Final = 64 * 1024 * 1024
"""Of one step; what it prints after that is not kept."""
MOST_OPEN: Final = 32
_MOST_VERTEXES: Final = 1024
_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC


class Limits(Model):
    """How much is kept of a step, and how many files are open at a time."""

    bytes: int = MOST_BYTES
    files: int = MOST_OPEN


class _Log:
    """The log of one step: its file, how much is in it, and which vertex spoke last."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.size = 0
        self.is_full = False
        self.speaker = ""


class StepLogs:
    """Writes the logs of a run that holds the lock of the workspace.

    `clean` makes a line of a text of others, `clean_log` of what a build printed as one.
    """

    def __init__(
        self, root: Path, clean: Callable[[str], str], clean_log: Callable[[str], str], limits: Limits | None = None
    ) -> None:
        self._root = root
        self._clean = clean
        self._clean_log = clean_log
        self._limits = limits or Limits()
        self._folder: int | None = None
        self._logs: dict[StepId, _Log] = {}
        self._names: set[str] = set()
        self._open: OrderedDict[StepId, int] = OrderedDict()
        self._vertexes: dict[StepId, dict[str, str]] = {}
        self._attempts: dict[StepId, Retried] = {}
        self.problem: OSError | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in (*self._open.values(), *(() if self._folder is None else (self._folder,))):
            os.close(file)
        self._open.clear()
        self._folder = None

    @property
    def paths(self) -> dict[StepId, str]:
        """The files that there are, from the root of the project."""
        return {step: f"{NAME}/{FOLDER}/{log.name}" for step, log in self._logs.items() if log.size}

    def __call__(self, event: Event) -> None:
        """Take an event."""
        if self.problem is not None:
            return
        try:
            self._take(event)
        except OSError as error:
            self.problem = error

    def _take(self, event: Event) -> None:
        match event:
            case RunStarted():
                self._begin()
            case VertexProgress(state="started"):
                names = self._vertexes.setdefault(event.step, {})
                if len(names) < _MOST_VERTEXES:
                    names[event.vertex] = self._clean(event.name)
            case LogLine():
                self._line(event)
            case Retried():
                self._vertexes.pop(event.step, None)
                self._attempts[event.step] = event
            case StepFinished():
                self._end(event)
            case _:
                pass

    def _begin(self) -> None:
        """An empty folder: the logs of the last run are gone."""
        with open_folder(self._root, (NAME, FOLDER), Missing.CREATE) as folder:
            self._folder = os.dup(folder)
        with os.scandir(self._folder) as entries:
            old = [entry.name for entry in entries if entry.name.endswith(ENDING)]
        for name in old:
            with suppress(IsADirectoryError, PermissionError):
                os.unlink(name, dir_fd=self._folder)

    def _line(self, event: LogLine) -> None:
        if self._folder is None:
            return
        log = self._logs.get(event.step)
        if log is None:
            log = self._logs[event.step] = _Log(self._name(event.step))
        if log.is_full:
            return
        parts = []
        again = self._attempts.pop(event.step, None)
        if again is not None:
            parts.append(f"\n==== again, retry {again.attempt}: {self._first(again.message)}\n")
            log.speaker = ""
        if log.speaker != event.vertex:
            log.speaker = event.vertex
            parts.append(f"==== {self._vertexes.get(event.step, {}).get(event.vertex, event.vertex[:80])}\n")
        parts.append(f"{self._clean_log(event.text)}\n")
        self._write(event.step, log, "".join(parts))

    def _write(self, step: StepId, log: _Log, text: str) -> None:
        content = text.encode("utf-8", "replace")
        if log.size + len(content) > self._limits.bytes:
            log.is_full = True
            content = f"==== more than {self._limits.bytes} bytes: the rest is not kept\n".encode()
        log.size += len(content)
        file = self._file(step, log)
        while content:
            content = content[os.write(file, content) :]

    def _end(self, event: StepFinished) -> None:
        log = self._logs.get(event.step)
        if log is not None and not log.is_full and event.state is StepState.FAILED:
            self._write(event.step, log, f"==== failed: {self._first(event.message)}\n")
        self._vertexes.pop(event.step, None)
        self._attempts.pop(event.step, None)
        if event.step in self._open:
            os.close(self._open.pop(event.step))

    def _file(self, step: StepId, log: _Log) -> int:
        file = self._open.get(step)
        if file is not None:
            self._open.move_to_end(step)
            return file
        if len(self._open) >= self._limits.files:
            _, oldest = self._open.popitem(last=False)
            os.close(oldest)
        file = self._open[step] = os.open(log.name, _FLAGS, 0o644, dir_fd=self._folder)
        if not stat.S_ISREG(os.fstat(file).st_mode):
            message = "not a regular file"
            raise OSError(message)
        return file

    def _name(self, step: StepId) -> str:
        """`solve-api@linux-arm64.log`: readable, and no other step's, in file systems without letter case either."""
        unique, plain = log_names(step)
        name = unique if plain.lower() in self._names else plain
        self._names.add(name.lower())
        return name

    def _first(self, message: str) -> str:
        return self._clean(message.partition("\n")[0])
