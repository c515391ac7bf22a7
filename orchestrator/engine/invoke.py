"""Runs one invocation: its folder and files, its late values, its child, and what it leaves."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Literal

from orchestrator.api.backend import Probe, Reader
from orchestrator.api.events import ChildStarted, Event
from orchestrator.api.invocation import Invocation, Outcome, Phase
from orchestrator.engine.ports import Children
from orchestrator.engine.results import Results, Where
from orchestrator.errors import BuildError, UsageError
from orchestrator.plan.masked import masked_argv

TAIL_BYTES: Final = 512 * 1024
"""How much of the end of a child's output is kept to explain a failure."""

Emit = Callable[[Event], None]


class Tail:
    """The last lines of a stream, within `TAIL_BYTES`."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque()
        self._size = 0

    def add(self, line: str) -> None:
        """Add a line; the oldest ones give way."""
        self._lines.append(line)
        self._size += len(line) + 1
        while self._size > TAIL_BYTES and len(self._lines) > 1:
            self._size -= len(self._lines.popleft()) + 1

    def text(self) -> str:
        """What is kept."""
        return "\n".join(self._lines)


class Invoker:
    """Runs invocations in a workspace: the repository root is every child's working directory."""

    def __init__(
        self, *, root: Path, environment: Mapping[str, str], children: Children, results: Results, emit: Emit
    ) -> None:
        self._root = root
        self._environment = environment
        self._children = children
        self._results = results
        self._emit = emit

    async def run(
        self, invocation: Invocation, reader: Reader, *, folder: Path, builders: Mapping[str, str]
    ) -> Outcome:
        """Run it. `folder` is an empty folder of its own, which holds its files while the run lasts.

        Raises:
            UsageError: an environment variable that it needs is not set.
        """
        self._check_environment(invocation)
        paths = self._paths(invocation, folder)
        where = Where(paths=paths, builders=builders, root=str(self._root), environment=self._environment)
        self._prepare(invocation, folder, where)
        argv = tuple(self._results.fill(word, where) for word in invocation.argv)
        environment = dict(self._environment)
        environment.update({name: self._results.fill(word, where) for name, word in invocation.environment})
        tails: dict[str, Tail] = {"stdout": Tail(), "stderr": Tail()}

        def on_line(stream: Literal["stdout", "stderr"], line: str) -> None:
            tails[stream].add(line)
            for event in reader.feed(stream, line):
                self._emit(event)

        self._emit(ChildStarted(steps=invocation.steps, argv=masked_argv(argv), time=time.time()))
        ended = await self._children.run(
            argv, cwd=self._root, env=environment, on_line=on_line, timeout=invocation.timeout
        )
        return Outcome(
            exit_code=-1 if ended.exit_code is None else ended.exit_code,
            signal=ended.signal,
            timed_out=ended.timed_out,
            stdout=tails["stdout"].text(),
            stderr=tails["stderr"].text(),
            files=tuple(_collect(invocation, folder)),
            paths=tuple((name, paths[name]) for name in invocation.folders),
        )

    def ask(self, probe: Probe) -> Outcome:
        """Ask a node; blocks, within the time limit of the probe."""
        return self._children.ask(probe)

    def _paths(self, invocation: Invocation, folder: Path) -> dict[str, str]:
        """The paths of its files, relative to the root, where the child runs.

        A root may have commas and quotes in its name, which buildx would take for its own.
        """
        written = [file.name for file in invocation.writes]
        collected = [file.name for file in invocation.collects]
        inside = folder.relative_to(self._root)
        return {name: str(inside / name) for name in (*written, *collected, *invocation.folders)}

    def _prepare(self, invocation: Invocation, folder: Path, where: Where) -> None:
        """Make the folder and its files."""
        folder.mkdir(parents=True, mode=0o700)
        for name in invocation.folders:
            (folder / name).mkdir()
        for file in invocation.writes:
            (folder / file.name).write_text(self._results.fill(file.content, where), encoding="utf-8")

    def _check_environment(self, invocation: Invocation) -> None:
        missing = [name for name in invocation.inherits if name not in self._environment]
        if missing:
            what = "secret" if invocation.phase is not Phase.SETUP else "node"
            message = f"{what} needs the environment variable `{missing[0]}`, which is not set"
            raise UsageError(message, hints=(f"export {missing[0]} before `orchestrate build`",))


def _collect(invocation: Invocation, folder: Path) -> list[tuple[str, bytes]]:
    collected = []
    for file in invocation.collects:
        path = folder / file.name
        if not path.is_file():
            continue
        with path.open("rb") as stream:
            content = stream.read(file.limit + 1)
        if len(content) > file.limit:
            message = f"`{file.name}` of a child is larger than {file.limit} bytes"
            raise BuildError(message)
        collected.append((file.name, content))
    return collected
