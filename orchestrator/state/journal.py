"""The journal: what the last run here did, one event a line, for `report`, `--rollback` and whoever asks why.

Lines are only ever added; what a public tag depends on is on the disk before the tag moves. Whatever was torn off by a
power cut is at the end, and is left out when it is read. What builds print is in the logs, not here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

import msgspec

from orchestrator.api.events import (
    Event,
    LogLine,
    RunFinished,
    RunStarted,
    TagLeft,
    TagPut,
    TagRestored,
    TagsKept,
)
from orchestrator.model import Model
from orchestrator.state.beneath import Durability, Missing, open_folder, open_regular, write_whole
from orchestrator.state.workspace import NAME

FILE: Final = "journal.jsonl"
FORMAT: Final = 1
_LARGEST: Final = 1024 * 1024 * 1024
_MOST_SAID: Final = 200


class JournalHead(Model):
    """The first line. `format` goes up when an older reader would misunderstand what follows."""

    format: int
    journal: str = "orchestrate"


_HEAD: Final = msgspec.json.Decoder(JournalHead)
_EVENT: Final = msgspec.json.Decoder(Event)
_ENCODER: Final = msgspec.json.Encoder()


class Journal:
    """Writes the journal of a run that holds the lock of the workspace.

    Its file takes the place of the last one with the second event: the first says that a run begins, and the second may
    hold the tags that the run before has left open, which nothing else knows. One that `goes_on` adds to the journal
    that is there.
    """

    def __init__(self, root: Path, *, goes_on: bool = False) -> None:
        self._root = root
        self._goes_on = goes_on
        self._file: BinaryIO | None = None
        self._first = b""
        self.problem: OSError | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is None and self._first and self.problem is None:
            try:
                self._file = _begin(self._root, self._first)
            except OSError as failure:
                self.problem = failure
        if self._file is not None:
            self._file.close()

    def __call__(self, event: Event) -> None:
        """Write an event down; a disk that takes nothing more ends the journal, not the run.

        Raises:
            OSError: tags are about to be put, and what they point at now cannot be written down.
        """
        if isinstance(event, LogLine):
            return
        if self.problem is None:
            try:
                self._write(event)
            except OSError as error:
                self.problem = error
        if self.problem is not None and isinstance(event, TagsKept):
            raise self.problem

    def _write(self, event: Event) -> None:
        line = _ENCODER.encode(event) + b"\n"
        if self._file is None and not self._goes_on:
            if self._first:
                self._file = _begin(self._root, self._first + line)
            self._first = self._first or line
            return
        if self._file is None:
            self._file = _continue(self._root)
        _append(self._file.fileno(), line)
        if isinstance(event, RunStarted | TagsKept | TagPut | TagRestored | TagLeft | RunFinished):
            os.fsync(self._file.fileno())


@contextmanager
def open_journal(root: Path) -> Iterator[Iterator[Event]]:
    """The events of the last run here, in order, read one by one; a torn last line is left out.

    Raises:
        FileNotFoundError: nothing was run here.
        OSError: it cannot be read.
        ValueError: it is no journal, or one of another version.
    """
    with open_folder(root, (NAME,), Missing.FAIL) as folder, open_regular(FILE, folder) as file:
        if os.fstat(file.fileno()).st_size > _LARGEST:
            message = f"larger than {_LARGEST} bytes"
            raise ValueError(message)
        _check_head(file.readline())
        yield _events(file)


def _begin(root: Path, lines: bytes) -> BinaryIO:
    """A new file in the place of the last one: with its head and these lines, or the last one stays."""
    head = _ENCODER.encode(JournalHead(format=FORMAT)) + b"\n"
    with open_folder(root, (NAME,), Missing.CREATE) as folder:
        with suppress(FileNotFoundError):
            open_regular(FILE, folder).close()  # what is none of ours is not replaced
        write_whole(FILE, folder, lambda file: file.write(head + lines), Durability.SYNCED)
        return _open_end(folder)


def _append(file: int, line: bytes) -> None:
    """Add a whole line, or nothing: what would be glued to half of one is lost with it."""
    whole = os.fstat(file).st_size
    try:
        while line:
            line = line[os.write(file, line) :]
    except OSError:
        with suppress(OSError):
            os.ftruncate(file, whole)
        raise


def _open_end(folder: int) -> BinaryIO:
    flags = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(FILE, flags, dir_fd=folder), "wb", buffering=0)


def _continue(root: Path) -> BinaryIO:
    """The file that is there, less what was torn off its end."""
    with open_folder(root, (NAME,), Missing.FAIL) as folder:
        with open_regular(FILE, folder) as file:
            whole = sum(len(line) for line in file if line.endswith(b"\n"))
        added = _open_end(folder)
    os.ftruncate(added.fileno(), whole)
    return added


def _check_head(line: bytes) -> None:
    try:
        head = _HEAD.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        message = "not a journal"
        raise ValueError(message) from error
    if head.format != FORMAT:
        message = f"a journal of format {head.format}, expected {FORMAT}"
        raise ValueError(message)


def _events(file: BinaryIO) -> Iterator[Event]:
    number = 1
    for line in file:
        number += 1
        try:
            yield _EVENT.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            if not line.endswith(b"\n"):
                return
            message = f"line {number} is no event: {_shown(error)}"
            raise ValueError(message) from error


def _shown(error: Exception) -> str:
    """What was wrong with a line: it may quote the line, which may be anybody's."""
    said = str(error)[:_MOST_SAID]
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in said)
