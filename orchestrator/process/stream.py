"""`stream`: run a child that talks for minutes, hand on every line at once, and stop it in order when told to.

The module that loads asyncio: whoever needs it imports it where it is used, so that `--help` stays quick. The child
is ended when the task is cancelled; it is not when our own process is killed with SIGKILL, since nothing of ours runs
then, and what Linux has for it (PR_SET_PDEATHSIG) needs code between fork and exec. The next run does it: `orphans`.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, Literal, TypeAlias

from orchestrator.process.capture import cannot_start
from orchestrator.process.ended import Ended
from orchestrator.process.group import group_alive, kill_group, signal_group
from orchestrator.process.lines import LineCutter

Stream: TypeAlias = Literal["stdout", "stderr"]
OnLine: TypeAlias = Callable[[Stream, str], None]
Ladder: TypeAlias = tuple[tuple[signal.Signals, float], ...]

LINE_LIMIT: Final = 16 * 1024 * 1024
_POLL: Final = 0.05
_QUIET: Final = 1.0
_QUIET_ROUNDS: Final = 30
_AFTER_KILL: Final = 5.0
# no INT: the jobs that a shell leaves in the background ignore it
_STRAGGLERS: Final[Ladder] = ((signal.SIGTERM, 1.0), (signal.SIGKILL, _AFTER_KILL))


async def stream(
    argv: tuple[str, ...],
    *,
    cwd: Path,
    env: Mapping[str, str],
    on_line: OnLine,
    timeout: float | None,  # noqa: ASYNC109  # a limit that ends the child in order, not one that forsakes it
    grace: tuple[float, float] = (10.0, 5.0),
) -> Ended:
    """Run `argv` in a session of its own and give every line of its output to `on_line`, each stream in order.

    However this ends, also when the task is cancelled or `on_line` raises, no process of the child's group is left:
    they get INT, after `grace[0]` seconds TERM, after `grace[1]` more KILL; a second cancellation is a KILL at once.
    What a child leaves behind when it ends by itself is ended too. A stream that a process outside of the group keeps
    open is given up.

    Args:
        argv: the program and its arguments; the program is looked for on the `PATH` of `env`.
        cwd: the folder it runs in.
        env: its whole environment.
        on_line: called in the event loop: while it works nothing is read, so no output can fill the memory.
        timeout: seconds after which the child is stopped; None for no limit.
        grace: how long INT and TERM are given.

    Raises:
        ToolMissingError: the program is not there, or cannot be executed.
    """
    child = _Child(on_line)
    try:
        transport, _ = await asyncio.get_running_loop().subprocess_exec(
            lambda: child, *argv, cwd=cwd, env=dict(env), stdin=asyncio.subprocess.DEVNULL, start_new_session=True
        )
    except (OSError, ValueError) as error:
        raise cannot_start(argv, cwd, env, error) from error
    leader = transport.get_pid()
    ladder: Ladder = ((signal.SIGINT, grace[0]), (signal.SIGTERM, grace[1]), (signal.SIGKILL, _AFTER_KILL))
    timed_out = False
    try:
        timed_out = not await _within(timeout, child.over)
        if child.exited.done():
            await _within(_QUIET, child.drained)
            ladder = _STRAGGLERS
    finally:
        try:
            await _end(child, leader, ladder)
        finally:
            child.close()
            transport.close()
    if child.failure is not None:
        raise child.failure
    return _how(transport.get_returncode(), timed_out=timed_out)


def _how(returncode: int | None, *, timed_out: bool) -> Ended:
    if returncode is not None and returncode < 0:
        return Ended(signal=-returncode, timed_out=timed_out)
    return Ended(exit_code=returncode, timed_out=timed_out)


async def _within(seconds: float | None, event: asyncio.Future[None]) -> bool:
    """Whether the event came in time; works in a task that is being cancelled too, unlike `asyncio.timeout` in 3.11."""
    done, _ = await asyncio.wait((event,), timeout=seconds)
    return bool(done)


async def _end(child: _Child, leader: int, ladder: Ladder) -> None:
    """Stop the group, wait until the child is gone and its output is read; a second cancellation is a KILL at once."""
    try:
        await _stop(leader, ladder)
    finally:
        kill_group(leader)
        await _within(_AFTER_KILL, child.exited)
    await _drain(child)


async def _stop(leader: int, ladder: Ladder) -> None:
    """Send the signals one by one, each as soon as the time of the one before is over, until nobody is left."""
    for number, seconds in ladder:
        if not group_alive(leader) or not signal_group(leader, number):
            return
        for _ in range(round(seconds / _POLL)):
            if not group_alive(leader):
                return
            await asyncio.sleep(_POLL)


async def _drain(child: _Child) -> None:
    """Wait for the rest of the output, as long as more of it arrives; a process that never stops is not awaited."""
    for _ in range(_QUIET_ROUNDS):
        before = child.received
        if await _within(_QUIET, child.drained) or child.received == before:
            return


class _Child(asyncio.SubprocessProtocol):
    """What the event loop tells of the child; asyncio's own `Process.wait` waits for the pipes in Python 3.11."""

    def __init__(self, on_line: OnLine) -> None:
        loop = asyncio.get_running_loop()
        self.over: asyncio.Future[None] = loop.create_future()
        self.exited: asyncio.Future[None] = loop.create_future()
        self.drained: asyncio.Future[None] = loop.create_future()
        self.failure: Exception | None = None
        self.received = 0
        self._on_line = on_line
        self._open: dict[int, tuple[Stream, LineCutter]] = {
            1: ("stdout", LineCutter(LINE_LIMIT)),
            2: ("stderr", LineCutter(LINE_LIMIT)),
        }

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self.received += len(data)
        if fd in self._open:
            name, cutter = self._open[fd]
            self._tell(name, cutter.feed(data))

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        del exc  # a pipe that breaks has ended all the same
        if fd in self._open:
            name, cutter = self._open.pop(fd)
            self._tell(name, cutter.finish())
        if not self._open:
            _set(self.drained)

    def process_exited(self) -> None:
        _set(self.exited)
        _set(self.over)

    def close(self) -> None:
        """Hand on what is left of the last lines; nothing after that."""
        for fd in tuple(self._open):
            self.pipe_connection_lost(fd, None)

    def _tell(self, name: Stream, lines: Iterator[str]) -> None:
        if self.failure is not None:
            return
        try:
            for line in lines:
                self._on_line(name, line)
        except Exception as error:  # noqa: BLE001  # the event loop would swallow it; `stream` raises it
            self.failure = error
            _set(self.over)


def _set(event: asyncio.Future[None]) -> None:
    if not event.done():
        event.set_result(None)
