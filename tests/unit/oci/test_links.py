"""What manifests name."""

from __future__ import annotations

import msgspec
import pytest

from orchestrator.oci.assemble import assemble
from orchestrator.oci.digest import digest_bytes
from orchestrator.oci.links import Links, read_links
from orchestrator.oci.manifest import OCI_INDEX, Manifest
from orchestrator.oci.record import INPUT, PARENTS, RECORD, SCOPE, render_index, seal
from tests.unit.oci import images

INPUTS, PARENT = digest_bytes(b"inputs"), digest_bytes(b"parent")


def test_records_and_indexes() -> None:
    """A record names the records of its parents, an index those of its parts; both the inputs."""
    built = images.image("linux/amd64")
    image = images.entry("linux/amd64", built)
    attestation = images.attestation_entry(image.digest, images.image("linux/arm64"))
    record = seal(images.index(image, attestation), inputs=INPUTS, scope="pr-7", parents=(PARENT,))
    children = (built.manifest.digest, images.image("linux/arm64").manifest.digest)
    assert Links(children=children, records=(PARENT,), inputs=(INPUTS,), scope="pr-7") == read_links(record)
    index = assemble((record,), {})
    assert Links(children=children, records=(record.digest,), inputs=(INPUTS,)) == read_links(index)


def test_an_image_names_nothing() -> None:
    """Its blobs are no manifests."""
    assert Links() == read_links(images.image("linux/amd64").manifest)


def test_an_index_within_an_index() -> None:
    """Both are told apart from images, since one has to look into them."""
    inner = images.index()
    entry = images.descriptor(inner.content, OCI_INDEX)
    image = images.entry("linux/amd64", images.image("linux/amd64"))
    links = read_links(images.index(entry, image))
    assert ((inner.digest, image.digest), (inner.digest,)) == (links.children, links.indexes)


def test_annotations_that_are_no_digests_are_left_alone() -> None:
    """They are somebody else's, or a stranger's."""
    image = images.entry("linux/amd64", images.image("linux/amd64"))
    annotated = msgspec.structs.replace(image, annotations={INPUT: "none", RECORD: "sha256:../x"})
    index = render_index((annotated,), {PARENTS: f"x,{PARENT},,sha512:1", SCOPE: "main"})
    assert ((PARENT,), ()) == (read_links(index).records, read_links(index).inputs)


def test_what_cannot_be_read_is_an_error() -> None:
    """Nobody knows what is beneath it."""
    with pytest.raises(ValueError, match="ImageIndex"):
        read_links(Manifest(media_type=OCI_INDEX, content=b'{"schemaVersion":2,"manifests":[{}]}'))
