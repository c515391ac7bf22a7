"""Stores whose manifests are fetched once: a name costs one HEAD where what it points at is kept already."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import BinaryIO, Protocol

from orchestrator.oci.digest import Digest
from orchestrator.oci.manifest import Descriptor, Manifest
from orchestrator.state.manifests import ManifestCache


class Store(Protocol):
    """What looking into a repository takes."""

    def find(self, locator: str) -> Digest | None:
        """The digest behind a tag."""

    def fetch_manifest(self, locator: str) -> Manifest | None:
        """The manifest behind a tag or a digest."""

    def open_blob(self, descriptor: Descriptor) -> AbstractContextManager[BinaryIO]:
        """A stream of a blob, held against its descriptor."""


class CachedStore:
    """A repository with what is kept of it.

    Registries are asked about every name all the same, for names move: the cache saves the body of the answer, not the
    question. One that began empty can save nothing, so then everything is fetched at once.
    """

    def __init__(self, store: Store, cache: ManifestCache) -> None:
        self._store = store
        self._cache = cache

    def find(self, locator: str) -> Digest | None:
        """The digest behind a tag."""
        return self._store.find(locator)

    def fetch_manifest(self, locator: str) -> Manifest | None:
        """The manifest behind a tag or a digest: by HEAD where it is kept, by GET where it is not."""
        wanted = locator
        if not self._cache.began_empty:
            digest = self._store.find(locator)
            if digest is None:
                return None
            known = self._cache.find(digest)
            if known is not None:
                return known
            wanted = digest
        manifest = self._store.fetch_manifest(wanted)
        if manifest is not None:
            self._cache.keep(manifest)
        return manifest

    def open_blob(self, descriptor: Descriptor) -> AbstractContextManager[BinaryIO]:
        """A stream of a blob, held against its descriptor."""
        return self._store.open_blob(descriptor)
