"""`capture`: run a short child to its end and take what it printed, within a time and a size.

For probes (`docker version`, `git rev-parse`); builds, which talk for minutes, go through `process.stream`.
"""

from __future__ import annotations

import os
import selectors
import subprocess
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import IO, Final

from orchestrator.errors import OrchestratorError, UsageError
from orchestrator.model import Model
from orchestrator.process.group import kill_group

_CHUNK: Final = 64 * 1024
_WORDS: Final = 3
_WORD_LENGTH: Final = 80
_TICK: Final = 0.1
_INSTALL: Final = {
    "docker": "install Docker: https://docs.docker.com/engine/install/",
    "git": "install git, on Debian with `apt-get install git`",
    "buildah": "install buildah, on Debian with `apt-get install buildah`",
}


class Captured(Model):
    """How a child ended: its exit code (negative: the signal that ended it) and everything it printed."""

    exit_code: int
    stdout: bytes
    stderr: bytes


class ToolMissingError(UsageError):
    """A program that is needed is not installed, or cannot be started."""


class CaptureError(OrchestratorError):
    """A child did not end in time, or printed more than anybody reads."""


def capture(
    argv: tuple[str, ...],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float = 30.0,
    stdin: bytes = b"",
    limit: int = 16 * 1024 * 1024,
) -> Captured:
    """Run `argv` in a session of its own and wait for it; whatever way this ends, nothing of its group is left.

    Args:
        argv: the program and its arguments; the program is looked for on the `PATH` of `env`.
        cwd: the folder it runs in.
        env: its whole environment; ours unless given.
        timeout: seconds after which it is ended.
        stdin: what it reads.
        limit: bytes that it may print, both streams together.

    Raises:
        ToolMissingError: the program is not there, or cannot be executed.
        CaptureError: it took longer than `timeout`, or printed more than `limit`.
    """
    try:
        child = subprocess.Popen(  # noqa: S603  # an argv, never a shell
            argv,
            cwd=cwd,
            env=None if env is None else dict(env),
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise cannot_start(argv, cwd, os.environ if env is None else env, error) from error
    with child:
        try:
            return _Exchange(child, stdin, limit).run(time.monotonic() + timeout)
        except TimeoutError as error:
            message = f"`{shown(argv)}` did not end within {timeout:g} seconds"
            raise CaptureError(message, hints=("run it by hand to see what it waits for",)) from error
        except OverflowError as error:
            message = f"`{shown(argv)}` printed more than {limit} bytes"
            raise CaptureError(message, hints=("run it by hand to see what it prints",)) from error
        finally:
            kill_group(child.pid)


def shown(argv: tuple[str, ...]) -> str:
    """The first words of a command, cut: enough to know it, and what follows may hold what is not to be shown."""
    words = [word if len(word) <= _WORD_LENGTH else word[:_WORD_LENGTH] + "…" for word in argv[:_WORDS]]
    text = " ".join(words) + (" …" if len(argv) > _WORDS else "")
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def cannot_start(
    argv: tuple[str, ...], cwd: Path | None, environment: Mapping[str, str], error: OSError | ValueError
) -> OrchestratorError:
    """The error for a child that could not be started."""
    if isinstance(error, FileNotFoundError) and (cwd is None or cwd.is_dir()):
        where = "" if "/" in argv[0] else f", looked for on PATH: `{environment.get('PATH', os.defpath)}`"
        hint = _INSTALL.get(argv[0], f"install `{argv[0]}`, or put its folder on PATH")
        return ToolMissingError(f"`{argv[0]}` is not installed{where}", hints=(hint,))
    reason = error.strerror or str(error) if isinstance(error, OSError) else str(error)
    if cwd is not None and not cwd.is_dir():
        return ToolMissingError(
            f"`{shown(argv)}` cannot be started: no folder `{cwd}`", hints=("check the folder it is to run in",)
        )
    return ToolMissingError(
        f"`{shown(argv)}` cannot be started: {reason.lower()}",
        hints=(f"check that `{shown(argv[:1])}` is a program that you may execute",),
    )


class _Exchange:
    """Feeds a child and reads both of its streams at once, so that neither side waits for the other."""

    def __init__(self, child: subprocess.Popen[bytes], stdin: bytes, limit: int) -> None:
        self._child = child
        self._rest = memoryview(stdin)
        self._room = limit
        self._stdout = bytearray()
        self._stderr = bytearray()
        self._selector = selectors.DefaultSelector()

    def run(self, deadline: float) -> Captured:
        """Until both streams are closed, or the child has ended and what it printed is read.

        The second matters where a grandchild keeps a stream open.
        """
        with self._selector:
            self._watch(self._child.stdin, selectors.EVENT_WRITE, self._write)
            self._watch(self._child.stdout, selectors.EVENT_READ, partial(self._read, self._stdout))
            self._watch(self._child.stderr, selectors.EVENT_READ, partial(self._read, self._stderr))
            while self._selector.get_map() and self._turn(deadline):
                pass
        try:
            exit_code = self._child.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired as error:
            raise TimeoutError from error
        return Captured(exit_code=exit_code, stdout=bytes(self._stdout), stderr=bytes(self._stderr))

    def _watch(self, pipe: IO[bytes] | None, event: int, act: Callable[[int], bool]) -> None:
        if pipe is not None:
            os.set_blocking(pipe.fileno(), False)
            self._selector.register(pipe, event, (pipe, act))

    def _turn(self, deadline: float) -> bool:
        """One round of reading and writing; False when the child has ended and there is nothing more to read."""
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError
        ended = self._child.poll() is not None
        ready = self._selector.select(0 if ended else min(remaining, _TICK))
        for key, _ in ready:
            pipe, act = key.data
            if not act(key.fd):
                self._selector.unregister(pipe)
                pipe.close()
        return bool(ready) or not ended

    def _write(self, descriptor: int) -> bool:
        """Feed the child; False when it has everything, or wants no more."""
        try:
            self._rest = self._rest[os.write(descriptor, self._rest[:_CHUNK]) :]
        except BrokenPipeError:
            return False
        return bool(self._rest)

    def _read(self, printed: bytearray, descriptor: int) -> bool:
        """Take what the child printed; False at the end."""
        chunk = os.read(descriptor, _CHUNK)
        printed += chunk
        self._room -= len(chunk)
        if self._room < 0:
            raise OverflowError
        return bool(chunk)
