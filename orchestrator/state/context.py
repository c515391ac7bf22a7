"""Walks the folder of a context and lists what the engine would be sent of it.

The tree is looked at as BuildKit's client does it (tonistiigi/fsutil): links are not followed, a folder that is
excluded is there where something in it is, and one that cannot be read is an error unless it is excluded.

`.orchestrate` is left out, although `COPY .` brings it where nothing excludes it: every run changes it.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Final, TypeAlias

from orchestrator.dockerfile.ignore import Fate, IgnoreRules, IgnoreScope
from orchestrator.errors import PlanBlockedError, UsageError
from orchestrator.plan.context import Kind, Listing, record_tail
from orchestrator.state.content import ChangedError, FileReader, look_at, read_other, unreadable
from orchestrator.state.statcache import StatCache

MAX_ENTRIES: Final = 5_000_000

_TRIES: Final = 6
_PAUSE: Final = 0.005
"""Seconds; doubled from try to try."""
_by_name: Final = attrgetter("name")
_Files: TypeAlias = list[os.DirEntry[bytes]]
_Others: TypeAlias = list[tuple[os.DirEntry[bytes], Fate]]


class Contexts:
    """The contexts of one run: each is walked once for each set of rules, however many images share it."""

    def __init__(self, cache: StatCache) -> None:
        self._cache = cache
        self._listings: dict[tuple[str, str], Listing] = {}

    def read(self, root: Path, rules: IgnoreRules) -> Listing:
        """The listing of a context.

        Raises:
            UsageError, PlanBlockedError: as `walk`.
        """
        key = str(root), rules.key
        found = self._listings.get(key)
        if found is None:
            found = self._listings[key] = walk(root, rules, self._cache)
        return found


def walk(root: Path, rules: IgnoreRules, cache: StatCache) -> Listing:
    """What the engine would be sent of a folder; `root` itself may be a link.

    Raises:
        UsageError: something cannot be read, or there are more than `MAX_ENTRIES`.
        PlanBlockedError: a file does not stop changing.
    """
    top = os.path.realpath(os.fsencode(root))
    walker = _Walk(top, cache, rules)
    walker.run(rules.top)
    return Listing(records=tuple(sorted(walker.records)))


@dataclass(slots=True)
class _Node:
    """A folder that is to be looked at. `is_listed` says that its record is there already, or that it needs none."""

    path: bytes
    prefix: bytes
    scope: IgnoreScope
    mode: int
    parent: _Node | None
    is_listed: bool


class _Walk:
    def __init__(self, top: bytes, cache: StatCache, rules: IgnoreRules) -> None:
        self.records: list[bytes] = []
        self._top = top
        self._known = cache.context(top)
        self._files = FileReader(self._known, rules.key)
        self._workspace = cache.workspace

    def run(self, scope: IgnoreScope) -> None:
        waiting = [_Node(self._top, b"", scope, 0, None, is_listed=True)]
        while waiting:
            waiting += self._look(waiting.pop())
            if len(self.records) > MAX_ENTRIES:
                message = f"context `{os.fsdecode(self._top)}` has more than {MAX_ENTRIES:,} files"
                raise UsageError(message, hints=("list what no build needs in a `.dockerignore`",))
        self._known.finish()

    def _look(self, node: _Node) -> list[_Node]:
        """Add what is in a folder; returns the folders in it."""
        changing = b""
        for attempt in range(_TRIES):
            try:
                records, folders = self._read(node)
            except ChangedError as error:
                changing = error.path
                time.sleep(_PAUSE * 2**attempt)
                continue
            if records:
                self._list(node)
                self.records += records
            return folders
        message = f"`{os.fsdecode(changing)}` changes while it is read"
        raise PlanBlockedError(message, hints=("wait until it is written, or list it in the `.dockerignore`",))

    def _list(self, node: _Node | None) -> None:
        """Folders on the way to something are there, whatever excludes them."""
        while node is not None and not node.is_listed:
            self.records.append(_folder_record(node))
            node.is_listed = True
            node = node.parent

    def _read(self, node: _Node) -> tuple[list[bytes], list[_Node]]:
        try:
            with os.scandir(node.path) as listed:
                entries = sorted(listed, key=_by_name)
        except OSError as error:
            is_gone = isinstance(error, (FileNotFoundError, NotADirectoryError)) and node.parent is not None
            if is_gone or not node.is_listed:
                return [], []  # the engine takes neither amiss
            raise unreadable(error, node.path) from error
        folders = [folder for entry in entries if _is_folder(entry) and (folder := self._enter(node, entry))]
        rest = [entry for entry in entries if not _is_folder(entry)]
        files, others = (rest, []) if self._files.are_kept(node.prefix, rest) else _sort(node.scope, rest)
        prefix = node.prefix
        tails = self._files.read(prefix, files)
        records = [prefix + file.name + tail for file, tail in zip(files, tails, strict=True)]
        records += [prefix + other.name + read_other(other, fate) for other, fate in others]
        records += [_folder_record(folder) for folder in folders if folder.is_listed]
        return records, folders

    def _enter(self, node: _Node, entry: os.DirEntry[bytes]) -> _Node | None:
        """A folder, unless nothing in it can matter."""
        if entry.path == self._workspace:
            return None
        scope = node.scope if node.scope.settled is Fate.KEPT else node.scope.enter(entry.name)
        if scope.is_excluded and scope.settled is Fate.EXCLUDED:
            return None
        (status,) = look_at([entry])
        prefix = node.prefix + entry.name + b"/"
        return _Node(entry.path, prefix, scope, status.st_mode, node, is_listed=not scope.is_excluded)


def _is_folder(entry: os.DirEntry[bytes]) -> bool:
    return entry.is_dir(follow_symlinks=False)


def _folder_record(node: _Node) -> bytes:
    return node.prefix[:-1] + record_tail(Kind.FOLDER, node.mode)


def _sort(scope: IgnoreScope, entries: _Files) -> tuple[_Files, _Others]:
    """The files to hash, and what else is part of the context."""
    files: _Files = []
    others: _Others = []
    is_all = scope.settled is Fate.KEPT
    for entry in entries:
        fate = Fate.KEPT if is_all else scope.fate(entry.name)
        if fate is Fate.KEPT and entry.is_file(follow_symlinks=False):
            files.append(entry)
        elif fate is not Fate.EXCLUDED:
            others.append((entry, fate))
    return files, others
