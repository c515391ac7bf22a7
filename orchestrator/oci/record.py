"""What an index says of how it came to be: annotations by which a later plan knows what it was made from.

A record is the index of one platform build: its image, its attestations, and in its annotations the scope that wrote it
and the records of the parents it stands on. In both records and final indexes the descriptor of each image carries its
input digest, and in a final index also the digest of its record.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from orchestrator.model import Model
from orchestrator.oci.digest import Digest, parse_digest
from orchestrator.oci.manifest import MANIFEST_TYPES, OCI_INDEX, Descriptor, ImageIndex, Manifest, parse_index
from orchestrator.oci.platform import Platform

INPUT: Final = "dev.orchestrate.input"
"""Of an image's descriptor: the input digest."""

RECORD: Final = "dev.orchestrate.record"
"""Of an image's descriptor in a final index: the digest of its record."""

PARENTS: Final = "dev.orchestrate.parents"
"""Of a record: the digests of the records of its parents, sorted, with commas."""

SCOPE: Final = "dev.orchestrate.scope"
"""Of a record: the state scope of the run that wrote it."""


class Part(Model):
    """One platform of an index that says what it was made from."""

    platform: Platform
    manifest: Digest
    inputs: Digest
    record: Digest | None = None


class Record(Model):
    """The record of a platform build."""

    part: Part
    scope: str
    parents: tuple[Digest, ...]


def seal(part: Manifest, *, inputs: Digest, scope: str, parents: Iterable[Digest]) -> Manifest:
    """The record of a platform build, from the index of its one platform.

    Raises:
        ValueError: the index is malformed.
    """
    index = parse_index(part.content)
    manifests = tuple(
        child if child.is_attestation else _annotated(child, {INPUT: inputs}) for child in index.manifests
    )
    return render_index(manifests, {PARENTS: ",".join(sorted(parents)), SCOPE: scope})


def read_record(index: Manifest) -> Record:
    """Read a record, and believe nothing.

    Raises:
        ValueError: it is none.
    """
    parts = read_parts(index)
    annotations = parse_index(index.content).annotations
    if len(parts) != 1 or SCOPE not in annotations or PARENTS not in annotations:
        msg = f"`{index.digest}` is no record of a platform build"
        raise ValueError(msg)
    parents = tuple(map(parse_digest, filter(None, annotations[PARENTS].split(","))))
    return Record(part=parts[0], scope=annotations[SCOPE], parents=parents)


def read_parts(index: Manifest) -> tuple[Part, ...]:
    """The platforms of an index with what they were made from.

    Raises:
        ValueError: it is malformed, or does not say it of every platform.
    """
    if not index.is_index:
        msg = f"`{index.digest}` is no index"
        raise ValueError(msg)
    return tuple(
        _part(child)
        for child in parse_index(index.content).manifests
        if child.media_type in MANIFEST_TYPES and not child.is_attestation
    )


def _part(child: Descriptor) -> Part:
    if child.platform is None or INPUT not in child.annotations:
        msg = f"`{child.digest}` does not say what it was made from"
        raise ValueError(msg)
    record = child.annotations.get(RECORD)
    return Part(
        platform=child.platform.normalised(),
        manifest=parse_digest(child.digest),
        inputs=parse_digest(child.annotations[INPUT]),
        record=parse_digest(record) if record else None,
    )


def with_record(child: Descriptor, record: Digest) -> Descriptor:
    """The descriptor of an image as a final index has it; one that says nothing of its input stays as it is."""
    return _annotated(child, {RECORD: record}) if INPUT in child.annotations else child


def _annotated(child: Descriptor, more: dict[str, str]) -> Descriptor:
    return msgspec.structs.replace(child, annotations={**child.annotations, **more})


def render_index(descriptors: tuple[Descriptor, ...], annotations: dict[str, str]) -> Manifest:
    """An index as canonical bytes: the same parts always give the same digest."""
    index = ImageIndex(schema_version=2, media_type=OCI_INDEX, manifests=descriptors, annotations=annotations)
    # `mediaType` equals the default and would be left out; readers are to find it (image-spec image-index.md)
    fields = {**msgspec.to_builtins(index, str_keys=True), "mediaType": OCI_INDEX}
    return Manifest(media_type=OCI_INDEX, content=msgspec.json.encode(fields, order="sorted"))
