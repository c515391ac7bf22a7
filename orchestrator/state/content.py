"""What single entries of a context contain, read so that a change in between is noticed.

Whether a file is read or its content is known is decided by stamps (`state.statcache`). A file that cannot be read is
an error, where BuildKit's client sends an empty one and says nothing. A socket it sends as an empty file.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Final

import msgspec

from orchestrator.dockerfile.ignore import Fate
from orchestrator.errors import UsageError
from orchestrator.plan.context import EMPTY, Kind, record_tail
from orchestrator.state.statcache import Folder, KnownContext, Stamp, encode_stamps, make_folder

_CHUNK: Final = 256 * 1024
_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_GONE: Final = (FileNotFoundError, NotADirectoryError, IsADirectoryError)
_stamp: Final[Callable[[os.stat_result], Stamp]] = attrgetter(
    "st_dev", "st_ino", "st_mode", "st_size", "st_mtime_ns", "st_ctime_ns"
)


class ChangedError(Exception):
    """Something is not what it was a moment ago."""

    def __init__(self, path: bytes) -> None:
        super().__init__(path)
        self.path = path


def unreadable(error: OSError, path: bytes) -> UsageError:
    """What to say of something that belongs to a context and cannot be read."""
    message = f"`{os.fsdecode(path)}` cannot be read: {(error.strerror or str(error)).lower()}"
    return UsageError(message, hints=("make it readable, or list it in the `.dockerignore`",))


def look_at(entries: Iterable[os.DirEntry[bytes]]) -> list[os.stat_result]:
    """The status of each entry itself.

    Raises:
        ChangedError: one is gone.
        UsageError: one cannot be looked at.
    """
    try:
        return [entry.stat(follow_symlinks=False) for entry in entries]
    except OSError as error:
        raise _explain(error, os.fsencode(error.filename)) from error


def _explain(error: OSError, path: bytes) -> ChangedError | UsageError:
    is_changed = isinstance(error, _GONE) or error.errno == errno.ELOOP
    return ChangedError(path) if is_changed else unreadable(error, path)


class FileReader:
    """The ends of the records of regular files of one context under one set of rules, read or known."""

    def __init__(self, known: KnownContext, rules: str) -> None:
        self._known = known
        self._rules = hashlib.sha256(rules.encode("utf-8", "surrogateescape")).digest()

    def are_kept(self, prefix: bytes, entries: Sequence[os.DirEntry[bytes]]) -> bool:
        """Whether these are files and kept by these rules, all of them: names that were asked about before."""
        folder = self._known.find(prefix)
        return (
            folder is not None
            and folder.rules == self._rules
            and folder.names == _join_names(entries)
            and all([entry.is_file(follow_symlinks=False) for entry in entries])  # noqa: C419 (twice as fast)
        )

    def read(self, prefix: bytes, entries: Sequence[os.DirEntry[bytes]]) -> Sequence[bytes]:
        """What follows the paths in the records of these files, which are ordered by name and all of one folder.

        Raises:
            ChangedError: one was changed while it was read, or is gone.
            UsageError: one cannot be read.
        """
        if not entries:
            return ()
        stamps = list(map(_stamp, look_at(entries)))
        folder = self._known.find(prefix)
        if folder is None or not _is_unchanged(folder, entries, stamps):
            return self._read_each(prefix, entries, stamps)
        if folder.rules != self._rules and prefix not in self._known.now:
            folder = msgspec.structs.replace(folder, rules=self._rules)
        self._known.keep(prefix, folder)
        return folder.tails

    def _read_each(
        self, prefix: bytes, entries: Sequence[os.DirEntry[bytes]], stamps: Sequence[Stamp]
    ) -> Sequence[bytes]:
        """As `read`, file by file. What other rules found in this run is kept beside what these find."""
        known, now = self._known, self._known.now.get(prefix)
        beside = now.by_name() if now else {}
        before = (known.before[prefix].by_name() if prefix in known.before else {}) | beside
        found: dict[bytes, tuple[Stamp, bytes]] = {}
        for entry, stamp in zip(entries, stamps, strict=True):
            kept = before.get(entry.name)
            found[entry.name] = kept if kept is not None and kept[0] == stamp else read_file(entry.path)
        lasting = beside | {name: each for name, each in found.items() if known.may_keep(each[0])}
        if now is None or lasting != beside:
            known.keep(prefix, make_folder(self._rules if lasting.keys() <= found.keys() else b"", lasting))
        return [tail for _, tail in found.values()]


def _is_unchanged(folder: Folder, entries: Sequence[os.DirEntry[bytes]], stamps: list[Stamp]) -> bool:
    """Whether these are the files that are known, all of them and no others."""
    return (
        len(folder.tails) == len(entries)
        and folder.stamps == encode_stamps(stamps)
        and folder.names == _join_names(entries)
    )


def _join_names(entries: Iterable[os.DirEntry[bytes]]) -> bytes:
    """Names in one piece; a slash is in none of them."""
    return b"/".join([entry.name for entry in entries])


def read_file(path: bytes, read: Callable[[int, int], bytes] = os.read) -> tuple[Stamp, bytes]:
    """Hash a regular file; its stamp is that of the content, since it was the same before and after.

    Raises:
        ChangedError: it was changed meanwhile, or is something else now.
        UsageError: it cannot be read.
    """
    try:
        file = os.open(path, _FLAGS)
    except OSError as error:
        raise _explain(error, path) from error
    try:
        before = os.fstat(file)
        content, size = hashlib.sha256(), 0
        while size <= before.st_size and (part := read(file, min(_CHUNK, before.st_size - size + 1))):
            content.update(part)
            size += len(part)
        after = os.fstat(file)
    except OSError as error:
        raise _explain(error, path) from error
    finally:
        os.close(file)
    stamp = _stamp(before)
    if stamp != _stamp(after) or size != before.st_size or not stat.S_ISREG(before.st_mode):
        raise ChangedError(path)
    return stamp, record_tail(Kind.FILE, before.st_mode, content.hexdigest().encode())


def read_other(entry: os.DirEntry[bytes], fate: Fate) -> bytes:
    """The end of the record of what is no file to be hashed, because of what it is or of what the rules make of it.

    Raises:
        ChangedError: it is something else now.
        UsageError: it cannot be read.
    """
    (status,) = look_at([entry])
    kind = stat.S_IFMT(status.st_mode)
    if kind == stat.S_IFLNK:
        return record_tail(Kind.LINK, 0, _read_link(entry.path))
    if kind == stat.S_IFSOCK or (kind == stat.S_IFREG and fate is Fate.EMPTIED):
        return record_tail(Kind.FILE, status.st_mode, EMPTY.encode())
    if kind == stat.S_IFIFO:
        return record_tail(Kind.FIFO, status.st_mode)
    if kind in {stat.S_IFCHR, stat.S_IFBLK}:
        number = f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
        return record_tail(Kind.DEVICE, status.st_mode, number.encode())
    raise ChangedError(entry.path)


def _read_link(path: bytes) -> bytes:
    try:
        return os.readlink(path)  # noqa: PTH115 (a `Path` is text, and a name may be none)
    except OSError as error:
        raise ChangedError(path) from error
