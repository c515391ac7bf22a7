"""Notes beside moving tags: which version a tag stands for, so that a later release sees that it would go down.

An index says nothing of versions, for one index may be released as several. A note is an artifact without content
(image-spec manifest.md, "Guidelines for Artifact Usage") that names an index, and counts while the tag points at that.
"""

from __future__ import annotations

from typing import Final

import msgspec

from orchestrator.oci.digest import Digest, digest_bytes
from orchestrator.oci.manifest import OCI_MANIFEST, Descriptor, Manifest, parse_manifest

VERSION: Final = "org.opencontainers.image.version"
INDEX: Final = "dev.orchestrate.index"
EMPTY: Final = b"{}"
"""The config and the layer of an artifact that has none."""

_TYPE: Final = "application/vnd.orchestrate.note.v1+json"
_EMPTY_TYPE: Final = "application/vnd.oci.empty.v1+json"


def empty_descriptor() -> Descriptor:
    """What stands for no content."""
    return Descriptor(media_type=_EMPTY_TYPE, digest=digest_bytes(EMPTY), size=len(EMPTY))


def render_note(index: Digest, version: str) -> Manifest:
    """The note that an index was released under a version."""
    empty = msgspec.to_builtins(empty_descriptor(), str_keys=True)
    fields = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": _TYPE,
        "config": empty,
        "layers": [empty],
        "annotations": {INDEX: index, VERSION: version},
    }
    return Manifest(media_type=OCI_MANIFEST, content=msgspec.json.encode(fields, order="sorted"))


def read_note(note: Manifest, index: Digest) -> str | None:
    """The version that a note says of this index; None where it is about another one, or is no note."""
    try:
        annotations = parse_manifest(note.content).annotations
    except ValueError:
        return None
    return annotations.get(VERSION) if annotations.get(INDEX) == index else None
