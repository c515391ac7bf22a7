"""Verification of whole images in a store."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pytest
from msgspec.structs import replace

from orchestrator.engine.verify import Depth, VerifyReport, verify_image
from orchestrator.errors import RegistryError
from orchestrator.oci.digest import digest_bytes
from orchestrator.oci.manifest import OCI_MANIFEST, Descriptor, parse_manifest
from orchestrator.oci.platform import parse_platform
from orchestrator.state.layout import OciLayout
from tests.unit.oci.images import LAYER_TYPE, attestation_entry, descriptor, entry, field, image, manifest, push, put
from tests.unit.oci.parts import ELF_AMD64, ELF_ARM, ELF_ARM64, Entry, elf, hard_link, layer, symlink

RUNTIME: dict[str, object] = {"Entrypoint": ["/app/tool"]}
BASE_ARM64 = layer(Entry(path="usr/bin/busybox", content=ELF_ARM64), symlink("bin", "usr/bin"))
BASE_AMD64 = layer(Entry(path="usr/bin/busybox", content=ELF_AMD64), symlink("bin", "usr/bin"))
APP_ARM64 = layer(Entry(path="app/tool", content=ELF_ARM64))
APP_AMD64 = layer(Entry(path="app/tool", content=ELF_AMD64))
DATA = layer(Entry(path="data/a"), Entry(path="data/b"))


class CountingLayout(OciLayout):
    """A layout that remembers which blobs were opened."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.opened: list[str] = []

    @contextmanager
    def open_blob(self, descriptor: Descriptor) -> Iterator[BinaryIO]:
        """A stream of the blob."""
        self.opened.append(descriptor.digest)
        with super().open_blob(descriptor) as stream:
            yield stream


@pytest.fixture
def store(tmp_path: Path) -> CountingLayout:
    """An empty layout."""
    return CountingLayout(tmp_path / "layout")


def told(report: VerifyReport) -> list[str]:
    """All findings as text."""
    return [str(finding) for finding in report.all_findings]


def remove(store: OciLayout, content: bytes) -> None:
    """Remove a blob, as a broken mirror does."""
    (store.path / "blobs" / "sha256" / digest_bytes(content).removeprefix("sha256:")).unlink()


def test_sound(store: CountingLayout) -> None:
    """A sound image has a line for each platform, with what was looked at, and no finding."""
    root = push(
        store,
        {
            "linux/amd64": image("linux/amd64", BASE_AMD64, DATA, APP_AMD64, runtime=RUNTIME),
            "linux/arm64": image("linux/arm64/v8", BASE_ARM64, DATA, APP_ARM64, runtime=RUNTIME),
        },
    )
    report = verify_image(store, "1.0", (parse_platform("linux/arm64"), parse_platform("linux/amd64")))
    assert report.ok
    assert report.digest == root.digest
    assert told(report) == []
    assert [(str(each.platform), each.files, each.programs, each.ok) for each in report.platforms] == [
        ("linux/amd64", 4, 2, True),
        ("linux/arm64", 4, 2, True),
    ]


def test_the_size_of_a_platform_is_what_its_manifest_says(store: CountingLayout) -> None:
    """Config and layers as they are kept, those that other platforms have too counted for each; no layer is read."""
    amd64 = image("linux/amd64", BASE_AMD64, DATA)
    push(store, {"linux/amd64": amd64, "linux/arm64": image("linux/arm64/v8", BASE_ARM64, DATA)})
    report = verify_image(store, "1.0", depth=Depth.STRUCTURE)
    blobs = {path.name: path.stat().st_size for path in (store.path / "blobs/sha256").iterdir()}
    for each in report.platforms:
        manifest = store.fetch_manifest(each.digest)
        assert manifest is not None
        parsed = parse_manifest(manifest.content)
        own = (parsed.config, *parsed.layers)
        assert each.size == sum(blobs[blob.digest.removeprefix("sha256:")] for blob in own)


def test_shared_layers_are_read_once(store: CountingLayout) -> None:
    """A layer that two platforms have, or one has twice, is read once."""
    push(
        store,
        {
            "linux/amd64": image("linux/amd64", DATA, BASE_AMD64, DATA),
            "linux/arm64": image("linux/arm64", BASE_ARM64, DATA),
        },
    )
    assert verify_image(store, "1.0").ok
    assert store.opened.count(digest_bytes(DATA)) == 1


