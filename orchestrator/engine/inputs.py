"""Keeps input manifests beside what was made from them, so that another machine can say what has changed since."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from contextlib import closing
from io import BytesIO
from threading import Lock
from typing import Final

import msgspec

from orchestrator.engine.ports import ImageStore
from orchestrator.oci.digest import Digest, digest_bytes
from orchestrator.oci.manifest import OCI_MANIFEST, Descriptor, ImageManifest, Manifest
from orchestrator.plan import names
from orchestrator.plan.context import Listing
from orchestrator.plan.model import RecordKey

INPUT_TYPE: Final = "application/vnd.orchestrate.input.v1+json"
"""The media type of an input manifest, the config of an artifact whose layers are listings of contexts."""

LISTING_TYPE: Final = "application/vnd.orchestrate.listing.v1"
"""The media type of a listing of a context."""


class InputKeeper:
    """Puts input manifests; one at a time into each store, as registries lose blobs that two upload at once.

    Args:
        listings: the listings of contexts that manifests name, by digest.
    """

    def __init__(self, listings: Mapping[Digest, Listing]) -> None:
        self._listings = listings
        self._locks: defaultdict[str, Lock] = defaultdict(Lock)
        self._put: set[tuple[str, Digest]] = set()

    def keep(self, home: ImageStore, key: RecordKey, notes: Mapping[str, str], *, replaces: bool = False) -> None:
        """Put the input manifest and its listings under a name that follows from its digest, unless they are there.

        Args:
            home: where to.
            key: what the build is known by.
            notes: annotations, such as how long it took; they stand here because every plan reads this anyway, on any
                machine and with or without a registry, while records and indexes stay the same bytes.
            replaces: the notes of an earlier build from the same do not count any more.

        Raises:
            RegistryError: the store refuses or fails.
        """
        if not key.manifest:
            return
        with self._locks[home.name]:
            tag = names.inputs_tag(key.inputs)
            if replaces or home.find(tag) is None:
                home.put_manifest(tag, self._put_parts(home, key, notes))

    def _put_parts(self, home: ImageStore, key: RecordKey, notes: Mapping[str, str]) -> Manifest:
        config = _put(home, key.manifest.encode(), INPUT_TYPE)
        layers = tuple(self._put_listing(home, digest) for digest in key.listings)
        artifact = ImageManifest(
            schema_version=2, config=config, artifact_type=INPUT_TYPE, layers=layers, annotations=dict(notes)
        )
        # as in an index, what equals a default is to be found by readers
        fields = {**msgspec.to_builtins(artifact, str_keys=True), "mediaType": OCI_MANIFEST, "layers": list(layers)}
        return Manifest(media_type=OCI_MANIFEST, content=msgspec.json.encode(fields, order="sorted"))

    def _put_listing(self, home: ImageStore, digest: Digest) -> Descriptor:
        """Put a listing, which all platforms of an image share, and images of one context, once a run."""
        text = self._listings[digest].text
        if (home.name, digest) in self._put:
            return _describe(text, LISTING_TYPE)
        descriptor = _put(home, text, LISTING_TYPE)
        self._put.add((home.name, digest))
        return descriptor


def _describe(content: bytes, media_type: str) -> Descriptor:
    return Descriptor(media_type=media_type, digest=digest_bytes(content), size=len(content))


def _put(home: ImageStore, content: bytes, media_type: str) -> Descriptor:
    descriptor = _describe(content, media_type)
    home.put_blob(descriptor, lambda: closing(BytesIO(content)))
    return descriptor
