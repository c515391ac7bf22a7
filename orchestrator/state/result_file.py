"""Where a run writes down what it came to: the project's own file, or whatever the user named.

The own file is written like all that may have come with a repository: through no link. What the user named may be a
link, a pipe or a device; whether it can be written is found out before anything is built.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from orchestrator.errors import UsageError, disk_error
from orchestrator.state.beneath import (
    Durability,
    Missing,
    open_folder,
    open_named,
    open_regular,
    try_to_create,
    write_whole,
)
from orchestrator.state.summary import RunResult, is_result, parse_result
from orchestrator.state.workspace import NAME, check_workspace

_FILE: Final = "result.json"
_MAX_BYTES: Final = 64 * 1024 * 1024
_PRINTED_TO: Final = (1, 2)


class ResultFile:
    """Where the result of a run goes: `path` is how people call it, `stays` whether it can be read there later."""

    def __init__(self, path: Path, put: Callable[[bytes], None], *, stays: bool) -> None:
        self.path = path
        self.stays = stays
        self._put = put

    def write(self, content: bytes) -> None:
        """Write the result: into a file whole or not at all.

        Raises:
            UsageError: it cannot be written, though it could be before the run.
        """
        try:
            self._put(content)
        except OSError as error:
            raise _name(error, self.path) from error


def own_result(root: Path) -> Path:
    """The file of a project that says nothing else."""
    return root / NAME / _FILE


def read_results(asked: Path) -> tuple[tuple[Path, RunResult], ...]:
    """The results in a folder and below it, or the one in a file; files that are none are skipped.

    Other machines may have written them, and CI puts what it hands on into a folder of its own for each job.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        paths = sorted(filter(Path.is_file, asked.rglob("*.json"))) if asked.is_dir() else [asked]
        contents = [(path, _read_named(path)) for path in paths]
    except OSError as error:
        raise _name(error, asked) from error
    return tuple((path, parse_result(content)) for path, content in contents if is_result(content))


def _read_named(path: Path) -> bytes:
    with open_named(path) as file:
        return file.read(_MAX_BYTES)


@contextmanager
def open_result(root: Path, asked: Path | None) -> Iterator[ResultFile]:
    """The place of a result that is not there yet; a pipe is held open meanwhile, so that its reader stays.

    Raises:
        UsageError: it cannot be written to, or holds something else than a result.
    """
    with ExitStack() as stack:
        try:
            named = None if asked is None or is_own(root, asked) else asked
            file = _open_asked(named, stack) if named else _open_own(root)
        except OSError as error:
            raise _name(error, asked or own_result(root)) from error
        yield file


def read_result(root: Path, asked: Path | None) -> bytes:
    """What was written by an earlier run, and will be replaced by what comes of it: a regular file.

    Raises:
        UsageError: a link stands in the place of the project's own folder.
        OSError: there is no such file, or it is no regular one.
    """
    if asked is not None and not is_own(root, asked):
        return _read_named(asked)
    check_workspace(root)
    with open_folder(root, (NAME,), Missing.FAIL) as folder, open_regular(_FILE, folder) as file:
        return file.read(_MAX_BYTES)


def is_own(root: Path, asked: Path) -> bool:
    """Whether what the user named is the project's own file, however it is spelled."""
    return Path(os.path.realpath(asked.parent)) / asked.name == own_result(root)


def _open_own(root: Path) -> ResultFile:
    check_workspace(root)
    path = own_result(root)
    if path.is_dir() and not path.is_symlink():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))

    def put(content: bytes) -> None:
        with open_folder(root, (NAME,), Missing.CREATE) as folder:
            # `promote` goes on from it
            write_whole(_FILE, folder, lambda file: file.write(content), Durability.SYNCED)

    return ResultFile(path, put, stays=True)


def _open_asked(path: Path, stack: ExitStack) -> ResultFile:
    try:
        status = path.stat()
    except FileNotFoundError:
        return ResultFile(path, _replace(path), stays=True)
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    descriptor = _find_stream(status)
    if descriptor is None and stat.S_ISREG(status.st_mode):
        _check_replaceable(path)
        return ResultFile(path, _replace(path), stays=True)
    if descriptor is None:
        descriptor = _open_special(path, status)
    stack.callback(os.close, descriptor)
    return ResultFile(path, lambda content: _write_all(descriptor, content), stays=False)


def _find_stream(status: os.stat_result) -> int | None:
    """A copy of our stdout or stderr where they are that file: `/dev/stdout` in all its forms.

    It is written to, not replaced: the shell has opened it, and a socket cannot even be opened again.
    """
    for number in _PRINTED_TO:
        try:
            if os.path.samestat(os.fstat(number), status):
                return os.dup(number)
        except OSError:  # it is closed
            continue
    return None


def _check_replaceable(path: Path) -> None:
    """A file that exists is replaced only where it is a result: `--result=builds.toml` is a slip."""
    if not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    with open_named(path) as file:
        content = file.read(_MAX_BYTES)
    if content and not is_result(content):
        message = f"`{path}` exists, and is no result of a run"
        raise UsageError(message, hints=("name another file: this one would be replaced",))


def _replace(path: Path) -> Callable[[bytes], None]:
    """A file that takes its name at once; that it can be made is tried now."""
    target = Path(os.path.realpath(path))
    with open_folder(target.parent, (), Missing.CREATE) as folder:
        try_to_create(folder)

    def put(content: bytes) -> None:
        with open_folder(target.parent, (), Missing.CREATE) as folder:
            write_whole(target.name, folder, lambda file: file.write(content), Durability.LAZY)

    return put


def _open_special(path: Path, status: os.stat_result) -> int:
    """Open a pipe or a device without waiting for anybody at its other end."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        if error.errno == errno.ENXIO and stat.S_ISFIFO(status.st_mode):
            message = f"`{path}` is a pipe that nobody reads"
            raise UsageError(message, hints=("start what reads it first, or name a file",)) from error
        raise
    os.set_blocking(descriptor, True)
    return descriptor


def _write_all(descriptor: int, content: bytes) -> None:
    left = memoryview(content)
    while left:
        left = left[os.write(descriptor, left) :]


def _name(error: OSError, path: Path) -> UsageError:
    """The error with the file as the user knows it."""
    return disk_error(OSError(error.errno, error.strerror, str(path)))