def test_foreign_program(store: CountingLayout) -> None:
    """An x86-64 program in an arm64 image is found, with its path, and the amd64 image beside it is sound."""
    hidden = layer(
        Entry(path="opt/deep/tool", content=ELF_AMD64),
        Entry(path="opt/lib/libx.so.1", content=ELF_AMD64),
        Entry(path="opt/gone", content=ELF_AMD64),
        hard_link("opt/again", "opt/deep/tool"),
    )
    upper = layer(Entry(path="opt/.wh.gone"), Entry(path="app/tool", content=ELF_ARM64))
    push(
        store,
        {
            "linux/amd64": image("linux/amd64", BASE_AMD64, hidden, APP_AMD64, runtime=RUNTIME),
            "linux/arm64": image("linux/arm64", BASE_ARM64, hidden, upper, runtime=RUNTIME),
        },
    )
    report = verify_image(store, "1.0")
    assert told(report) == [
        "/opt/again: x86-64 program in a linux/arm64 image",
        "/opt/deep/tool: x86-64 program in a linux/arm64 image",
        "/opt/lib/libx.so.1: x86-64 library in a linux/arm64 image",
    ]
    assert [each.ok for each in report.platforms] == [True, False]


@pytest.mark.parametrize("depth", [Depth.ENTRYPOINT, Depth.FILES])
def test_foreign_entrypoint(store: CountingLayout, depth: Depth) -> None:
    """A foreign entrypoint is found at both depths, and told once."""
    push(store, {"linux/arm64": image("linux/arm64", BASE_ARM64, APP_AMD64, runtime=RUNTIME)})
    assert told(verify_image(store, "1.0", depth=depth)) == ["/app/tool: x86-64 program in a linux/arm64 image"]


@pytest.mark.parametrize("depth", [Depth.ENTRYPOINT, Depth.FILES])
def test_foreign_interpreter(store: CountingLayout, depth: Depth) -> None:
    """A script is followed to its interpreter, through the links of lower layers."""
    script = layer(Entry(path="app/tool", content=b"#!/bin/busybox sh\n"))
    push(store, {"linux/arm64": image("linux/arm64", BASE_AMD64, script, runtime=RUNTIME)})
    assert told(verify_image(store, "1.0", depth=depth)) == ["/usr/bin/busybox: x86-64 program in a linux/arm64 image"]


def test_fast_reads_no_more_than_it_needs(store: CountingLayout) -> None:
    """The entrypoint alone is looked for from the top, and layers below it are left unread."""
    built = image("linux/arm64", BASE_AMD64, DATA, APP_ARM64, runtime=RUNTIME)
    push(store, {"linux/arm64": built})
    report = verify_image(store, "1.0", depth=Depth.ENTRYPOINT)
    assert report.ok
    assert report.platforms[0].files == 1
    assert store.opened == [digest_bytes(built.config), digest_bytes(APP_ARM64)]


def test_structure_reads_no_layer(store: CountingLayout) -> None:
    """The structure is verified without reading a layer."""
    built = image("linux/arm64", APP_AMD64)
    push(store, {"linux/arm64": built})
    assert verify_image(store, "1.0", depth=Depth.STRUCTURE).ok
    assert store.opened == [digest_bytes(built.config)]


def test_platforms_expected(store: CountingLayout) -> None:
    """Platforms that are missing and those that are too many are findings, of the index and of the platform."""
    push(store, {"linux/amd64": image("linux/amd64", APP_AMD64)})
    report = verify_image(store, "1.0", (parse_platform("linux/arm64"),), Depth.STRUCTURE)
    assert [str(finding) for finding in report.findings] == ["index: linux/arm64 is declared and missing"]
    assert [str(finding) for finding in report.platforms[0].findings] == [
        "index.manifests[0] (linux/amd64): linux/amd64 is not a declared platform"
    ]
    assert not report.ok


def test_attestations(store: CountingLayout) -> None:
    """BuildKit's attestations have to be there, and are no platforms."""
    evidence = image("unknown/unknown", DATA)
    built = image("linux/arm64", APP_ARM64)
    store.put_manifest(evidence.manifest.digest, evidence.manifest)
    push(store, {"linux/arm64": built}, attestation_entry(built.manifest.digest, evidence))
    report = verify_image(store, "1.0")
    assert report.ok
    assert [str(each.platform) for each in report.platforms] == ["linux/arm64"]
    remove(store, evidence.manifest.content)
    assert not verify_image(store, "1.0").ok


