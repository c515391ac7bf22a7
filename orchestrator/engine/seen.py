"""Manifests that a run has put or fetched: what has a digest never changes, so it need not be fetched again."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import Final

from orchestrator.engine.ports import ImageStore
from orchestrator.errors import RegistryError
from orchestrator.oci.digest import Digest
from orchestrator.oci.manifest import Manifest

_LIMIT: Final = 1024
"""Manifests; an image needs about four of them, in steps that follow each other soon."""


class SeenManifests:
    """Content by digest, and by store, since it says nothing about what another store holds. For several threads.

    It is no proof that anything still stands: verification asks the store.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: OrderedDict[tuple[str, Digest], Manifest] = OrderedDict()

    def keep(self, store: ImageStore, manifest: Manifest) -> None:
        """Keep what was put into a store, or read from it; the oldest gives way."""
        with self._lock:
            self._kept[store.name, manifest.digest] = manifest
            if len(self._kept) > _LIMIT:
                self._kept.popitem(last=False)

    def fetch(self, store: ImageStore, digest: Digest) -> Manifest:
        """What has this digest in a store.

        Raises:
            RegistryError: it is not there, or the store fails.
        """
        with self._lock:
            kept = self._kept.get((store.name, digest))
        if kept is not None:
            return kept
        manifest = store.fetch_manifest(digest)
        if manifest is None:
            message = f"`{store.name}@{digest}` is gone: it was there a moment ago"
            raise RegistryError(message, hints=("check that nothing cleans the registry up while builds run",))
        self.keep(store, manifest)
        return manifest
