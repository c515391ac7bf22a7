"""Why builds are not remembered: what they were made from last, read back from the registry and compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import BinaryIO, Final, Protocol

import msgspec

from orchestrator.errors import RegistryError
from orchestrator.model import Model
from orchestrator.oci.digest import Digest, digest_bytes
from orchestrator.oci.manifest import Descriptor, ImageManifest, Manifest, parse_manifest
from orchestrator.oci.platform import Platform
from orchestrator.oci.record import Part, read_parts
from orchestrator.oci.reference import Repository
from orchestrator.plan import names
from orchestrator.plan.context import Listing, changed_paths, parse_listing
from orchestrator.plan.inputs import InputManifest
from orchestrator.plan.model import Reason
from orchestrator.plan.reasons import compare

_THREADS: Final = 32
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
    """A platform build that does not stand, and what it would be made from."""

    image: str
    platform: Platform
    repository: Repository
    manifest: InputManifest


def explain(
    builds: Mapping[str, Unremembered],
    listings: Mapping[Digest, Listing],
    scopes: tuple[str, ...],
    open_store: Callable[[Repository], HistoryStore],
) -> Mapping[str, tuple[Reason, ...]]:
    """The reasons of each build by its id; none for what was made from the same last, and is not there all the same."""
    reader = _Reader(listings, scopes, open_store)
    with ThreadPoolExecutor(_THREADS) as threads:
        return dict(zip(builds, threads.map(reader.explain, builds.values()), strict=True))


class _Reader:
    """Reads what the last builds were made from."""

    def __init__(
        self,
        listings: Mapping[Digest, Listing],
        scopes: tuple[str, ...],
        open_store: Callable[[Repository], HistoryStore],
    ) -> None:
        self._listings = listings
        self._scopes = scopes
        self._open = open_store

    def explain(self, build: Unremembered) -> tuple[Reason, ...]:
        """Why this one is to be built."""
        try:
            return self._explain(build, self._open(build.repository))
        except (RegistryError, ValueError):
            return (Reason(code="new", message="what was built before cannot be read"),)

    def _explain(self, build: Unremembered, store: HistoryStore) -> tuple[Reason, ...]:
        parts = self._last(build, store)
        if parts is None:
            return (Reason(code="new", message="nothing built before is remembered"),)
        part = parts.get(build.platform)
        if part is None:
            return (Reason(code="platform_added", message=f"`{build.platform}` is new"),)
        if part.inputs == build.manifest.digest:
            return ()
        kept = store.fetch_manifest(names.inputs_tag(part.inputs))
        if kept is None:
            return (Reason(code="config_changed", message="what it was made from last is not kept any more"),)
        artifact = parse_manifest(kept.content)
        old = read_manifest(store, artifact, part.inputs)
        return compare(old, build.manifest, self._paths(store, artifact, old, build.manifest))

    def _last(self, build: Unremembered, store: HistoryStore) -> dict[Platform, Part] | None:
        for scope in self._scopes:
            index = store.fetch_manifest(names.last_tag(scope, build.image))
            if index is not None:
                return {part.platform: part for part in read_parts(index)}
        return None

    def _paths(
        self, store: HistoryStore, artifact: ImageManifest, old: InputManifest, new: InputManifest
    ) -> dict[str, tuple[str, ...]]:
        """The files that differ, of contexts of which both listings are known."""
        layers = {layer.digest: layer for layer in artifact.layers}
        now = dict(new.contexts)
        found = {}
        for name, before in old.contexts:
            after = self._listings.get(Digest(now.get(name, "")))
            if after is not None and after.digest != before and before in layers:
                listing = parse_listing(_read(store, layers[before], _MAX_LISTING))
                found[name] = changed_paths(listing, after)
        return found


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
        return msgspec.json.decode(content, type=InputManifest)
    except msgspec.MsgspecError as error:
        msg = f"the input manifest `{inputs}` cannot be read: {error}"
        raise ValueError(msg) from error


def _read(store: HistoryStore, descriptor: Descriptor, limit: int) -> bytes:
    if descriptor.size > limit:
        msg = f"`{descriptor.digest}` has {descriptor.size} bytes, at most {limit} are read"
        raise ValueError(msg)
    with store.open_blob(descriptor) as stream:
        return stream.read()
