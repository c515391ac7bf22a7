"""Copies between stores: what is sent, what is mounted, and in which order."""

from __future__ import annotations

import hashlib
import tracemalloc
from pathlib import Path

import msgspec
import pytest

from orchestrator.engine.copy import copy_tree
from orchestrator.engine.ports import ImageStore
from orchestrator.errors import RegistryError
from orchestrator.oci.digest import Digest, digest_bytes
from orchestrator.oci.manifest import OCI_INDEX, Descriptor, Manifest
from orchestrator.state.layout import OciLayout
from orchestrator.testing.registry import AnswerWith, FakeRegistry
from tests.contract.registry_sample import (
    describe,
    make_index,
    make_sample,
    opened,
    put_sample,
    repository_of,
    source_of,
)

SAMPLES = (make_sample("linux/amd64", b"shared", b"amd64"), make_sample("linux/arm64", b"shared", b"arm64"))


def index_of(manifest: Manifest) -> Manifest:
    """An index of anything, another index included."""
    child = {"mediaType": manifest.media_type, "digest": manifest.digest, "size": len(manifest.content)}
    return Manifest(media_type=OCI_INDEX, content=msgspec.json.encode({"schemaVersion": 2, "manifests": [child]}))


def is_complete(store: ImageStore, index: Manifest) -> bool:
    """Whether an index, its images and all blobs of the samples are there."""
    manifests = (index, *(sample.manifest for sample in SAMPLES))
    return all(store.find(manifest.digest) == manifest.digest for manifest in manifests) and all(
        store.has_blob(digest_bytes(blob)) for sample in SAMPLES for blob in sample.blobs
    )


def test_between_registries() -> None:
    """Everything beneath an index arrives, blobs before manifests, children before the index."""
    with FakeRegistry() as one, FakeRegistry() as two, opened() as stores:
        source, target = stores.repository(repository_of(one)), stores.repository(repository_of(two))
        index = put_sample(source, *SAMPLES)
        copy_tree(source, target, index.digest)
        assert is_complete(target, index)
        puts = [logged.path for logged in two.requests if logged.method == "PUT" and "/manifests/" in logged.path]
    expected = [*(sample.manifest.digest for sample in SAMPLES), index.digest]
    assert expected == [path.rpartition("/")[2] for path in puts]


def test_within_a_registry() -> None:
    """Within one registry every blob is mounted and none is sent."""
    with FakeRegistry() as registry, opened() as stores:
        source, target = (stores.repository(repository_of(registry, path)) for path in ("acme/a", "acme/b"))
        index = put_sample(source, *SAMPLES)
        copy_tree(source, target, index.digest)
        assert is_complete(target, index)
        assert registry.count("POST", ".*/acme/b/.*mount=.*") == 5
        assert registry.count("PUT", ".*/acme/b/blobs/.*") == 0


def test_where_mounting_is_refused() -> None:
    """A registry that does not mount gets the blobs sent."""
    with FakeRegistry() as registry, opened() as stores:
        source, target = (stores.repository(repository_of(registry, path)) for path in ("acme/a", "acme/b"))
        index = put_sample(source, *SAMPLES)
        registry.fail("POST", ".*mount=.*", AnswerWith(status=405), times=0)
        copy_tree(source, target, index.digest)
        assert is_complete(target, index)


def test_twice() -> None:
    """A second copy reads what is there and sends nothing."""
    with FakeRegistry() as one, FakeRegistry() as two, opened() as stores:
        source, target = stores.repository(repository_of(one)), stores.repository(repository_of(two))
        index = put_sample(source, *SAMPLES)
        copy_tree(source, target, index.digest)
        before = len(two.requests)
        copy_tree(source, target, index.digest)
        assert {"HEAD"} == {logged.method for logged in two.requests[before:]}


def test_after_an_interruption() -> None:
    """What an interrupted copy has sent is not sent again, and the index comes last."""
    with FakeRegistry() as one, FakeRegistry() as two, opened() as stores:
        source, target = stores.repository(repository_of(one)), stores.repository(repository_of(two))
        index = put_sample(source, *SAMPLES)
        two.fail("PUT", f".*/manifests/{SAMPLES[1].manifest.digest}", AnswerWith(status=403))
        with pytest.raises(RegistryError):
            copy_tree(source, target, index.digest)
        assert target.find(index.digest) is None
        uploads = two.count("PUT", ".*/uploads/.*")
        copy_tree(source, target, index.digest)
        assert is_complete(target, index)
        assert uploads == two.count("PUT", ".*/uploads/.*")


