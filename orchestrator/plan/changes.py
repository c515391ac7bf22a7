"""`Changes`: which files differ from those of an earlier commit; and which of them a build sees.

The answer may be too much, never too little. Paths are relative to the top of the working tree, with slashes; bytes
that are not UTF-8 are surrogates.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Final

from orchestrator.dockerfile.ignore import Fate, IgnoreRules
from orchestrator.dockerfile.takes import WHOLE, Paths
from orchestrator.dockerfile.wildcard import WildcardError
from orchestrator.model import Model
from orchestrator.plan.context import EMPTY, Entry, Kind, Listing, record
from orchestrator.plan.copy_sources import encode

_FILE_MODE: Final = 0o644
_WILDCARDS: Final = "*?[\\"


class Changes(Model, dict=True):
    """What differs from a commit.

    `paths` are files that came, went or changed. `trees` are folders of which only that is known: submodules and other
    repositories within this one. `hidden` are files that are there and that git ignores, so that nobody knows what they
    were. `links` are symbolic links and where they lead, those of before and those of now.
    """

    paths: frozenset[str] = frozenset()
    trees: frozenset[str] = frozenset()
    hidden: frozenset[str] = frozenset()
    links: Mapping[str, str] = {}

    @cached_property
    def ordered(self) -> tuple[str, ...]:
        """All of these paths, so that those of one folder are next to each other."""
        return tuple(sorted({*self.paths, *self.trees, *self.hidden}))

    @cached_property
    def ordered_links(self) -> tuple[str, ...]:
        """The links, likewise."""
        return tuple(sorted(self.links))


class Location(Model):
    """Where a path leads: to `path`, None where that is not in the repository, along the links `via`."""

    path: str | None
    via: tuple[str, ...] = ()


class FolderView(Model):
    """A folder that a build sees something of: `paths` of it, None where it is not known what."""

    location: Location
    rules: IgnoreRules
    paths: Paths | None


class View(Model):
    """All that a build sees of the repository; `written` is how its paths that lead out of it are written."""

    files: tuple[Location, ...] = ()
    folders: tuple[FolderView, ...] = ()
    outside: tuple[str, ...] = ()


class Seen(Model):
    """What a build sees of changes: paths that changed, and paths of which nobody knows whether they did."""

    changed: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


class ChangeFinder:
    """Holds what builds see against what changed; what several of them have in common is worked out once."""

    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self._parts: dict[tuple[str, str], _Part] = {}

    def touches(self, location: Location) -> bool:
        """Whether something changed, or is not known, at a place or anywhere below it."""
        return location.path is None or bool(self._on_the_way(location)) or bool(self._within(location.path))

    def find(self, views: Iterable[View]) -> Seen:
        """What these views have of the changes."""
        paths: set[str] = set()
        unknown: set[str] = set()
        for view in views:
            unknown.update(view.outside)
            for location in view.files:
                paths.update(self._on_the_way(location))
            for folder in view.folders:
                paths.update(self._on_the_way(folder.location))
                if folder.location.path is not None:
                    paths.update(self._part(folder.location.path, folder.rules).take(folder.paths))
        hidden = paths & self._changes.hidden
        return Seen(changed=tuple(sorted(paths - hidden)), unknown=tuple(sorted(unknown | hidden)))

    def _on_the_way(self, location: Location) -> tuple[str, ...]:
        """What changed of a path itself, of the links that lead to it, and of the trees that it is in."""
        written = (*location.via, location.path or "")
        found = [path for path in written if path in self._changes.paths or path in self._changes.hidden]
        found += [tree for path in written for tree in _above(path) if tree in self._changes.trees]
        return tuple(dict.fromkeys(found))

    def _within(self, folder: str) -> tuple[str, ...]:
        return _slice(self._changes.ordered, folder)

    def _part(self, folder: str, rules: IgnoreRules) -> _Part:
        key = folder, rules.key
        if key not in self._parts:
            self._parts[key] = _Part(self._changes, folder, rules)
        return self._parts[key]


class _Part:
    """What changed in one folder, as far as its ignore rules let it through."""

    def __init__(self, changes: Changes, folder: str, rules: IgnoreRules) -> None:
        self._prefix = f"{folder}/" if folder else ""
        inner = [path.removeprefix(self._prefix) for path in _slice(changes.ordered, folder)]
        trees = {path for path in inner if self._prefix + path in changes.trees}
        self._files = {path for path in inner if path not in trees and not rules.excludes(path)}
        self._trees = {path for path in trees if not _is_left_out(path, rules)}
        links = {path.removeprefix(self._prefix): changes.links[path] for path in _slice(changes.ordered_links, folder)}
        self._links = {path: target for path, target in links.items() if not rules.excludes(path)}

    def take(self, paths: Paths | None) -> Iterator[str]:
        """What of it these patterns take."""
        if not self._files and not self._trees:
            return
        if paths is None or paths is WHOLE:
            found: Iterable[str] = (*self._files, *self._trees)
        else:
            found = (*self._only(paths), *(tree for tree in self._trees if self._may_take(tree, paths)))
        yield from (self._prefix + path for path in found)

    def _only(self, paths: tuple[str, ...]) -> Iterable[str]:
        try:
            entries = self._listing.only(paths).entries
        except WildcardError:  # the engine may read it otherwise
            return self._files
        return [entry.path for entry in entries if entry.path in self._files]

    @cached_property
    def _listing(self) -> Listing:
        """The files that changed and all links, as a context in which there is nothing else."""
        folders = {folder for path in (*self._files, *self._links) for folder in _above(path)}
        entries = {path: Entry(path=path, kind=Kind.FILE, mode=_FILE_MODE, content=EMPTY) for path in self._files}
        entries |= {path: Entry(path=path, kind=Kind.FOLDER, mode=_FILE_MODE) for path in folders}
        entries |= {path: Entry(path=path, kind=Kind.LINK, content=target) for path, target in self._links.items()}
        return Listing(records=tuple(sorted(map(record, entries.values()))))

    def _may_take(self, tree: str, paths: tuple[str, ...]) -> bool:
        """Whether a pattern may match something in a tree: a link may lead there, or both begin with the same names."""
        return bool(self._links) or any(_may_meet(pattern, tree) for pattern in paths)


def _slice(ordered: tuple[str, ...], folder: str) -> tuple[str, ...]:
    """Those of these paths that are in a folder."""
    if not folder:
        return ordered
    first = bisect_left(ordered, f"{folder}/")
    return ordered[first : bisect_left(ordered, f"{folder}0", first)]  # what follows a slash


def _above(path: str) -> Iterator[str]:
    """The folders that a path is in."""
    at = path.find("/")
    while at >= 0:
        yield path[:at]
        at = path.find("/", at + 1)


def _is_left_out(tree: str, rules: IgnoreRules) -> bool:
    """Whether rules leave out all that may be in a folder."""
    scope = rules.top
    for folder in encode(tree).split(b"/"):
        scope = scope.enter(folder)
    return scope.is_excluded and scope.settled is Fate.EXCLUDED


def _may_meet(pattern: str, tree: str) -> bool:
    for one, other in zip(pattern.split("/"), tree.split("/"), strict=False):
        if any(letter in one for letter in _WILDCARDS):
            return True
        if one != other:
            return False
    return True


def shown_path(path: str) -> str:
    """A path as text that every program takes; bytes that are not UTF-8 are written as hex escapes."""
    return encode(path).decode("utf-8", "backslashreplace")
