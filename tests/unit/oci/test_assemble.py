from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.oci.assemble import assemble, children, cut, references
from orchestrator.oci.digest import digest_bytes
from orchestrator.oci.manifest import (
    ATTESTATION_TYPE,
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    REFERENCE_DIGEST,
    REFERENCE_TYPE,
    Descriptor,
    ImageConfig,
    Manifest,
    PlatformField,
    parse_index,
)
from orchestrator.oci.platform import parse_platform

PLATFORMS = ("linux/amd64", "linux/arm64", "linux/arm/v7", "linux/386")


def image_of(platform: str, /, **changes: object) -> dict[str, object]:
    """The descriptor of an image as BuildKit writes it."""
    system, architecture, variant = (*platform.split("/"), "")[:3]
    field = {"architecture": architecture, "os": system, **({"variant": variant} if variant else {})}
    digest = digest_bytes(platform.encode())
    return {"mediaType": OCI_MANIFEST, "digest": digest, "size": 100, "platform": field, **changes}


def attestation_of(platform: str) -> dict[str, object]:
    """The descriptor of an image's attestation as BuildKit writes it."""
    return {
        "mediaType": OCI_MANIFEST,
        "digest": digest_bytes(f"attestation of {platform}".encode()),
        "size": 50,
        "annotations": {REFERENCE_TYPE: ATTESTATION_TYPE, REFERENCE_DIGEST: digest_bytes(platform.encode())},
        "platform": {"architecture": "unknown", "os": "unknown"},
    }


def index_of(*descriptors: dict[str, object], media_type: str = OCI_INDEX) -> Manifest:
    """An index as others write it, with spaces."""
    value = {"schemaVersion": 2, "mediaType": media_type, "manifests": descriptors}
    return Manifest(media_type=media_type, content=json.dumps(value, indent=2).encode())


def built(*platforms: str) -> Manifest:
    """What BuildKit pushes: images, then their attestations."""
    return index_of(*map(image_of, platforms), *map(attestation_of, platforms))


def part_of(platform: str) -> Manifest:
    """One platform cut out."""
    return cut(built(*PLATFORMS), parse_platform(platform))


def digests(manifest: Manifest) -> list[str]:
    """The digests of an index's children."""
    return [child.digest for child in children(manifest)]


def test_cut() -> None:
    """A part holds the image of the platform and its attestation, as they were described."""
    expected = [image_of("linux/arm64"), attestation_of("linux/arm64")]
    assert expected == json.loads(part_of("linux/arm64").content)["manifests"]


def test_cut_does_not_depend_on_the_rest() -> None:
    """A part is the same whatever was built beside it, and in which order."""
    expected = part_of("linux/amd64")
    assert expected == cut(built("linux/amd64"), parse_platform("linux/amd64"))
    shuffled = index_of(attestation_of("linux/amd64"), image_of("linux/arm64"), image_of("linux/amd64"))
    assert expected == cut(shuffled, parse_platform("linux/amd64"))


def test_cut_keeps_the_spelling() -> None:
    """A platform is found by its normal form, and stays as it was written."""
    part = cut(index_of(image_of("linux/arm64/v8")), parse_platform("linux/arm64"))
    assert [PlatformField(os="linux", architecture="arm64", variant="v8")] == [
        child.platform for child in children(part)
    ]


def test_cut_of_a_lone_manifest() -> None:
    """A lone manifest is wrapped, with the platform that its config says."""
    manifest = Manifest(
        media_type=DOCKER_MANIFEST,
        content=json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": DOCKER_MANIFEST,
                "config": {"mediaType": "c", "digest": digest_bytes(b""), "size": 0},
            }
        ).encode(),
    )
    config = ImageConfig(architecture="arm", os="linux", variant="v7")
    part = cut(manifest, parse_platform("linux/arm"), configs={manifest.digest: config})
    expected = Descriptor(
        media_type=DOCKER_MANIFEST,
        digest=manifest.digest,
        size=len(manifest.content),
        platform=PlatformField(architecture="arm", os="linux", variant="v7"),
    )
    assert (expected,) == children(part)
    with pytest.raises(ValueError, match="nothing says"):
        cut(manifest, parse_platform("linux/arm"))
    with pytest.raises(ValueError, match="no image for `linux/amd64`"):
        cut(manifest, parse_platform("linux/amd64"), configs={manifest.digest: config})


def test_cut_of_what_is_not_there() -> None:
    """A platform that was not built is an error that says what was."""
    with pytest.raises(ValueError, match=r"no image for `linux/386` in .*: linux/amd64, linux/arm64"):
        cut(built("linux/arm64", "linux/amd64"), parse_platform("linux/386"))


