"""Manifests are kept by digest, and what is kept is never believed."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from orchestrator.oci.digest import Digest, digest_bytes
from orchestrator.oci.manifest import DOCKER_LIST, OCI_INDEX, ImageIndex, Manifest
from orchestrator.state.manifests import FILE, MAX_BYTES, MAX_MANIFESTS, MAX_ONE, open_manifest_cache
from orchestrator.state.workspace import CACHE, NAME


def make(name: str) -> Manifest:
    """An index like no other, which says what it is."""
    fields = {**msgspec.to_builtins(ImageIndex(schema_version=2, manifests=())), "mediaType": OCI_INDEX, "name": name}
    return Manifest(media_type=OCI_INDEX, content=msgspec.json.encode(fields))


ONE, TWO = make("one"), make("two")


def keep(root: Path, *manifests: Manifest) -> None:
    """Keep them in a run of their own."""
    with open_manifest_cache(root) as cache:
        for manifest in manifests:
            cache.keep(manifest)


def find(root: Path, digest: Digest) -> Manifest | None:
    """What another run finds."""
    with open_manifest_cache(root) as cache:
        return cache.find(digest)


def path_of(root: Path) -> Path:
    """The file of the cache."""
    return root / NAME / CACHE / FILE


def write(root: Path, content: object) -> None:
    """Put a file in the place of the cache."""
    path_of(root).parent.mkdir(parents=True)
    path_of(root).write_bytes(msgspec.msgpack.encode(content))


def test_manifests_are_found_by_their_digest(tmp_path: Path) -> None:
    """In the run that kept them and in later ones; git does not see them."""
    with open_manifest_cache(tmp_path) as cache:
        cache.keep(ONE)
        assert ONE == cache.find(ONE.digest)
    assert (ONE, None) == (find(tmp_path, ONE.digest), find(tmp_path, TWO.digest))
    assert "*\n" == (tmp_path / NAME / ".gitignore").read_text()


def test_a_cache_that_began_empty_says_so(tmp_path: Path) -> None:
    """Whatever is kept meanwhile."""
    with open_manifest_cache(tmp_path) as cache:
        cache.keep(ONE)
        assert cache.began_empty
    with open_manifest_cache(tmp_path) as cache:
        assert not cache.began_empty


def test_what_has_another_digest_is_not_there(tmp_path: Path) -> None:
    """Bytes that somebody has put under the digest of others."""
    write(tmp_path, {"version": 1, "manifests": {ONE.digest: TWO.content}})
    assert None is find(tmp_path, ONE.digest)


def test_what_is_no_manifest_is_not_there(tmp_path: Path) -> None:
    """Though its digest is right."""
    content = b'{"schemaVersion":2}'
    write(tmp_path, {"version": 1, "manifests": {digest_bytes(content): content}})
    assert None is find(tmp_path, digest_bytes(content))


def test_a_type_that_its_bytes_do_not_say_is_not_kept(tmp_path: Path) -> None:
    """It came with the answer, and the next reader would take it for another."""
    nameless = Manifest(media_type=DOCKER_LIST, content=b'{"schemaVersion":2,"manifests":[]}')
    keep(tmp_path, nameless)
    assert None is find(tmp_path, nameless.digest)


def test_large_ones_are_not_kept(tmp_path: Path) -> None:
    """They would push all others out."""
    large = make("x" * MAX_ONE)
    keep(tmp_path, large)
    assert None is find(tmp_path, large.digest)


def test_those_stay_that_were_used_last(tmp_path: Path) -> None:
    """A project that is built for years does not fill its disk."""
    keep(tmp_path, ONE, TWO)
    with open_manifest_cache(tmp_path) as cache:
        cache.find(ONE.digest)
        for number in range(MAX_MANIFESTS - 1):
            cache.keep(make(str(number)))
    assert (ONE, None) == (find(tmp_path, ONE.digest), find(tmp_path, TWO.digest))


def test_the_file_stays_small(tmp_path: Path) -> None:
    """However large what is kept."""
    keep(tmp_path, *(make(f"{number:03d}" + "x" * (MAX_ONE - 300)) for number in range(300)))
    assert path_of(tmp_path).stat().st_size <= MAX_BYTES
    keep(tmp_path, ONE)
    assert ONE == find(tmp_path, ONE.digest)


def test_nothing_new_writes_nothing(tmp_path: Path) -> None:
    """The usual case."""
    keep(tmp_path, ONE)
    before = path_of(tmp_path).stat().st_ino
    find(tmp_path, ONE.digest)
    assert before == path_of(tmp_path).stat().st_ino


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"\x91" * 100_000,
        msgspec.msgpack.encode({"version": 2, "manifests": {ONE.digest: ONE.content}}),
        msgspec.msgpack.encode({"version": 1, "manifests": [ONE.content]}),
        msgspec.msgpack.encode({"version": 1, "manifests": {ONE.digest: ONE.content}})[:-1],
    ],
    ids=range(6),
)
def test_what_cannot_be_read_is_as_if_it_were_not_there(tmp_path: Path, content: bytes) -> None:
    """And is written anew."""
    path_of(tmp_path).parent.mkdir(parents=True)
    path_of(tmp_path).write_bytes(content)
    assert None is find(tmp_path, ONE.digest)
    keep(tmp_path, ONE)
    assert ONE == find(tmp_path, ONE.digest)


@pytest.mark.parametrize("linked", [NAME, f"{NAME}/{CACHE}", f"{NAME}/{CACHE}/{FILE}"])
def test_links_are_not_followed(tmp_path: Path, linked: str) -> None:
    """Neither for reading nor for writing: a repository may bring them."""
    other, here = tmp_path / "other", tmp_path / "here"
    keep(other, ONE)
    (here / linked).parent.mkdir(parents=True)
    (here / linked).symlink_to(other / linked)
    assert None is find(here, ONE.digest)
    keep(here, TWO)
    assert (ONE, None) == (find(other, ONE.digest), find(other, TWO.digest))


def test_a_file_in_the_place_of_the_folder_keeps_nothing(tmp_path: Path) -> None:
    """And nothing fails for that."""
    (tmp_path / NAME).mkdir()
    (tmp_path / NAME / CACHE).write_text("mine")
    keep(tmp_path, ONE)
    assert (None, "mine") == (find(tmp_path, ONE.digest), (tmp_path / NAME / CACHE).read_text())
