"""Copies of images between stores: what is there is left alone, and nothing is named before it is there."""

from __future__ import annotations

from typing import Final

from orchestrator.engine.ports import ImageStore
from orchestrator.errors import RegistryError
from orchestrator.oci.assemble import children, references
from orchestrator.oci.digest import Digest, parse_digest
from orchestrator.oci.manifest import Descriptor, Manifest

_MAX_DEPTH: Final = 4
"""Indexes within indexes; BuildKit nests none, and a hostile one is not followed for ever."""


def copy_tree(source: ImageStore, target: ImageStore, root: Digest) -> None:
    """Copy a manifest or an index with everything beneath it; the target gets `root` last, by digest.

    Blobs are mounted where both stores allow it and streamed otherwise, never held in memory. What the
    target has is not sent again: an image manifest that is there has its blobs.

    Args:
        source: where everything is.
        target: where it is to be.
        root: what to copy.

    Raises:
        RegistryError: a store refuses or fails, or something is missing or malformed at the source.
    """
    _copy_manifest(source, target, root, depth=0)


def _copy_manifest(source: ImageStore, target: ImageStore, digest: Digest, *, depth: int) -> None:
    if depth > _MAX_DEPTH:
        msg = f"indexes within indexes, more than {_MAX_DEPTH} deep, in `{source.name}`"
        raise RegistryError(msg)
    manifest = _fetch(source, digest)
    is_there = target.find(digest) is not None
    if is_there and not manifest.is_index:
        return
    beneath, blobs = _parse(source, manifest)
    for child in beneath:
        _copy_manifest(source, target, parse_digest(child.digest), depth=depth + 1)
    for blob in blobs:
        _copy_blob(source, target, blob)
    if not is_there:
        target.put_manifest(digest, manifest)


def _copy_blob(source: ImageStore, target: ImageStore, blob: Descriptor) -> None:
    if target.has_blob(parse_digest(blob.digest)) or target.mount_blob(blob, source):
        return
    target.put_blob(blob, lambda: source.open_blob(blob))


def _fetch(source: ImageStore, digest: Digest) -> Manifest:
    manifest = source.fetch_manifest(digest)
    if manifest is None:
        msg = f"no manifest `{digest}` in `{source.name}`"
        raise RegistryError(msg, hints=("it was deleted there, or never pushed: build the image again",))
    return manifest


def _parse(source: ImageStore, manifest: Manifest) -> tuple[tuple[Descriptor, ...], tuple[Descriptor, ...]]:
    try:
        return children(manifest), references(manifest)
    except ValueError as error:
        msg = f"cannot copy `{manifest.digest}` of `{source.name}`: {error}"
        raise RegistryError(msg) from error