def test_missing_reference(store: CountingLayout) -> None:
    """A reference that leads nowhere is a finding that says what to do."""
    report = verify_image(store, "2.0")
    assert told(report) == [f"2.0: there is no such image in `{store.name}`"]
    assert report.findings[0].hints
    assert report.digest is None


def test_missing_blobs(store: CountingLayout) -> None:
    """Manifests, configs and layers that are missing are findings with their places."""
    lacks_manifest, lacks_config = image("linux/amd64", APP_AMD64), image("linux/arm64", APP_ARM64)
    lacks_layer = image("linux/riscv64", DATA)
    push(store, {"linux/amd64": lacks_manifest, "linux/arm64": lacks_config, "linux/riscv64": lacks_layer})
    for content in (lacks_manifest.manifest.content, lacks_config.config, DATA):
        remove(store, content)
    place = "index.manifests[2] (linux/riscv64).layers[0]"
    assert told(verify_image(store, "1.0")) == [
        f"index.manifests[0] (linux/amd64): the manifest `{lacks_manifest.manifest.digest}` is missing",
        f"index.manifests[1] (linux/arm64).config: the blob `{digest_bytes(lacks_config.config)}` is missing",
        f"{place}: the blob `{digest_bytes(DATA)}` is missing; the files of linux/riscv64 were not looked at",
    ]


def test_damaged_layer(store: CountingLayout) -> None:
    """A layer that is not what its digest says is the store's trouble, however early the damage shows."""
    big = layer(Entry(path="random", content=os.urandom(600_000)))
    push(store, {"linux/arm64": image("linux/arm64", big)})
    path = store.path / "blobs" / "sha256" / digest_bytes(big).removeprefix("sha256:")
    path.write_bytes(bytes(1000) + big[1000:])
    with pytest.raises(RegistryError, match="another digest"):
        verify_image(store, "1.0")


def test_layer_that_cannot_be_read(store: CountingLayout) -> None:
    """A layer that is whole and no archive is a finding with its place."""
    broken = gzip.compress(b"hello" * 1000)
    push(store, {"linux/arm64": image("linux/arm64", APP_ARM64, broken)})
    (text,) = told(verify_image(store, "1.0"))
    assert text.startswith("index.manifests[0] (linux/arm64).layers[1]: the layer is no tar archive")


def test_wrong_diff_id(store: CountingLayout) -> None:
    """A layer that unpacks to something else than the config says is a finding: engines refuse it."""
    built = image("linux/arm64", DATA)
    layers = (replace(descriptor(APP_ARM64, LAYER_TYPE)),)
    text = built.manifest.content.replace(digest_bytes(DATA).encode(), layers[0].digest.encode())
    text = text.replace(f'"size":{len(DATA)}'.encode(), f'"size":{len(APP_ARM64)}'.encode())
    swapped = replace(built, manifest=replace(built.manifest, content=text), layers=(APP_ARM64,))
    push(store, {"linux/arm64": swapped})
    (finding,) = told(verify_image(store, "1.0"))
    assert finding == (
        f"index.manifests[0] (linux/arm64).layers[0]: it unpacks to `{digest_bytes(gzip.decompress(APP_ARM64))}`,"
        f" and the config says `{digest_bytes(gzip.decompress(DATA))}`"
    )


def test_compatible_code_is_a_note(store: CountingLayout) -> None:
    """32-bit code that the platform's kernels run is told once for all files, and does not fail."""
    files = layer(*(Entry(path=f"opt/{name}", content=ELF_ARM) for name in "abc"))
    push(store, {"linux/arm64": image("linux/arm64", files)})
    report = verify_image(store, "1.0")
    assert report.ok
    assert told(report) == ["/opt/a: arm code in a linux/arm64 image, which its kernels run, and 2 more"]


def test_not_judged(store: CountingLayout) -> None:
    """Objects, code of machines without containers, and images of systems without ELF are no findings."""
    objects = layer(
        Entry(path="a.o", content=elf(62, kind=1)), Entry(path="b.bpf", content=elf(247)), Entry(path="c.a")
    )
    push(
        store,
        {"linux/arm64": image("linux/arm64", objects), "windows/amd64": image("windows/amd64", APP_ARM64)},
    )
    report = verify_image(store, "1.0")
    assert report.ok
    assert [each.programs for each in report.platforms] == [0, 0]
    assert told(report) == ["index.manifests[1] (windows/amd64): programs of windows/amd64 are not looked into"]


