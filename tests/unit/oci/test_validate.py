"""The structure of images: what is sound, and every way in which it is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from orchestrator.diagnostics import Severity
from orchestrator.oci.digest import digest_bytes
from orchestrator.oci.manifest import (
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    Descriptor,
    Manifest,
    PlatformField,
)
from orchestrator.oci.platform import Platform, parse_platform
from orchestrator.oci.validate import Child, Structure, check_structure, list_entries
from tests.unit.oci.images import (
    LAYER_TYPE,
    Built,
    attestation_entry,
    config_of,
    descriptor,
    entry,
    field,
    image,
    index,
    manifest,
)
from tests.unit.oci.parts import Entry, layer

LAYER = layer(Entry(path="a"))
AMD64, ARM64, ARM_V7 = (image(name, LAYER) for name in ("linux/amd64", "linux/arm64", "linux/arm/v7"))
EVIDENCE = image("unknown/unknown", layer(Entry(path="sbom")))
AMD64_ENTRY, ARM64_ENTRY = entry("linux/amd64", AMD64), entry("linux/arm64", ARM64)


def platforms(*names: str) -> tuple[Platform, ...]:
    """Platforms by name."""
    return tuple(map(parse_platform, names))


BOTH = platforms("linux/amd64", "linux/arm64")


def check(entries: tuple[Descriptor, ...], expected: tuple[Platform, ...] | None, *built: Built) -> Structure:
    """Check an index over these images."""
    held: dict[str, Built] = {each.manifest.digest: each for each in built}
    children = []
    for each in entries:
        child = Child(descriptor=each, manifest=None)
        if found := held.get(each.digest):
            child = replace(child, manifest=found.manifest, config=found.config)
        children.append(child)
    return check_structure(index(*entries), tuple(children), expected)


def told(structure: Structure) -> list[str]:
    """The findings as text."""
    return [str(finding) for finding in structure.findings]


@pytest.mark.parametrize("expected", [BOTH, BOTH[::-1], None])
def test_sound(expected: tuple[Platform, ...] | None) -> None:
    """An index with exactly the declared platforms has no findings, in any order, attestations or none."""
    entries = AMD64_ENTRY, ARM64_ENTRY, attestation_entry(AMD64_ENTRY.digest, EVIDENCE)
    structure = check(entries, expected, AMD64, ARM64, EVIDENCE)
    assert told(structure) == []
    assert tuple(each.platform for each in structure.images) == BOTH
    assert all(each.contents for each in structure.images)


def test_missing_and_undeclared() -> None:
    """A platform that is missing and one that is too many are both told."""
    structure = check((AMD64_ENTRY, entry("linux/arm/v7", ARM_V7)), BOTH, AMD64, ARM_V7)
    assert told(structure) == [
        "index.manifests[1] (linux/arm/v7): linux/arm/v7 is not a declared platform",
        "index: linux/arm64 is declared and missing",
    ]


def test_duplicate() -> None:
    """A platform that is there twice is told with both places, however it is spelled."""
    structure = check((ARM64_ENTRY, entry("linux/arm64/v8", ARM64)), platforms("linux/arm64"), ARM64)
    assert told(structure) == [
        "index.manifests[1] (linux/arm64): the same platform as index.manifests[0] (linux/arm64)"
    ]


def test_versions_of_windows() -> None:
    """Versions of Windows are no duplicates."""
    built = image("windows/amd64", LAYER)
    entries = tuple(
        replace(entry("windows/amd64", built), platform=PlatformField(os="windows", architecture="amd64", os_version=v))
        for v in ("10.0.17763.1", "10.0.20348.1")
    )
    assert told(check(entries, None, built)) == []


def test_wrong_architecture_inside() -> None:
    """An image whose config is for another platform than its entry says is told."""
    structure = check((AMD64_ENTRY, entry("linux/arm64", AMD64)), BOTH, AMD64)
    assert told(structure) == ["index.manifests[1] (linux/arm64).config: the image inside is for linux/amd64"]


@pytest.mark.parametrize(
    ("declared", "inside", "sound"),
    [
        ("linux/arm64", "linux/arm64/v8", True),
        ("linux/arm64/v8", "linux/arm64", True),
        ("linux/arm/v7", "linux/arm", True),
        ("linux/arm", "linux/arm/v7", True),
        ("linux/arm/v6", "linux/arm", True),
        ("linux/amd64/v3", "linux/amd64", True),
        ("linux/arm/v6", "linux/arm/v7", False),
        ("linux/arm", "linux/arm/v6", False),
        ("linux/amd64", "linux/amd64/v3", False),
        ("linux/arm64", "linux/arm/v8", False),
    ],
)
def test_variants(declared: str, inside: str, *, sound: bool) -> None:
    """Variants are compared as normalised, and not at all where a config names none."""
    built = image(inside, LAYER)
    assert sound is (told(check((entry(declared, built),), None, built)) == [])


def test_unknown_platform() -> None:
    """An entry for unknown/unknown that is no attestation is told, and one without a platform."""
    entries = entry("unknown/unknown", EVIDENCE), descriptor(AMD64.manifest.content, OCI_MANIFEST)
    assert told(check(entries, None, EVIDENCE, AMD64)) == [
        "index.manifests[0] (unknown/unknown): the platform unknown/unknown, and not an attestation",
        "index.manifests[1] (no platform): no platform",
    ]


def test_attestations() -> None:
    """An attestation has to be about an image of this index, and to have no platform of its own."""
    strange = digest_bytes(b"strange")
    own = attestation_entry(strange, EVIDENCE)
    entries = (
        AMD64_ENTRY, own, attestation_entry(own.digest, EVIDENCE), attestation_entry("", EVIDENCE),
        attestation_entry(AMD64_ENTRY.digest, EVIDENCE, platform=field("linux/amd64")),
    )  # fmt: skip
    assert told(check(entries, platforms("linux/amd64"), AMD64, EVIDENCE)) == [
        f"index.manifests[1] (attestation): an attestation about `{strange}`, which is not in this index",
        f"index.manifests[2] (attestation): an attestation about `{own.digest}`, which is not in this index",
        "index.manifests[3] (attestation): an attestation about nothing",
        "index.manifests[4] (attestation): an attestation manifest whose platform is not unknown/unknown",
    ]


def test_nested_index() -> None:
    """An index in an index is refused, and not looked into."""
    inner = descriptor(index(AMD64_ENTRY).content, OCI_INDEX, field("linux/amd64"))
    structure = check((inner,), platforms("linux/amd64"))
    assert told(structure) == ["index.manifests[0] (linux/amd64): an index in an index, which many clients do not read"]
    assert [each.contents for each in structure.images] == [None]


def test_missing_manifest() -> None:
    """A manifest that the store lacks is told, of an image and of an attestation."""
    entries = AMD64_ENTRY, attestation_entry(AMD64_ENTRY.digest, EVIDENCE)
    assert told(check(entries, None)) == [
        f"index.manifests[0] (linux/amd64): the manifest `{AMD64_ENTRY.digest}` is missing",
        f"index.manifests[1] (attestation): the manifest `{entries[1].digest}` is missing",
    ]


def test_wrong_bytes() -> None:
    """Size, digest and media type of the bytes are held against the entry."""
    wrong = replace(AMD64_ENTRY, size=7)
    child = Child(
        descriptor=wrong,
        manifest=replace(ARM64.manifest, media_type=DOCKER_MANIFEST),
        config=ARM64.config,
    )
    where = "index.manifests[0] (linux/amd64)"
    size = len(ARM64.manifest.content)
    assert told(check_structure(index(wrong), (child,), None)) == [
        f"{where}: a manifest of {size} bytes, 7 are declared",
        f"{where}: a manifest with the digest `{ARM64_ENTRY.digest}`, `{AMD64_ENTRY.digest}` is declared",
        f"{where}: a `{DOCKER_MANIFEST}`, where the index says `{OCI_MANIFEST}`",
        f"{where}.config: the image inside is for linux/arm64",
    ]


def test_unknown_media_types() -> None:
    """Kinds of manifests, configs and layers that no image has are told."""
    kind = "application/vnd.cncf.helm.config.v1+json"
    chart = manifest(b"{}", (descriptor(b"x", "text/plain"),), (), kind=kind)
    entries = replace(AMD64_ENTRY, media_type="text/html"), entry("linux/arm64", chart)
    assert told(check(entries, None, AMD64, chart)) == [
        "index.manifests[0] (linux/amd64): `text/html` is not the media type of an image manifest",
        f"index.manifests[1] (linux/arm64).config: `{kind}` is not the config of a container image",
        "index.manifests[1] (linux/arm64).layers[0]: unknown kind of layer `text/plain`",
    ]


def test_configs() -> None:
    """A config that is missing, or cannot be read, is told."""
    broken = image("linux/arm64", config=b"[]")
    child = Child(descriptor=AMD64_ENTRY, manifest=AMD64.manifest, config=None)
    other = Child(descriptor=entry("linux/arm64", broken), manifest=broken.manifest, config=broken.config)
    findings = told(check_structure(index(child.descriptor, other.descriptor), (child, other), BOTH))
    assert findings == [
        f"index.manifests[0] (linux/amd64).config: the blob `{digest_bytes(AMD64.config)}` is missing",
        "index.manifests[1] (linux/arm64).config: not an OCI ImageConfig: Expected `object`, got `array`",
    ]


def test_wrong_config_bytes() -> None:
    """Size and digest of a config are held against the manifest."""
    child = Child(descriptor=AMD64_ENTRY, manifest=AMD64.manifest, config=AMD64.config + b" ")
    length, digest = len(AMD64.config), digest_bytes(AMD64.config)
    where = "index.manifests[0] (linux/amd64).config"
    assert told(check_structure(index(AMD64_ENTRY), (child,), None)) == [
        f"{where}: a config of {length + 1} bytes, {length} are declared",
        f"{where}: a config with the digest `{digest_bytes(AMD64.config + b' ')}`, `{digest}` is declared",
    ]


def test_huge_config() -> None:
    """A config of an absurd size is told, not read."""
    huge = manifest(b"{}", (), ())
    content = huge.manifest.content.replace(b'"size":2', b'"size":99999999')
    built = replace(huge, manifest=Manifest(media_type=OCI_MANIFEST, content=content))
    assert told(check((entry("linux/amd64", built),), None, built)) == [
        "index.manifests[0] (linux/amd64).config: 99999999 bytes, at most 8388608 are read"
    ]


def test_diff_ids() -> None:
    """There is a diff id for each layer, and each is a digest."""
    built = image("linux/amd64", LAYER, LAYER, config=config_of("linux/amd64", ["sha256:short"]))
    structure = check((entry("linux/amd64", built),), None, built)
    assert told(structure) == [
        "index.manifests[0] (linux/amd64).config.rootfs: 1 diff ids for 2 layers",
        "index.manifests[0] (linux/amd64).config.rootfs.diff_ids[0]: not a sha256 digest: `sha256:short`",
    ]
    assert [each.contents for each in structure.images] == [None]


def test_too_many_layers() -> None:
    """An image of more layers than anything unpacks is told."""
    diff_id = digest_bytes(b"")
    built = manifest(
        config_of("linux/amd64", [diff_id] * 513), tuple(descriptor(LAYER, LAYER_TYPE) for _ in range(513)), ()
    )
    assert told(check((entry("linux/amd64", built),), None, built)) == [
        "index.manifests[0] (linux/amd64): 513 layers, at most 512 are read"
    ]


def test_manifest_that_cannot_be_read() -> None:
    """What is no manifest is told with the reason."""
    built = Built(manifest=Manifest(media_type=OCI_MANIFEST, content=b"{"), config=b"")
    assert told(check((entry("linux/amd64", built),), None, built)) == [
        "index.manifests[0] (linux/amd64): not an OCI ImageManifest: Input data was truncated"
    ]


def test_empty_index() -> None:
    """An index of nothing is told, and one of attestations alone."""
    alone = attestation_entry(AMD64_ENTRY.digest, EVIDENCE)
    assert told(check((), None)) == ["index: no image for any platform"]
    assert told(check((alone,), None, EVIDENCE))[-1] == "index: no image for any platform"


def lone(built: Built, expected: tuple[Platform, ...] | None) -> Structure:
    """Check a manifest that stands in no index."""
    (found,) = list_entries(built.manifest)
    return check_structure(
        built.manifest, (Child(descriptor=found, manifest=built.manifest, config=built.config),), expected
    )


@pytest.mark.parametrize("expected", [platforms("linux/arm64"), None])
def test_lone_manifest(expected: tuple[Platform, ...] | None) -> None:
    """A single image is accepted where one platform is expected, and the report says so."""
    structure = lone(ARM64, expected)
    assert [finding.severity for finding in structure.findings] == [Severity.WARNING]
    assert told(structure) == [
        "manifest: a single image and no index, accepted since linux/arm64 is the only platform asked for"
    ]
    assert [each.platform for each in structure.images] == list(platforms("linux/arm64"))


def test_lone_manifest_of_another_platform() -> None:
    """A single image for another platform is refused."""
    structure = lone(AMD64, platforms("linux/arm64"))
    assert told(structure) == [
        "manifest: linux/amd64 is not a declared platform",
        "manifest: a single image and no index: linux/arm64 is declared and missing",
    ]


def test_lone_manifest_for_several() -> None:
    """A single image is refused where several platforms are expected, with those that are missing."""
    structure = lone(ARM64, BOTH)
    assert told(structure) == ["manifest: a single image and no index: linux/amd64 is declared and missing"]


def test_lone_manifest_without_config() -> None:
    """A single image whose config is missing is for no platform."""
    structure = lone(replace(ARM64, config=b""), None)
    assert structure.images == ()
    assert all(finding.where == "manifest.config" for finding in structure.findings)


def test_entries_of_a_huge_index() -> None:
    """An index of hundreds of entries is not followed."""
    with pytest.raises(ValueError, match="index of 257 entries, at most 256"):
        list_entries(index(*[AMD64_ENTRY] * 257))


FIELDS = st.sampled_from(["linux/amd64", "linux/arm64", "linux/arm/v7", "unknown/unknown"])
BUILT = st.sampled_from([AMD64, ARM64, ARM_V7, EVIDENCE])
DESCRIPTORS = st.builds(entry, FIELDS, BUILT) | st.builds(
    attestation_entry, BUILT.map(lambda built: built.manifest.digest), BUILT
)


@given(st.lists(DESCRIPTORS, max_size=5), st.lists(FIELDS.filter(lambda name: "unknown" not in name), max_size=3))
def test_no_findings_means_exactly_the_declared(entries: list[Descriptor], declared: list[str]) -> None:
    """Whatever the index: without findings it has exactly the declared platforms, each once."""
    expected = platforms(*declared)
    structure = check(tuple(entries), expected, AMD64, ARM64, ARM_V7, EVIDENCE)
    if not structure.findings:
        assert sorted(set(expected)) == sorted(each.platform for each in structure.images)
        assert all(each.contents is not None for each in structure.images)