def test_through_a_layout(tmp_path: Path) -> None:
    """An image goes from a registry to a layout, to another layout, and back, byte for byte."""
    with FakeRegistry() as one, FakeRegistry() as two, opened() as stores:
        source, target = stores.repository(repository_of(one)), stores.repository(repository_of(two))
        layouts = OciLayout(tmp_path / "a"), OciLayout(tmp_path / "b")
        index = put_sample(source, *SAMPLES)
        for origin, goal in ((source, layouts[0]), (layouts[0], layouts[1]), (layouts[1], target)):
            copy_tree(origin, goal, index.digest)
            assert is_complete(goal, index)
        assert index == target.fetch_manifest(index.digest)


def test_layouts_share_files(tmp_path: Path) -> None:
    """Blobs go from layout to layout by link."""
    source, target = OciLayout(tmp_path / "a"), OciLayout(tmp_path / "b")
    copied = put_sample(source, *SAMPLES)
    copy_tree(source, target, copied.digest)
    name = f"blobs/sha256/{digest_bytes(b'shared').removeprefix('sha256:')}"
    assert (source.path / name).samefile(target.path / name)


def test_large_layers_stay_on_disk(tmp_path: Path) -> None:
    """A layer of any size takes a constant amount of memory."""
    size = 64 * 1024 * 1024
    blob = tmp_path / "blob"
    with blob.open("wb") as file:
        file.truncate(size)
    with blob.open("rb") as file:
        digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    descriptor = Descriptor(media_type="x", digest=digest, size=size)
    source, target = OciLayout(tmp_path / "a"), OciLayout(tmp_path / "b")
    source.put_blob(descriptor, lambda: blob.open("rb"))
    tracemalloc.start()
    target.put_blob(descriptor, lambda: source.open_blob(descriptor))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert target.has_blob(Digest(digest))
    assert peak < 8 * 1024 * 1024


def test_nothing_to_copy() -> None:
    """A digest that the source does not have is an error that names both."""
    with FakeRegistry() as registry, opened() as stores:
        source, target = (stores.repository(repository_of(registry, path)) for path in ("acme/a", "acme/b"))
        digest = digest_bytes(b"nothing")
        with pytest.raises(RegistryError, match=f"no manifest `{digest}` in `{source.name}`"):
            copy_tree(source, target, digest)


def test_missing_child(tmp_path: Path) -> None:
    """An index one of whose children is gone is not copied."""
    source, target = OciLayout(tmp_path / "a"), OciLayout(tmp_path / "b")
    index = make_index(*SAMPLES)
    source.put_manifest(index.digest, index)
    with pytest.raises(RegistryError, match="no manifest"):
        copy_tree(source, target, index.digest)
    assert target.find(index.digest) is None


def test_nested_without_end(tmp_path: Path) -> None:
    """Indexes within indexes are followed so far and no farther."""
    source, target = OciLayout(tmp_path / "a"), OciLayout(tmp_path / "b")
    inner = make_sample().manifest
    for _ in range(8):
        source.put_manifest(inner.digest, inner)
        inner = index_of(inner)
    source.put_manifest(inner.digest, inner)
    with pytest.raises(RegistryError, match="more than 4 deep"):
        copy_tree(source, target, inner.digest)


def test_foreign_layers_stay_where_they_are(tmp_path: Path) -> None:
    """A layer that registries do not take is neither asked for nor sent."""
    source, target = OciLayout(tmp_path / "a"), OciLayout(tmp_path / "b")
    config = b'{"os":"windows","architecture":"amd64"}'
    foreign = describe(b"far away", "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip")
    source.put_blob(describe(config), source_of(config))
    content = (
        f'{{"schemaVersion":2,"config":{{"mediaType":"c","digest":"{describe(config).digest}","size":{len(config)}}},'
        f'"layers":[{{"mediaType":"{foreign.media_type}","digest":"{foreign.digest}","size":{foreign.size}}}]}}'
    )
    manifest = Manifest(media_type="application/vnd.oci.image.manifest.v1+json", content=content.encode())
    source.put_manifest(manifest.digest, manifest)
    copy_tree(source, target, manifest.digest)
    assert manifest.digest == target.find(manifest.digest)


def test_malformed_manifest(tmp_path: Path) -> None:
    """A manifest that cannot be read is named with its store, and not copied."""
    source, target = OciLayout(tmp_path / "a"), OciLayout(tmp_path / "b")
    manifest = Manifest(media_type=OCI_INDEX, content=b'{"schemaVersion":2,"manifests":[{"digest":"x"}]}')
    source.put_manifest(manifest.digest, manifest)
    with pytest.raises(RegistryError, match="cannot copy"):
        copy_tree(source, target, manifest.digest)
