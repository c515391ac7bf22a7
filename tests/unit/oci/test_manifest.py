from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.oci.digest import digest_bytes
from orchestrator.oci.manifest import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    Descriptor,
    Manifest,
    PlatformField,
    identify,
    parse_config,
    parse_index,
    parse_manifest,
)
from orchestrator.oci.platform import Platform

DIGEST = digest_bytes(b"x")
CHILD = {"mediaType": OCI_MANIFEST, "digest": DIGEST, "size": 7}
INDEX = {"schemaVersion": 2, "manifests": [CHILD]}
IMAGE = {"schemaVersion": 2, "config": CHILD, "layers": [CHILD]}

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["schemaVersion", "manifests", "config", "layers", "mediaType", "digest", "size", "os"]),
            inner,
        )
    ),
    max_leaves=12,
)


def encode(value: object) -> bytes:
    """JSON as others write it."""
    return json.dumps(value).encode()


@given(st.binary(max_size=40) | _JSON.map(encode), st.sampled_from([OCI_INDEX, OCI_MANIFEST, "", "text/html"]))
def test_any_content(content: bytes, declared: str) -> None:
    """Any bytes are what they are parsed as, or a ValueError."""
    for parse in (parse_index, parse_manifest, parse_config):
        try:
            parse(content)
        except ValueError:
            continue
    try:
        assert content == identify(content, declared).content
    except ValueError:
        return


@pytest.mark.parametrize("parse", [parse_index, parse_manifest, parse_config])
def test_nested_without_end(parse: object) -> None:
    """Depth is bounded."""
    assert callable(parse)
    with pytest.raises(ValueError, match="not an OCI"):
        parse(b'{"x":' * 100_000)


@pytest.mark.parametrize(
    "change", [{"digest": "sha256:x"}, {"digest": "md5:1"}, {"size": -1}, {"size": "7"}, {"size": 7.5}]
)
def test_illegal_descriptor(change: dict[str, object]) -> None:
    """A digest or a size that cannot be is refused, in an index and in a manifest."""
    child = {**CHILD, **change}
    with pytest.raises(ValueError, match=r"digest|size"):
        parse_index(encode({**INDEX, "manifests": [child]}))
    with pytest.raises(ValueError, match=r"digest|size"):
        parse_manifest(encode({**IMAGE, "layers": [child]}))


@pytest.mark.parametrize(
    ("content", "declared", "expected"),
    [
        (INDEX, "", OCI_INDEX),
        (INDEX, "application/json", OCI_INDEX),
        (INDEX, DOCKER_LIST, DOCKER_LIST),
        (INDEX, f"{DOCKER_LIST}; charset=utf-8", DOCKER_LIST),
        ({**INDEX, "mediaType": DOCKER_LIST}, "", DOCKER_LIST),
        (IMAGE, "", OCI_MANIFEST),
        (IMAGE, DOCKER_MANIFEST, DOCKER_MANIFEST),
        ({**IMAGE, "mediaType": DOCKER_MANIFEST}, "text/plain", DOCKER_MANIFEST),
    ],
)
def test_identify(content: object, declared: str, expected: str) -> None:
    """The content's own media type goes before what came with it, and its shape decides where both are silent."""
    assert Manifest(media_type=expected, content=encode(content)) == identify(encode(content), declared)


@pytest.mark.parametrize(
    ("content", "declared"),
    [
        ({**INDEX, **IMAGE}, ""),
        ({"schemaVersion": 2}, OCI_INDEX),
        (INDEX, OCI_MANIFEST),
        (IMAGE, OCI_INDEX),
        ({**INDEX, "mediaType": OCI_MANIFEST}, ""),
        ({**INDEX, "mediaType": OCI_INDEX}, DOCKER_LIST),
        ({**IMAGE, "mediaType": "application/vnd.docker.distribution.manifest.v1+json"}, ""),
    ],
)
def test_two_things_at_once(content: object, declared: str) -> None:
    """Content that two readers could take for different things is refused."""
    with pytest.raises(ValueError, match=r"manifest|index|media type"):
        identify(encode(content), declared)


def test_wrong_kind() -> None:
    """An index is no manifest and a manifest no index, whatever its fields are."""
    with pytest.raises(ValueError, match="not an image index"):
        parse_index(encode({**INDEX, "mediaType": OCI_MANIFEST}))
    with pytest.raises(ValueError, match="not an image manifest"):
        parse_manifest(encode({**IMAGE, "mediaType": OCI_INDEX}))


def test_platforms() -> None:
    """The platform of a descriptor and of a config are normalised; their spelling stays."""
    field = PlatformField(os="linux", architecture="arm64", variant="v8")
    config = parse_config(b'{"os":"linux","architecture":"arm64","variant":"v8"}')
    expected = Platform(os="linux", architecture="arm64")
    assert (expected, expected) == (field.normalised(), config.normalised())
    assert field.variant == "v8"


def test_attestation() -> None:
    """BuildKit's attestation says which manifest it is about; another child is about none."""
    annotations = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": DIGEST}
    attestation = Descriptor(media_type=OCI_MANIFEST, digest=DIGEST, size=1, annotations=annotations)
    image = Descriptor(media_type=OCI_MANIFEST, digest=DIGEST, size=1)
    assert (True, DIGEST) == (attestation.is_attestation, attestation.attested)
    assert (False, None) == (image.is_attestation, image.attested)


def test_manifest_knows_its_digest() -> None:
    """The digest is that of the bytes."""
    manifest = Manifest(media_type=OCI_INDEX, content=b"x")
    assert (DIGEST, True) == (manifest.digest, manifest.is_index)
