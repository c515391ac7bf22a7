"""What of `.orchestrate/state` is believed: content by its hash, and anything only where this machine made it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from orchestrator.oci.digest import Digest
from orchestrator.oci.manifest import Manifest
from orchestrator.state.layout import OciLayout
from orchestrator.state.local import ProvenLayout, begin_state, hash_state, is_made_here, is_there, mend_state
from tests.contract.registry_sample import make_sample, put_sample

STATE = ".orchestrate/state"
OK, LAST = "ok-" + "0" * 64, "at-" + "0" * 64


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with a state of its own."""
    folder = tmp_path / "project"
    begin_state(folder)
    return folder


def put(root: Path, name: str = "api") -> tuple[OciLayout, Manifest]:
    """The layout of an image, with an index under two names."""
    layout = OciLayout(root / STATE / name, below=root)
    index = put_sample(layout, make_sample("linux/amd64"), make_sample("linux/arm64"))
    for tag in (OK, LAST):
        layout.put_manifest(tag, index)
    return layout, index


def blobs(layout: OciLayout) -> list[Path]:
    """The files of its blobs, the largest first."""
    return sorted((layout.path / "blobs/sha256").iterdir(), key=lambda path: -path.stat().st_size)


def proven(root: Path, layout: OciLayout) -> ProvenLayout:
    """The layout as a plan reads it."""
    return ProvenLayout(layout, hash_state(root).get(layout.path.name, frozenset()))


def test_what_was_made_here_is_ours(root: Path) -> None:
    """Whatever is put into it."""
    put(root)
    assert (True, True) == (is_there(root), is_made_here(root))


def test_nothing_is_not_ours(tmp_path: Path) -> None:
    """Nor there."""
    assert (False, False) == (is_there(tmp_path), is_made_here(tmp_path))


@pytest.mark.parametrize("how", ["copied", "linked", "unmarked", "replaced"])
def test_what_came_from_elsewhere_is_not_ours(root: Path, tmp_path: Path, how: str) -> None:
    """A copy has inodes of its own, and no link is followed."""
    state, other = root / STATE, tmp_path / "other"
    match how:
        case "copied":
            state.rename(other)
            shutil.copytree(other, state)
        case "linked":
            state.rename(other)
            state.symlink_to(other)
        case "unmarked":
            (state / "made-here").unlink()
        case _:
            (state / "made-here").write_text("1 2\n")
    assert (True, False) == (is_there(root), is_made_here(root))
    begin_state(root)
    assert (True, ["made-here"]) == (is_made_here(root), [path.name for path in state.iterdir()])


def test_a_whole_index_stands(root: Path) -> None:
    """With its digest, by its name and by its digest."""
    layout, index = put(root)
    store = proven(root, layout)
    assert [index, index] == [store.fetch_manifest(OK), store.fetch_manifest(index.digest)]
    assert index.digest == store.find(OK)
    assert store.find("ok-" + "1" * 64) is None


@pytest.mark.parametrize("how", ["damaged", "gone", "longer"])
@pytest.mark.parametrize("which", range(7))
def test_an_index_stands_only_with_all_of_its_content(root: Path, how: str, which: int) -> None:
    """Whichever file of it is not there any more, or not what it says; mending removes the rest and nothing else."""
    layout, index = put(root)
    other, standing = put(root, "other")
    files = blobs(layout)
    assert 7 == len(files)
    content = files[which].read_bytes()
    files[which].unlink()
    if how != "gone":
        files[which].write_bytes(content + b"x" if how == "longer" else bytes([content[0] ^ 1]) + content[1:])
    assert proven(root, layout).fetch_manifest(OK) is None
    mend_state(root, hash_state(root))
    assert [] == list(layout.tags())
    assert [] == blobs(layout)
    assert standing == proven(root, other).fetch_manifest(OK)
    again = put(root)[1]
    assert index == again == proven(root, layout).fetch_manifest(OK)


def test_the_last_index_is_read_though_it_lacks_something(root: Path) -> None:
    """It says what the image was made from; nothing is taken from it."""
    layout, index = put(root)
    blobs(layout)[-1].unlink()
    store = proven(root, layout)
    assert (index, False) == (store.fetch_manifest(LAST), store.is_whole(LAST))


def test_a_layout_that_cannot_be_read_is_removed(root: Path) -> None:
    """It is made again by what is built."""
    layout, _ = put(root)
    (layout.path / "index.json").write_text("{")
    assert proven(root, layout).fetch_manifest(LAST) is None
    mend_state(root, hash_state(root))
    assert not layout.path.exists()


def test_names_outside_of_layouts_prove_nothing(root: Path) -> None:
    """Only a file among the blobs of a layout counts."""
    layout, index = put(root)
    blob = blobs(layout)[-1]
    (root / STATE / blob.name).write_bytes(blob.read_bytes())
    (layout.path / blob.name).write_bytes(blob.read_bytes())
    blob.unlink()
    assert blob.name not in hash_state(root)["api"]
    assert Digest(index.digest).removeprefix("sha256:") in hash_state(root)["api"]