def test_cut_of_what_is_there_twice() -> None:
    """Two images for one platform, in whatever spelling, are an error."""
    twice = index_of(image_of("linux/arm64"), image_of("linux/arm64/v8"))
    with pytest.raises(ValueError, match="2 images for `linux/arm64`"):
        cut(twice, parse_platform("linux/arm64"))


def test_cut_of_an_index_in_an_index() -> None:
    """What nobody builds is refused."""
    with pytest.raises(ValueError, match="an index within an index"):
        cut(index_of(image_of("linux/amd64", mediaType=OCI_INDEX)), parse_platform("linux/amd64"))


def test_assemble() -> None:
    """All images come first, in the order given, then their attestations in that order."""
    index = assemble((part_of("linux/arm64"), part_of("linux/amd64")), {})
    order = ("linux/arm64", "linux/amd64")
    expected = [describe(platform)["digest"] for describe in (image_of, attestation_of) for platform in order]
    assert expected == digests(index)
    assert (OCI_INDEX, 2) == (parse_index(index.content).media_type, parse_index(index.content).schema_version)


@given(st.permutations(PLATFORMS), st.dictionaries(st.text(), st.text()))
def test_same_parts_same_bytes(order: list[str], annotations: dict[str, str]) -> None:
    """Bytes depend on the parts, their order and the annotations, and on no order of keys or of building."""
    parts = tuple(map(part_of, order))
    alone = tuple(cut(built(platform), parse_platform(platform)) for platform in order)
    backwards = dict(reversed(annotations.items()))
    assert assemble(parts, annotations).content == assemble(alone, backwards).content


@given(st.permutations(PLATFORMS))
def test_cut_undoes_assemble(order: list[str]) -> None:
    """Cutting an assembled index gives back its parts, byte for byte."""
    parts = {platform: part_of(platform) for platform in order}
    index = assemble(tuple(parts.values()), {"a": "b"})
    assert parts == {platform: cut(index, parse_platform(platform)) for platform in order}


def test_canonical_form() -> None:
    """The bytes themselves: sorted keys, no spaces, nothing that is empty."""
    part = cut(index_of(image_of("linux/amd64"), media_type=DOCKER_LIST), parse_platform("linux/amd64"))
    digest = digest_bytes(b"linux/amd64")
    expected = (
        f'{{"annotations":{{"a":"1","b":"2"}},"manifests":[{{"digest":"{digest}","mediaType":"{OCI_MANIFEST}",'
        f'"platform":{{"architecture":"amd64","os":"linux"}},"size":100}}],"mediaType":"{OCI_INDEX}","schemaVersion":2}}'
    )
    assert expected == assemble((part,), {"b": "2", "a": "1"}).content.decode()


def test_descriptors_are_kept() -> None:
    """Docker's media types, annotations and details of the platform survive cutting and assembling."""
    image = image_of(
        "windows/amd64",
        mediaType=DOCKER_MANIFEST,
        annotations={"dev.example": "ä\u2028"},
        platform={"architecture": "amd64", "os": "windows", "os.version": "10.0.1", "os.features": ["win32k"]},
    )
    index = assemble((cut(index_of(image), parse_platform("windows/amd64")),), {})
    assert [image] == json.loads(index.content)["manifests"]


def test_two_parts_for_a_platform() -> None:
    """A platform can be in an index once."""
    with pytest.raises(ValueError, match="two parts for `linux/amd64`"):
        assemble((part_of("linux/amd64"), part_of("linux/amd64")), {})


def test_part_with_two_images() -> None:
    """A part is one image, no more and no less."""
    with pytest.raises(ValueError, match="2 images instead of one"):
        assemble((built("linux/amd64", "linux/arm64"),), {})
    with pytest.raises(ValueError, match="0 images instead of one"):
        assemble((index_of(),), {})


def test_children_and_references() -> None:
    """An index has children and no blobs, a manifest blobs and no children; the config comes first."""
    config, layer = ({"mediaType": kind, "digest": digest_bytes(kind.encode()), "size": 1} for kind in "cl")
    content = msgspec.json.encode({"schemaVersion": 2, "config": config, "layers": [layer]})
    manifest = Manifest(media_type=OCI_MANIFEST, content=content)
    assert ((), 2) == (references(built("linux/amd64")), len(children(built("linux/amd64"))))
    assert ((), ["c", "l"]) == (children(manifest), [item.media_type for item in references(manifest)])
