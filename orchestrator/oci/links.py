"""What a manifest names: manifests beneath it, and by annotations the records and inputs of what is in it."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.model import Model
from orchestrator.oci.digest import Digest, parse_digest
from orchestrator.oci.manifest import INDEX_TYPES, Manifest, parse_index
from orchestrator.oci.record import INPUT, PARENTS, RECORD, SCOPE


class Links(Model):
    """What one manifest names; an image manifest names nothing.

    `children` are beneath it, `indexes` those of them that have children themselves. `records` are of the platform
    builds in it and of what those stand on, `inputs` are input digests, `scope` is that of a record.
    """

    children: tuple[Digest, ...] = ()
    indexes: tuple[Digest, ...] = ()
    records: tuple[Digest, ...] = ()
    inputs: tuple[Digest, ...] = ()
    scope: str = ""


def read_links(manifest: Manifest) -> Links:
    """Read what a manifest names; annotations that are no digests are somebody else's.

    Raises:
        ValueError: it is malformed, so nobody can tell what is beneath it.
    """
    if not manifest.is_index:
        return Links()
    index = parse_index(manifest.content)
    notes = [child.annotations for child in index.manifests]
    return Links(
        children=tuple(parse_digest(child.digest) for child in index.manifests),
        indexes=tuple(parse_digest(child.digest) for child in index.manifests if child.media_type in INDEX_TYPES),
        records=(
            *_digests(each.get(RECORD, "") for each in notes),
            *_digests(index.annotations.get(PARENTS, "").split(",")),
        ),
        inputs=tuple(_digests(each.get(INPUT, "") for each in notes)),
        scope=index.annotations.get(SCOPE, ""),
    )


def _digests(texts: Iterator[str] | list[str]) -> Iterator[Digest]:
    for text in texts:
        try:
            yield parse_digest(text)
        except ValueError:
            continue