def test_ignored_paths(store: CountingLayout) -> None:
    """Paths that a pattern names are not judged, nor whether the entrypoint is there."""
    push(store, {"linux/arm64": image("linux/arm64", APP_AMD64, BASE_ARM64, runtime={"Cmd": ["/nothing"]})})
    assert told(verify_image(store, "1.0", ignore=("/app/*", "/nothing"))) == []


def test_entrypoint_that_is_missing(store: CountingLayout) -> None:
    """An entrypoint that is nowhere is a finding, at both depths."""
    push(store, {"linux/arm64": image("linux/arm64", BASE_ARM64, runtime=RUNTIME)})
    expected = ["/app/tool: is not in the image (entrypoint, linux/arm64)"]
    assert expected == told(verify_image(store, "1.0"))
    assert expected == told(verify_image(store, "1.0", depth=Depth.ENTRYPOINT))


def test_nothing_to_start(store: CountingLayout) -> None:
    """With `--fast`, an image that starts nothing is sound, and the report says that nothing was looked at."""
    push(store, {"linux/arm64": image("linux/arm64", APP_AMD64)})
    report = verify_image(store, "1.0", depth=Depth.ENTRYPOINT)
    assert report.ok
    assert [finding.message for finding in report.all_findings] == [
        "neither entrypoint nor command: nothing was looked at"
    ]


@pytest.mark.parametrize("depth", list(Depth))
def test_image_without_layers(store: CountingLayout, depth: Depth) -> None:
    """An image may have no layer at all."""
    push(store, {"linux/arm64": image("linux/arm64")})
    assert verify_image(store, "1.0", depth=depth).ok


def test_lone_manifest(store: CountingLayout) -> None:
    """A reference to a single image is looked into like an entry of an index."""
    built = image("linux/arm64", APP_AMD64)
    push(store, {"linux/arm64": built})
    report = verify_image(store, built.manifest.digest)
    assert [str(finding) for finding in report.platforms[0].findings] == [
        "manifest: a single image and no index, accepted since linux/arm64 is the only platform asked for",
        "/app/tool: x86-64 program in a linux/arm64 image",
    ]


def test_hostile_names(store: CountingLayout) -> None:
    """What a terminal would act on is escaped in findings."""
    name = "a\x1b[31m\udcff\n"
    push(store, {"linux/arm64": image("linux/arm64", layer(Entry(path=name, content=ELF_AMD64)))})
    (finding,) = verify_image(store, "1.0").all_findings
    assert finding.where == r"/a\x1b[31m\udcff\n"


def test_huge_index(store: CountingLayout) -> None:
    """An index of hundreds of entries is refused before anything is fetched."""
    built = image("linux/arm64", DATA)
    push(store, {}, *[entry("linux/arm64", built)] * 300)
    assert told(verify_image(store, "1.0")) == ["index: an index of 300 entries, at most 256 are read"]


def test_index_of_something_else(store: CountingLayout) -> None:
    """Entries that are no image manifests, and manifests of something else, are findings and are not followed."""
    broken = b'{"schemaVersion":2,"config":{},"layers":[]}'
    chart = manifest(b"{}", (), (), kind="application/vnd.cncf.helm.config.v1+json")
    store.put_manifest(chart.manifest.digest, chart.manifest)
    put(store, broken)
    entries = (
        descriptor(b"page", "text/html", field("linux/386")),
        descriptor(broken, OCI_MANIFEST, field("linux/amd64")),
        entry("linux/arm64", chart),
    )
    push(store, {}, *entries)
    report = verify_image(store, "1.0")
    assert [each.ok for each in report.platforms] == [False, False, False]
    assert store.opened == []


def test_damaged_config(store: CountingLayout) -> None:
    """A config that is not what its digest says is the store's trouble."""
    built = image("linux/arm64", DATA)
    push(store, {"linux/arm64": built})
    path = store.path / "blobs" / "sha256" / digest_bytes(built.config).removeprefix("sha256:")
    path.write_bytes(built.config.replace(b"linux", b"Linux"))
    with pytest.raises(RegistryError, match="another digest"):
        verify_image(store, "1.0")
