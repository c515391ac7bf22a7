"""What builds were made from last, read back from where it is kept: `explain` and `why` say what has changed since."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from threading import Lock
from typing import BinaryIO, Final, Protocol

import msgspec

from orchestrator.errors import RegistryError
from orchestrator.model import Model
from orchestrator.oci.digest import Digest, digest_bytes
from orchestrator.oci.manifest import Descriptor, ImageManifest, Manifest, parse_manifest
from orchestrator.oci.platform import Platform
from orchestrator.oci.record import Part, read_parts, read_record
from orchestrator.plan import names
from orchestrator.plan.context import Listing, parse_listing
from orchestrator.plan.inputs import InputManifest
from orchestrator.plan.model import Home
from orchestrator.plan.past import FileChanges, Past, find_changes, read_took

_THREADS: Final = 32
_INPUT_MANIFEST: Final = msgspec.json.Decoder(InputManifest)
_MAX_MANIFEST: Final = 4 * 1024 * 1024
_MAX_LISTING: Final = 256 * 1024 * 1024
"""Bytes; a listing of a million files has a hundred megabytes."""


class HistoryStore(Protocol):
    """What reading back needs of a store."""

    def fetch_manifest(self, locator: str) -> Manifest | None:
        """The manifest behind a tag or a digest."""

    def open_blob(self, descriptor: Descriptor) -> AbstractContextManager[BinaryIO]:
        """A stream of a blob, held against its descriptor."""


class Unremembered(Model):
    """A platform build that does not stand, and what it would be made from.

    `parents` are the records of the builds that it would stand on, where all of them stand.
    """

    image: str
    platform: Platform
    home: Home
    manifest: InputManifest
    parents: Mapping[str, Digest] = {}


def read_past(
    builds: Mapping[str, Unremembered],
    listings: Mapping[Digest, Listing],
    scopes: tuple[str, ...],
    open_store: Callable[[Home], HistoryStore],
) -> Mapping[str, Past]:
    """What is remembered of the last build of each of these, by its id; `listings` are of contexts as they are now."""
    reader = _Reader(listings, scopes, open_store)
    by_image: dict[tuple[Home, str], dict[str, Unremembered]] = {}
    for build, one in builds.items():
        by_image.setdefault((one.home, one.image), {})[build] = one
    with ThreadPoolExecutor(_THREADS) as threads:
        found = threads.map(reader.read, by_image, by_image.values())
        return {build: past for pasts in found for build, past in pasts.items()}


class _Reader:
    """Reads what the last builds were made from, of each image once, and compares each two listings once."""

    def __init__(
        self,
        listings: Mapping[Digest, Listing],
        scopes: tuple[str, ...],
        open_store: Callable[[Home], HistoryStore],
    ) -> None:
        self._listings = listings
        self._scopes = scopes
        self._open = open_store
        self._silent: dict[str, Past] = {}
        self._changes: dict[tuple[str, str], FileChanges] = {}
        self._locks: defaultdict[tuple[str, str], Lock] = defaultdict(Lock)

    def read(self, image: tuple[Home, str], builds: Mapping[str, Unremembered]) -> dict[str, Past]:
        """The past of the platform builds of one image."""
        home, name = image
        if home.answers in self._silent:
            return dict.fromkeys(builds, self._silent[home.answers])
        try:
            store = self._open(home)
            parts = self._last(name, store)
        except ValueError as error:
            return dict.fromkeys(builds, _unreadable(error))
        except RegistryError as error:
            # whoever does not answer is not asked again: a plan would wait for each image
            return dict.fromkeys(builds, self._silent.setdefault(home.answers, _unreadable(error)))
        return {build: self._read(one, parts, store) for build, one in builds.items()}

    def _last(self, image: str, store: HistoryStore) -> dict[Platform, Part] | None:
        for scope in self._scopes:
            index = store.fetch_manifest(names.last_tag(scope, image))
            if index is not None:
                return {part.platform: part for part in read_parts(index)}
        return None

    def _read(self, build: Unremembered, parts: dict[Platform, Part] | None, store: HistoryStore) -> Past:
        part = parts.get(build.platform) if parts else None
        if part is None:
            return Past(is_known=parts is not None)
        try:
            return self._read_part(build, part, store)
        except (RegistryError, ValueError) as error:
            return _unreadable(error)

    def _read_part(self, build: Unremembered, part: Part, store: HistoryStore) -> Past:
        kept = store.fetch_manifest(names.inputs_tag(part.inputs))
        artifact = parse_manifest(kept.content) if kept else None
        took = read_took(artifact.annotations) if artifact else None
        if part.inputs == build.manifest.digest:
            rebuilt = tuple(self._rebuilt(build, part, store))
            return Past(is_known=True, inputs=part.inputs, manifest=build.manifest, rebuilt=rebuilt, took=took)
        if artifact is None:
            return Past(is_known=True, inputs=part.inputs)
        old = read_manifest(store, artifact, part.inputs)
        changes = dict(self._compare(store, artifact, old, build.manifest))
        return Past(is_known=True, inputs=part.inputs, manifest=old, changes=changes, took=took)

    @staticmethod
    def _rebuilt(build: Unremembered, part: Part, store: HistoryStore) -> Iterator[str]:
        """The parents of which it was made from the same, but on other builds of them."""
        kept = store.fetch_manifest(part.record) if part.record and build.parents else None
        if kept is not None:
            before = read_record(kept).parents
            yield from (parent for parent, record in build.parents.items() if record not in before)

    def _compare(
        self, store: HistoryStore, artifact: ImageManifest, old: InputManifest, new: InputManifest
    ) -> Iterator[tuple[str, FileChanges]]:
        """The files that differ, of contexts of which both listings are known."""
        layers = {layer.digest: layer for layer in artifact.layers}
        now = dict(new.contexts)
        for name, before in old.contexts:
            after = self._listings.get(Digest(now.get(name, "")))
            if after is None or after.digest == before or before not in layers:
                continue
            pair = before, after.digest
            with self._locks[pair]:
                if pair not in self._changes:
                    listing = parse_listing(_read(store, layers[before], _MAX_LISTING))
                    self._changes[pair] = find_changes(listing, after)
            yield name, self._changes[pair]


def _unreadable(error: RegistryError | ValueError) -> Past:
    if isinstance(error, RegistryError):
        return Past(problem=error.message, is_silent=True, hints=error.hints)
    return Past(problem=str(error))


def read_manifest(store: HistoryStore, artifact: ImageManifest, inputs: Digest) -> InputManifest:
    """The input manifest of this digest, from the artifact that keeps it.

    Raises:
        ValueError: it is another one, or none.
        RegistryError: the store refuses or fails.
    """
    content = _read(store, artifact.config, _MAX_MANIFEST)
    if digest_bytes(content) != inputs:
        msg = f"what is kept as the input manifest `{inputs}` is another one"
        raise ValueError(msg)
    try:
        return _INPUT_MANIFEST.decode(content)
    except msgspec.MsgspecError as error:
        msg = f"the input manifest `{inputs}` cannot be read: {error}"
        raise ValueError(msg) from error


def _read(store: HistoryStore, descriptor: Descriptor, limit: int) -> bytes:
    if descriptor.size > limit:
        msg = f"`{descriptor.digest}` has {descriptor.size} bytes, at most {limit} are read"
        raise ValueError(msg)
    with store.open_blob(descriptor) as stream:
        return stream.read()
