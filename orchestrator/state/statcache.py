"""What files contained, so that only those that changed are read again; it forgets rather than errs.

One file, `.orchestrate/stat-cache`, maps the folders of each context to the names, the stamps and the contents of the
files in them. A stamp is (device, inode, mode, size, mtime, ctime). A file with a stamp that is kept has the content
that is kept, because every way to change it without changing the stamp is shut out:

- *Times that were put back* (`touch -r`, `cp -p`, `tar -x`): a program can set mtime, but then the kernel puts the
  present time into ctime, which no program can set. So do a change of the mode and a rename.
- *Another file in its place* has another inode, or the same one again and a later ctime.
- *A hard link* to it is the same inode, so a change through that one is seen.
- *Another file system* in the place of a folder has another device. Files that are not on the device of
  `.orchestrate` are never kept: its clock is the only one that was read.
- *A change so soon after reading that the clock did not tick in between* (git calls it racy). A file is kept only
  where mtime and ctime are `MARGIN` older than what the clock said before anything was read. Whatever changes it from
  then on gets a ctime that is later by more than any file system rounds (FAT: two seconds). A file that is changed
  while it is read does too, and `state.context` compares stamps before and after reading.
- *A clock that is set back* could tick through an old ctime once more. So all is forgotten where the machine was
  booted since, where the file system's clock is behind what it was, or where realtime moved by more than `SLACK`
  against the time since the boot, counted from when the oldest entry was kept. Smaller steps do not add up to more
  than `SLACK`, which is smaller than `MARGIN`.
- *A file system of another machine* may answer from memory: nothing is kept there (`state.clock`).
- *A damaged file* is known by its checksum, and taken for empty like one of another version. It is replaced as a
  whole, never written into.

What remains is what no stamp tells: a program that maps a file into its memory and writes to a page that it wrote to
before, which the kernel need not stamp; and who writes to the disk past the file system. BuildKit, which looks at sizes
and mtimes to find out what to transfer, sees neither.

Entries that a run of their context did not come by are dropped, and so are contexts that are no folders any more.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import Final, TypeAlias

import msgspec

from orchestrator.model import Model
from orchestrator.state.beneath import Durability, Missing, find_size, open_folder, open_regular, write_whole
from orchestrator.state.clock import Clock, Reading, read_clock
from orchestrator.state.workspace import NAME

MARGIN: Final = 3_000_000_000
SLACK: Final = 500_000_000
MAX_CONTEXTS: Final = 10_000

_FILE: Final = "stat-cache"
_IGNORE: Final = ".gitignore"
_VERSION: Final = 1
_CHECKSUM: Final = 16
_MAX_BYTES: Final = 512 * 1024 * 1024

Stamp: TypeAlias = tuple[int, int, int, int, int, int]
"""Device, inode, mode, size, mtime and ctime."""
_Found: TypeAlias = "dict[bytes, dict[bytes, Folder]]"
"""Folders by their paths in a context, by context."""


class Folder(Model, array_like=True):
    """The regular files of a folder that may be relied on, ordered by name.

    Names and stamps are in one piece each, so that a folder in which nothing changed is known by two comparisons of
    bytes; `tails` are what follows the path in each record of a `Listing`. `rules` are those by which all of them are
    part of the context: while they are the same, names that are the same need not be asked about again.
    """

    rules: bytes
    names: bytes
    stamps: bytes
    tails: tuple[bytes, ...]

    def by_name(self) -> dict[bytes, tuple[Stamp, bytes]]:
        """The files one by one; none where the parts do not fit together."""
        names = self.names.split(b"/")
        try:
            stamps = _STAMPS.decode(self.stamps)
        except msgspec.MsgspecError:
            return {}
        if not len(names) == len(stamps) == len(self.tails):
            return {}
        return dict(zip(names, zip(stamps, self.tails, strict=True), strict=True))


class _Content(Model, array_like=True):
    """The file."""

    version: int
    clock: Reading
    contexts: dict[bytes, dict[bytes, Folder]]


_DECODER: Final = msgspec.msgpack.Decoder(_Content)
_ENCODER: Final = msgspec.msgpack.Encoder()
_STAMPS: Final = msgspec.msgpack.Decoder(list[Stamp])


def make_folder(rules: bytes, files: dict[bytes, tuple[Stamp, bytes]]) -> Folder:
    """A folder of these files."""
    names = sorted(files)
    return Folder(
        rules=rules,
        names=b"/".join(names),
        stamps=encode_stamps([files[name][0] for name in names]),
        tails=tuple(files[name][1] for name in names),
    )


def encode_stamps(stamps: list[Stamp]) -> bytes:
    """Stamps in one piece; equal for equal stamps alone."""
    return _ENCODER.encode(stamps)


class KnownContext:
    """What is known of one context: what was kept by runs before, and what this one keeps instead."""

    def __init__(
        self, before: dict[bytes, Folder], clock: Reading | None, now: dict[bytes, Folder] | None = None
    ) -> None:
        self.before = before
        self.now: dict[bytes, Folder] = {} if now is None else now
        self._clock = clock
        self._is_finished = False

    def find(self, folder: bytes) -> Folder | None:
        """The files of a folder, relative to the context, as this run or one before has seen them."""
        return self.now.get(folder) or self.before.get(folder)

    def may_keep(self, stamp: Stamp) -> bool:
        """Whether a file that is read after the clock was read, and has this stamp, can be told from a changed one."""
        device, _, _, _, modified, changed = stamp
        clock = self._clock
        return clock is not None and device == clock.device and max(modified, changed) < clock.now - MARGIN

    def keep(self, folder: bytes, known: Folder) -> None:
        """Keep what was found in a folder, for the runs to come."""
        if known.tails:
            self.now[folder] = known

    def finish(self) -> None:
        """Everything was looked at, so what this run did not come by is gone."""
        self._is_finished = True

    def lasting(self) -> dict[bytes, Folder]:
        """What is to be kept."""
        return self.now if self._is_finished else {**self.before, **self.now}


class StatCache:
    """The cache of one project for one look at its contexts; `found` is what looks before it have found."""

    def __init__(
        self, workspace: bytes, clock: Reading | None, content: _Content | None, found: _Found | None = None
    ) -> None:
        self.workspace = workspace
        self._clock = clock
        self._content = content
        self._contexts: dict[bytes, KnownContext] = {}
        self._found: _Found = {} if found is None else found

    def context(self, root: bytes) -> KnownContext:
        """What is known of the context in this folder, an absolute path without links."""
        known = self._contexts.get(root)
        if known is None:
            before = self._content.contexts.get(root, {}) if self._content else {}
            known = self._contexts[root] = KnownContext(before, self._clock, self._found.setdefault(root, {}))
        return known

    def to_write(self) -> _Content | None:
        """What is to be kept; None where that is what the file has."""
        if self._clock is None:
            return None
        before = self._content.contexts if self._content else {}
        now = {root: known.lasting() for root, known in self._contexts.items()}
        if all(_is_same(before.get(root, {}), folders) for root, folders in now.items()):
            return None
        others = {
            root: folders for root, folders in before.items() if root not in now and Path(os.fsdecode(root)).is_dir()
        }
        contexts = [(root, folders) for root, folders in {**others, **now}.items() if folders]
        # how far the clock moved is counted from when the oldest entry was kept
        offset = self._content.clock.offset if self._content else self._clock.offset
        clock = msgspec.structs.replace(self._clock, offset=offset)
        return _Content(version=_VERSION, clock=clock, contexts=dict(contexts[-MAX_CONTEXTS:]))


def _is_same(before: dict[bytes, Folder], after: dict[bytes, Folder]) -> bool:
    """Whether the file says this already; most folders in which nothing changed are the very same objects."""
    return len(before) == len(after) and all(
        before.get(name) is folder or before.get(name) == folder for name, folder in after.items()
    )


@contextmanager
def open_stat_cache(project: Path, clock: Clock = read_clock) -> Iterator[StatCache]:
    """The cache of the project in this folder; what was found out is written at the end, also after an error.

    Where `.orchestrate` cannot be written to, or is no folder, nothing is known and nothing is kept: a plan needs no
    writable disk.
    """
    reading = content = None
    with suppress(OSError), open_folder(project, (NAME,), Missing.CREATE) as folder:
        if find_size(_IGNORE, folder) is None:
            write_whole(_IGNORE, folder, lambda file: file.write(b"*\n"), Durability.LAZY)
        reading = clock(folder)
        content = _read(folder, reading) if reading else None
    cache = StatCache(_workspace(project), reading, content)
    try:
        yield cache
    finally:
        content = cache.to_write()
        if content is not None:
            with suppress(OSError), open_folder(project, (NAME,), Missing.FAIL) as folder:
                _write(folder, content, clock(folder))


class HeldCache:
    """The cache of a project for whoever looks at its contexts again and again, in threads; the file is read once.

    What is found out stays in memory, and is not written: who looks at some of the images cannot tell what of the file
    is still of use to others. Each look has its own reading of the clock, so that a file that was too young for the
    look before is kept by the next.
    """

    def __init__(self, project: Path, clock: Clock = read_clock) -> None:
        self._project = project
        self._ask = clock
        self._alone = Lock()
        self._clock: Reading | None = None
        self._content: _Content | None = None
        self._found: _Found = {}

    def look(self) -> StatCache:
        """The cache for a look that begins now."""
        with self._alone, suppress(OSError), open_folder(self._project, (NAME,), Missing.FAIL) as folder:
            reading = self._ask(folder)
            if reading is not None:
                if self._clock is None or not _agree(self._clock, reading):
                    self._content, self._found = _read(folder, reading), {}
                oldest = self._content.clock if self._content else self._clock or reading
                self._clock = msgspec.structs.replace(reading, offset=oldest.offset)
                return StatCache(_workspace(self._project), reading, self._content, self._found)
        return StatCache(_workspace(self._project), None, None)


def _workspace(project: Path) -> bytes:
    return os.path.realpath(os.fsencode(project)) + b"/" + NAME.encode()


def _read(folder: int, reading: Reading) -> _Content | None:
    """The file as it is; None where there is none that can be relied on."""
    size = find_size(_FILE, folder)
    if size is None or size > _MAX_BYTES:
        return None
    with open_regular(_FILE, folder) as file:
        data = file.read(_MAX_BYTES)
    if data[:_CHECKSUM] != _checksum(data[_CHECKSUM:]):
        return None
    try:
        content = _DECODER.decode(data[_CHECKSUM:])
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return content if content.version == _VERSION and _agree(content.clock, reading) else None


def _write(folder: int, content: _Content, reading: Reading | None) -> None:
    if _agree(content.clock, reading):  # the clock was not set while files were read
        data = _ENCODER.encode(content)
        write_whole(_FILE, folder, lambda file: file.write(_checksum(data) + data), Durability.LAZY)


def _checksum(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=_CHECKSUM).digest()


def _agree(before: Reading, after: Reading | None) -> bool:
    """Whether the clock only went on between two readings."""
    return (
        after is not None
        and (before.boot, before.device) == (after.boot, after.device)
        and before.now <= after.now
        and abs(before.offset - after.offset) <= SLACK
    )
