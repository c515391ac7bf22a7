"""`.orchestrate/state`: what earlier runs without a registry have left, and how far it can be relied on.

A repository may bring anything of that name, and what lies in it says of itself what it was made from. So it counts
only where this machine has made the folder: a mark in it names the inodes of both, which no copy of it has. And content
counts only as what its hash says, also where somebody wrote into a layout that shares its files by hard links.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, Final

from orchestrator.dockerfile.ignore import IgnoreRules
from orchestrator.errors import RegistryError
from orchestrator.oci.assemble import children, references
from orchestrator.oci.digest import Digest
from orchestrator.oci.manifest import Descriptor, Manifest
from orchestrator.plan.context import Kind
from orchestrator.plan.names import is_last
from orchestrator.state.beneath import Durability, Missing, find_size, open_folder, open_regular, write_whole
from orchestrator.state.context import walk
from orchestrator.state.layout import OciLayout
from orchestrator.state.statcache import open_stat_cache
from orchestrator.state.workspace import NAME

FOLDER: Final = "state"
_MARK: Final = "made-here"
_MAX_MARK: Final = 64
_BLOBS: Final = "blobs/sha256/"
_MAX_DEPTH: Final = 4
_KEEP_ALL: Final = IgnoreRules()


def is_there(root: Path) -> bool:
    """Whether something stands in the place of the state of a project."""
    return os.path.lexists(root / NAME / FOLDER)


def is_made_here(root: Path) -> bool:
    """Whether this machine has made the state of a project, where it lies now; a link was not."""
    try:
        with open_folder(root, (NAME, FOLDER), Missing.FAIL) as folder:
            if find_size(_MARK, folder) is None:
                return False
            with open_regular(_MARK, folder) as file:
                return file.read(_MAX_MARK) == _mark(folder, file)
    except OSError:
        return False


def begin_state(root: Path) -> None:
    """Make the state of a project anew; whatever stands there is removed. For the run that has the lock.

    Raises:
        OSError: it cannot be.
    """
    path = root / NAME / FOLDER
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif is_there(root):
        shutil.rmtree(path)
    with open_folder(root, (NAME, FOLDER), Missing.CREATE) as folder:
        write_whole(_MARK, folder, lambda file: file.write(_mark(folder, file)), Durability.LAZY)


def _mark(folder: int, file: BinaryIO) -> bytes:
    return b"%d %d\n" % (os.fstat(folder).st_ino, os.fstat(file.fileno()).st_ino)


def hash_state(root: Path) -> Mapping[str, frozenset[str]]:
    """The blobs that are what their names say, by the folder of their layout; files that did not change are known.

    Raises:
        UsageError, PlanBlockedError: as `walk`.
    """
    found: dict[str, set[str]] = {}
    if is_there(root):
        with open_stat_cache(root) as cache:
            listing = walk(root / NAME / FOLDER, _KEEP_ALL, cache)
        for entry in listing.entries:
            layout, _, way = entry.path.partition("/")
            name = way.removeprefix(_BLOBS)
            if entry.kind is Kind.FILE and way == _BLOBS + name and entry.content == name:
                found.setdefault(layout, set()).add(name)
    return {layout: frozenset(names) for layout, names in found.items()}


def mend_state(root: Path, intact: Mapping[str, frozenset[str]]) -> None:
    """Remove all that lacks something or is not what it says, so that it is built again. For the run with the lock.

    Raises:
        RegistryError, OSError: it cannot be written to.
    """
    for path in _layouts(root):
        layout = OciLayout(path, below=root)
        proven = ProvenLayout(layout, intact.get(path.name, frozenset()))
        try:
            tags = tuple(layout.tags())
        except RegistryError:
            shutil.rmtree(path)
            continue
        whole = frozenset(filter(proven.is_whole, tags))
        if len(whole) < len(tags):
            layout.keep_only(whole)


def _layouts(root: Path) -> Iterator[Path]:
    with os.scandir(root / NAME / FOLDER) as entries:
        yield from (Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False))


class ProvenLayout:
    """A layout for reading, in which nothing stands that lacks something or is not what its name says.

    But for the last index of an image: nothing is taken from it, and it says what an image was made from.

    Args:
        layout: the layout.
        intact: the names of its blobs that are what they say.
    """

    def __init__(self, layout: OciLayout, intact: frozenset[str]) -> None:
        self._layout = layout
        self._intact = intact
        self._seen: dict[str, Manifest | None] = {}

    def find(self, locator: str) -> Digest | None:
        """The digest behind a tag."""
        manifest = self.fetch_manifest(locator)
        return manifest.digest if manifest else None

    def fetch_manifest(self, locator: str) -> Manifest | None:
        """The manifest behind a tag or a digest."""
        if not is_last(locator):
            return self._fetch(locator, 0)
        try:
            return self._layout.fetch_manifest(locator)
        except RegistryError:
            return None

    def is_whole(self, locator: str) -> bool:
        """Whether all is there that a tag or a digest leads to."""
        return self._fetch(locator, 0) is not None

    def open_blob(self, descriptor: Descriptor) -> AbstractContextManager[BinaryIO]:
        """A stream of a blob, held against its descriptor."""
        return self._layout.open_blob(descriptor)

    def _fetch(self, locator: str, depth: int) -> Manifest | None:
        """A manifest that is whole; what several names lead to is looked at once."""
        if locator not in self._seen:
            self._seen[locator] = self._look(locator, depth)
        return self._seen[locator]

    def _look(self, locator: str, depth: int) -> Manifest | None:
        try:
            manifest = self._layout.fetch_manifest(locator)
            if manifest is None or depth > _MAX_DEPTH:
                return None
            blobs = all(_hex(blob) in self._intact for blob in references(manifest))
            whole = blobs and all(self._fetch(child.digest, depth + 1) for child in children(manifest))
        except (RegistryError, ValueError):
            return None
        return manifest if whole else None


def _hex(descriptor: Descriptor) -> str:
    return descriptor.digest.removeprefix("sha256:")
