from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from orchestrator.errors import RegistryError
from orchestrator.oci.digest import digest_bytes
from orchestrator.oci.manifest import OCI_INDEX, OCI_MANIFEST, Descriptor, Manifest
from orchestrator.state.layout import OciLayout
from tests.contract.registry_sample import make_sample, put_sample

CONTENT = b'{"schemaVersion":2,"manifests":[]}'
INDEX = Manifest(media_type=OCI_INDEX, content=CONTENT)


@pytest.fixture
def layout(tmp_path: Path) -> OciLayout:
    """A layout with one tagged index."""
    layout = OciLayout(tmp_path / "layout")
    layout.put_manifest("1.0", INDEX)
    return layout


def blob_path(layout: OciLayout, content: bytes) -> Path:
    """Where a blob is kept."""
    return layout.path / "blobs" / "sha256" / digest_bytes(content).removeprefix("sha256:")


def read(layout: OciLayout, descriptor: Descriptor) -> bytes:
    """A whole blob."""
    with layout.open_blob(descriptor) as stream:
        return stream.read()


def test_files(layout: OciLayout) -> None:
    """What is written is an OCI image layout, and nothing else."""
    files = sorted(str(path.relative_to(layout.path)) for path in layout.path.rglob("*") if path.is_file())
    assert [f"blobs/sha256/{INDEX.digest.removeprefix('sha256:')}", "index.json", "oci-layout"] == files
    assert json.loads((layout.path / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    entry = {
        "mediaType": OCI_INDEX,
        "digest": INDEX.digest,
        "size": len(CONTENT),
        "annotations": {"org.opencontainers.image.ref.name": "1.0"},
    }
    expected = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}
    assert expected == json.loads((layout.path / "index.json").read_text())


def test_roots(layout: OciLayout) -> None:
    """The roots are the entries of index.json."""
    assert [INDEX.digest] == [root.digest for root in layout.roots()]


def test_entries_of_others_are_kept(layout: OciLayout) -> None:
    """A tag that is put leaves the entries of other tools as they are, what we do not know of them included."""
    entry = {"mediaType": OCI_MANIFEST, "digest": digest_bytes(b"other"), "size": 5, "x-tool": {"deep": [1, 2]}}
    (layout.path / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    layout.put_manifest("2.0", INDEX)
    assert entry == json.loads((layout.path / "index.json").read_text())["manifests"][0]


def test_untagged_and_foreign_names(layout: OciLayout) -> None:
    """Names that are no tags, as containerd writes them, are no tags here."""
    entries = [
        {"mediaType": OCI_INDEX, "digest": INDEX.digest, "size": 1, "annotations": {key: value}}
        for key, value in (
            ("org.opencontainers.image.ref.name", "docker.io/library/x:1"),
            ("other", "1.0"),
            ("org.opencontainers.image.ref.name", "good"),
        )
    ]
    (layout.path / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": entries}))
    assert list(layout.tags()) == ["good"]


def test_tag_without_content(layout: OciLayout) -> None:
    """A tag whose content is gone is not found."""
    blob_path(layout, CONTENT).unlink()
    assert (layout.find("1.0"), layout.fetch_manifest("1.0")) == (None, None)


def test_many_threads(layout: OciLayout) -> None:
    """Tags that are put at the same time are all there afterwards."""
    tags = [f"t{number}" for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda tag: OciLayout(layout.path).put_manifest(tag, INDEX), tags))
    assert {"1.0", *tags} == set(layout.tags())


def test_nothing_is_left_of_a_failure(layout: OciLayout) -> None:
    """A blob that does not arrive whole leaves no file."""
    wrong = Descriptor(media_type="x", digest=digest_bytes(b"right"), size=5)
    with pytest.raises(RegistryError):
        layout.put_blob(wrong, lambda: blob_path(layout, CONTENT).open("rb"))
    assert len(list((layout.path / "blobs" / "sha256").iterdir())) == 1


def test_half_written_blob_is_replaced(layout: OciLayout, tmp_path: Path) -> None:
    """A blob of the wrong size, as a power cut leaves it, is written again."""
    (tmp_path / "source").write_bytes(b"content")
    blob_path(layout, b"content").write_bytes(b"")
    descriptor = Descriptor(media_type="x", digest=digest_bytes(b"content"), size=7)
    layout.put_blob(descriptor, lambda: (tmp_path / "source").open("rb"))
    assert read(layout, descriptor) == b"content"


def test_linked_blob(layout: OciLayout, tmp_path: Path) -> None:
    """A symbolic link in the place of a blob is not followed."""
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    blob_path(layout, b"secret").symlink_to(secret)
    descriptor = Descriptor(media_type="x", digest=digest_bytes(b"secret"), size=6)
    assert not layout.has_blob(digest_bytes(b"secret"))
    with pytest.raises(RegistryError, match="no blob"):
        read(layout, descriptor)
    target = OciLayout(tmp_path / "target")
    assert not target.mount_blob(descriptor, layout)


@pytest.mark.parametrize("name", ["blobs", "blobs/sha256"])
def test_linked_folder(name: str, tmp_path: Path) -> None:
    """A symbolic link in the place of a folder is followed neither to read nor to write."""
    layout = OciLayout(tmp_path / "layout")
    outside = tmp_path / "outside"
    (outside / "sha256").mkdir(parents=True)
    (layout.path / name).parent.mkdir(parents=True)
    (layout.path / name).symlink_to(outside)
    with pytest.raises(RegistryError, match=r"cannot .* `oci:"):
        layout.put_manifest("1.0", INDEX)
    with pytest.raises(RegistryError):
        layout.find(INDEX.digest)
    assert [path for path in outside.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("name", ["a", "a/b", "a/b/layout"])
def test_link_on_the_way(name: str, tmp_path: Path) -> None:
    """Below a folder that is trusted no link is followed, be it to the layout itself."""
    root, outside = tmp_path / "root", tmp_path / "outside"
    outside.mkdir()
    (root / name).parent.mkdir(parents=True)
    (root / name).symlink_to(outside)
    layout = OciLayout(root / "a/b/layout", below=root)
    with pytest.raises(RegistryError, match=r"cannot write to `oci:"):
        layout.put_manifest("1.0", INDEX)
    with pytest.raises(RegistryError, match=r"cannot read `oci:"):
        layout.find("1.0")
    assert [] == list(outside.iterdir())


def test_way_is_made(tmp_path: Path) -> None:
    """The folders between what is trusted and the layout are made with it."""
    layout = OciLayout(tmp_path / "a/b/layout", below=tmp_path)
    layout.put_manifest("1.0", INDEX)
    assert INDEX.digest == OciLayout(tmp_path / "a/b/layout").find("1.0")


def test_linked_index(layout: OciLayout, tmp_path: Path) -> None:
    """An index.json that is a link is not read, and putting a tag replaces the link, not what it leads to."""
    other = tmp_path / "other"
    other.write_text('{"schemaVersion":2,"manifests":[]}')
    (layout.path / "index.json").unlink()
    (layout.path / "index.json").symlink_to(other)
    assert layout.roots() == ()
    layout.put_manifest("1.0", INDEX)
    assert other.read_text() == '{"schemaVersion":2,"manifests":[]}'
    assert list(layout.tags()) == ["1.0"]


def test_pipe_in_the_place_of_a_blob(layout: OciLayout) -> None:
    """A named pipe makes nobody wait."""
    os.mkfifo(blob_path(layout, b"pipe"))
    assert not layout.has_blob(digest_bytes(b"pipe"))


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"manifests":7}', "[" * 100_000, '{"schemaVersion":2,"manifests":[1]}']
)
def test_broken_index(layout: OciLayout, text: str) -> None:
    """An index.json that is none is named, with what to do."""
    (layout.path / "index.json").write_text(text)
    with pytest.raises(RegistryError, match=r"index\.json cannot be read"):
        layout.roots()


@pytest.mark.parametrize("digest", ["sha256:../../../etc/passwd", "sha256:" + "A" * 64, "md5:1", ""])
def test_illegal_digest_in_the_index(layout: OciLayout, digest: str) -> None:
    """A digest in index.json that is none never becomes a path."""
    entry = {"mediaType": OCI_INDEX, "digest": digest, "size": 1}
    (layout.path / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    with pytest.raises(RegistryError, match=r"index\.json cannot be read"):
        layout.find("1.0")


def test_changed_content(layout: OciLayout) -> None:
    """Content that is not what its name says is refused."""
    blob_path(layout, CONTENT).write_bytes(CONTENT.replace(b"2", b"3"))
    with pytest.raises(RegistryError, match="has content with the digest"):
        layout.fetch_manifest("1.0")


def test_declared_as_something_else(layout: OciLayout) -> None:
    """An index that index.json calls a manifest is refused."""
    path = layout.path / "index.json"
    path.write_text(path.read_text().replace(f'"{OCI_INDEX}","digest"', f'"{OCI_MANIFEST}","digest"'))
    with pytest.raises(RegistryError, match="cannot be read"):
        layout.fetch_manifest("1.0")


def test_no_room(tmp_path: Path) -> None:
    """A place that cannot be written to is named, without a traceback."""
    (tmp_path / "file").write_text("")
    with pytest.raises(RegistryError, match="cannot write to `oci:"):
        OciLayout(tmp_path / "file" / "layout").put_manifest("1.0", INDEX)


def test_mount_of_something_else(layout: OciLayout) -> None:
    """Only another layout can be linked to."""
    assert not layout.mount_blob(Descriptor(media_type="x", digest=INDEX.digest, size=1), object())


def test_publish_removes_what_was_before(layout: OciLayout) -> None:
    """An owner has one entry; what nobody reaches after it was replaced is gone."""
    other = Manifest(media_type=OCI_INDEX, content=CONTENT + b"\n")
    clean = OciLayout(layout.path.with_name("clean"))
    for manifest in (INDEX, other):
        clean.put_manifest(manifest.digest, manifest)
        clean.publish("1.0", manifest.digest, owner="api")
    assert (["1.0"], other.digest) == (list(clean.tags()), clean.find("1.0"))
    assert not clean.has_blob(INDEX.digest)


def test_publish_beside_others(layout: OciLayout) -> None:
    """Where somebody else has an entry in the layout, nothing is removed."""
    other = Manifest(media_type=OCI_INDEX, content=CONTENT + b"\n")
    layout.put_manifest(other.digest, other)
    layout.publish("2.0", other.digest, owner="api")
    assert ["1.0", "2.0"] == list(layout.tags())
    assert layout.has_blob(INDEX.digest)


def test_publish_of_nothing(layout: OciLayout) -> None:
    """What is not in the layout cannot be published."""
    with pytest.raises(RegistryError, match="no manifest"):
        layout.publish("2.0", digest_bytes(b"gone"), owner="api")


def test_only_the_tags_that_are_kept_stay(tmp_path: Path) -> None:
    """With all that they lead to, and what has no digest for a name."""
    layout = OciLayout(tmp_path / "layout")
    first, second = put_sample(layout, make_sample("linux/amd64")), put_sample(layout, make_sample("linux/arm64"))
    layout.put_manifest("one", first)
    layout.put_manifest("two", second)
    (layout.path / "blobs/sha256/being-written").touch()
    layout.keep_only(frozenset({"two", "three"}))
    assert ["two"] == list(layout.tags())
    assert (None, second) == (layout.fetch_manifest(first.digest), layout.fetch_manifest("two"))
    assert 5 == len(list((layout.path / "blobs/sha256").iterdir()))
    layout.keep_only(frozenset())
    assert ["being-written"] == [path.name for path in (layout.path / "blobs/sha256").iterdir()]


def test_an_index_is_taken_over_whole(tmp_path: Path) -> None:
    """By hard links, also in the place of files that are not what they say."""
    origin, target = OciLayout(tmp_path / "a"), OciLayout(tmp_path / "b")
    index = put_sample(origin, make_sample("linux/amd64"), make_sample("linux/arm64"))
    target.take(index.digest, origin)
    for path in (target.path / "blobs/sha256").iterdir():
        path.unlink()
        path.write_bytes(b"x")
    target.take(index.digest, origin)
    files = {path.name: path.stat().st_ino for path in (origin.path / "blobs/sha256").iterdir()}
    assert files == {path.name: path.stat().st_ino for path in (target.path / "blobs/sha256").iterdir()}
    assert index == target.fetch_manifest(index.digest)


def test_what_is_not_there_is_not_taken_over(tmp_path: Path) -> None:
    """And nothing is made of it."""
    with pytest.raises(RegistryError, match="no manifest"):
        OciLayout(tmp_path / "b").take(INDEX.digest, OciLayout(tmp_path / "a"))
    assert [] == list(tmp_path.iterdir())


def test_what_a_killed_process_was_writing_is_removed_with_what_nobody_reaches(tmp_path: Path) -> None:
    """Beside the blobs and beside index.json."""
    layout = OciLayout(tmp_path / "layout")
    index = put_sample(layout, make_sample())
    layout.publish("1.0", index.digest, owner="api")
    for place in ("", "blobs/sha256"):
        (layout.path / place / ".index.json.0123456789abcdef.partial").touch()
    layout.publish("1.0", index.digest, owner="api")
    assert [] == list(layout.path.rglob(".*"))
    assert index == layout.fetch_manifest("1.0")
