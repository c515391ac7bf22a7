from __future__ import annotations

import hashlib
import os
import socket
import stat
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.dockerfile.ignore import Fate, parse_ignore
from orchestrator.errors import PlanBlockedError, UsageError
from orchestrator.oci.digest import Digest
from orchestrator.plan.context import EMPTY, Entry, Kind, Listing
from orchestrator.state.content import ChangedError, look_at, read_file, read_other
from orchestrator.state.context import Contexts, walk
from orchestrator.state.statcache import open_stat_cache
from tests.unit.state.trees import ahead, believed, forge, read_context, write_files


def paths(listing: Listing) -> list[str]:
    """The paths of all entries, in order."""
    return [entry.path for entry in listing.entries]


def sha256(text: str) -> str:
    """What a file with this text has as its content."""
    return hashlib.sha256(text.encode()).hexdigest()


def test_entries_are_what_they_are(tmp_path: Path) -> None:
    """Links are not followed, and the context's own folder is no entry."""
    root = write_files(tmp_path / "context", {"folder/file": "text"})
    (root / "folder/file").chmod(0o755)
    (root / "folder").chmod(0o700)
    (root / "link").symlink_to("folder")
    (root / "dangling").symlink_to("../nowhere")
    os.mkfifo(root / "pipe", 0o640)

    assert [
        Entry(path="dangling", kind=Kind.LINK, content="../nowhere"),
        Entry(path="folder", kind=Kind.FOLDER, mode=0o700),
        Entry(path="folder/file", kind=Kind.FILE, mode=0o755, content=sha256("text")),
        Entry(path="link", kind=Kind.LINK, content="folder"),
        Entry(path="pipe", kind=Kind.FIFO, mode=0o640),
    ] == list(read_context(tmp_path, root).entries)


def test_a_socket_is_an_empty_file(tmp_path: Path) -> None:
    """That is what the engine makes of it."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"{folder}/s")
        Path(folder, "s").chmod(0o755)
        listing = read_context(tmp_path, Path(folder))

    assert [Entry(path="s", kind=Kind.FILE, mode=0o755, content=EMPTY)] == list(listing.entries)


def test_entries_are_ordered_by_the_bytes_of_their_paths(tmp_path: Path) -> None:
    """Not folder by folder: `a-b` comes between `a` and `a/b`."""
    root = write_files(tmp_path / "context", {"a/b": "", "a-b": "", "a.b": "", "a0": "", "B": "", "é": ""})

    assert ["B", "a", "a-b", "a.b", "a/b", "a0", "é"] == paths(read_context(tmp_path, root))


def test_names_need_not_be_text(tmp_path: Path) -> None:
    """Nor need links lead to text."""
    root = os.fsencode(tmp_path / "context")
    Path(os.fsdecode(root)).mkdir()
    Path(os.fsdecode(root + b"/\xff")).write_text("text")
    Path(os.fsdecode(root + b"/new\nline")).symlink_to(os.fsdecode(b"\xfe"))

    assert [
        Entry(path="new\nline", kind=Kind.LINK, content="\udcfe"),
        Entry(path="\udcff", kind=Kind.FILE, mode=0o644, content=sha256("text")),
    ] == [*read_context(tmp_path, Path(os.fsdecode(root))).entries]


def test_what_is_ignored_is_not_there(tmp_path: Path) -> None:
    """But for folders of which a part is not; those have their own mode."""
    root = write_files(tmp_path / "context", {"a/b/keep": "", "a/c": "", "d": "", "e/f": ""})
    listing = read_context(tmp_path, root, "*\n!a/b/keep\n")

    assert ["a", "a/b", "a/b/keep"] == paths(listing)


def test_a_file_that_the_engine_empties_is_empty(tmp_path: Path) -> None:
    """Its rules keep it in the tree and refuse its content."""
    root = write_files(tmp_path / "context", {"foo/x": "text"})

    assert [("foo", ""), ("foo/x", EMPTY)] == [
        (entry.path, entry.content) for entry in read_context(tmp_path, root, "foo\n!foo/x\n**/foo\n").entries
    ]


def test_a_work_tree_of_git_is_listed_with_its_git(tmp_path: Path) -> None:
    """As the engine takes it, unless it is ignored."""
    subprocess.run(["git", "init", "--quiet", tmp_path / "context"], check=True)

    assert ".git/HEAD" in paths(read_context(tmp_path, tmp_path / "context"))
    assert [] == paths(read_context(tmp_path, tmp_path / "context", ".git"))


def test_the_files_of_runs_are_no_part_of_a_context(tmp_path: Path) -> None:
    """Those of this project: another one's are files as any."""
    root = write_files(tmp_path, {"a": "", "other/.orchestrate/b": ""})
    listing = read_context(tmp_path, root)

    assert (tmp_path / ".orchestrate/stat-cache").exists()
    assert ["a", "other", "other/.orchestrate", "other/.orchestrate/b"] == paths(listing)
    assert listing.digest == read_context(tmp_path, root).digest


def test_the_context_itself_may_be_a_link(tmp_path: Path) -> None:
    """The engine follows that one."""
    root = write_files(tmp_path / "context", {"a": ""})
    (tmp_path / "link").symlink_to("context")

    assert read_context(tmp_path, root).digest == read_context(tmp_path, tmp_path / "link").digest


@pytest.mark.parametrize("name", ["missing", "file"])
def test_a_context_that_is_no_folder_is_an_error(name: str, tmp_path: Path) -> None:
    """Not an empty context."""
    write_files(tmp_path, {"file": ""})
    with pytest.raises(UsageError, match=f"/{name}` cannot be read: "):
        read_context(tmp_path, tmp_path / name)


@pytest.fixture
def unprivileged(tmp_path: Path) -> Path:
    """Makes this process one that cannot read everything; returns a folder that it can."""
    if os.geteuid() != 0:
        return tmp_path
    for folder in (tmp_path, *tmp_path.parents):
        if not folder.stat().st_mode & 0o001:
            folder.chmod(0o755)
    return tmp_path


def read_unprivileged(project: Path, root: Path, ignore: str = "") -> Listing:
    """A run of somebody who is not root."""
    if os.geteuid() != 0:
        return read_context(project, root, ignore)
    os.seteuid(65534)
    try:
        return read_context(project, root, ignore)
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("name", ["folder/file", "folder"])
def test_what_cannot_be_read_is_named(name: str, unprivileged: Path) -> None:
    """The engine would send an empty file."""
    root = write_files(unprivileged / "context", {"folder/file": "", "b": ""})
    (root / name).chmod(0)
    with pytest.raises(UsageError) as caught:
        read_unprivileged(unprivileged, root)

    assert f"`{root / name}` cannot be read: permission denied" == caught.value.message
    assert ".dockerignore" in caught.value.hints[0]
    assert ["b"] == paths(read_unprivileged(unprivileged, root, "folder\n!folder/missing"))
    (root / name).chmod(0o700)


def test_a_file_that_changes_while_it_is_read_is_noticed(tmp_path: Path) -> None:
    """Whatever was read of it is neither the old content nor the new one."""
    file = tmp_path / "file"
    file.write_text("a" * 1_000_000)

    def read(descriptor: int, length: int) -> bytes:
        with file.open("r+") as opened:
            opened.write("b")
        return os.read(descriptor, length)

    before = file.stat()
    os.utime(file, (before.st_atime, before.st_mtime - 10))
    with pytest.raises(ChangedError):
        read_file(os.fsencode(file), read)


@pytest.mark.parametrize("kind", ["growing", "shrinking"])
def test_a_file_of_another_length_than_it_had_is_noticed(kind: str, tmp_path: Path) -> None:
    """However fast it grows, it is not read for ever."""
    file = tmp_path / "file"
    file.write_text("a" * 1000)

    with pytest.raises(ChangedError):
        read_file(os.fsencode(file), lambda _, length: b"a" * length if kind == "growing" else b"")


@pytest.mark.parametrize("kind", ["missing", "link", "pipe", "folder"])
def test_what_is_no_file_any_more_is_noticed(kind: str, tmp_path: Path) -> None:
    """It was one when its folder was listed; a pipe does not make us wait."""
    path = tmp_path / "path"
    if kind == "link":
        path.symlink_to("/etc/hostname")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    with pytest.raises(ChangedError):
        read_file(os.fsencode(path))


def test_an_entry_that_is_gone_is_noticed(tmp_path: Path) -> None:
    """Whether it is before or after it was looked at."""
    (tmp_path / "link").symlink_to("target")
    with os.scandir(os.fsencode(tmp_path)) as listed:
        (entry,) = listed
    entry.stat(follow_symlinks=False)
    with os.scandir(os.fsencode(tmp_path)) as listed:
        (other,) = listed
    (tmp_path / "link").unlink()

    with pytest.raises(ChangedError):
        read_other(entry, Fate.KEPT)
    with pytest.raises(ChangedError):
        look_at([other])


def test_something_that_is_a_file_again_is_noticed(tmp_path: Path) -> None:
    """It was none when its folder was listed."""
    (tmp_path / "file").touch()
    with os.scandir(os.fsencode(tmp_path)) as listed:
        (entry,) = listed

    with pytest.raises(ChangedError):
        read_other(entry, Fate.KEPT)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices")
def test_a_device_is_its_numbers(tmp_path: Path) -> None:
    """The engine makes a character device of a block device, so they are one kind."""
    root = write_files(tmp_path / "context", {})
    root.mkdir()
    os.mknod(root / "block", 0o640 | stat.S_IFBLK, os.makedev(7, 300))

    assert [Entry(path="block", kind=Kind.DEVICE, mode=0o640, content="7:300")] == list(
        read_context(tmp_path, root).entries
    )


def test_a_file_that_does_not_stop_changing_is_named(tmp_path: Path) -> None:
    """The kernel's files are never of the length that they say."""
    root = Path("/proc/sys/kernel/random")
    with pytest.raises(PlanBlockedError) as caught:
        read_context(tmp_path, root, "*\n!uuid\n")

    assert f"`{root}/uuid` changes while it is read" == caught.value.message
    assert ".dockerignore" in caught.value.hints[0]


def test_a_context_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody's whole disk is no context that anybody meant."""
    monkeypatch.setattr("orchestrator.state.context.MAX_ENTRIES", 2)
    root = write_files(tmp_path / "context", {"a": "", "b": "", "c": ""})

    with pytest.raises(UsageError, match="has more than 2 files"):
        read_context(tmp_path, root)
    assert ["a"] == paths(read_context(tmp_path, root, "[bc]"))


def test_a_context_that_is_shared_is_walked_once(tmp_path: Path) -> None:
    """For each set of rules: a change in between is not seen, so all images of a plan see the same."""
    root = write_files(tmp_path / "context", {"a": "", "b": ""})
    with open_stat_cache(tmp_path, ahead(60)) as cache:
        contexts = Contexts(cache)
        first = contexts.read(root, parse_ignore("# all"))
        other = contexts.read(root, parse_ignore("a"))
        (root / "c").touch()

        assert first is contexts.read(root, parse_ignore(""))
        assert (["a", "b"], ["b"]) == (paths(first), paths(other))


def test_folders_of_any_depth_are_walked(tmp_path: Path) -> None:
    """As deep as the operating system has them."""
    root = tmp_path / "context"
    depth = (3500 - len(str(root))) // 2
    (root / "/".join(["d"] * 500)).mkdir(parents=True)
    here = os.open(root / "/".join(["d"] * 500), os.O_RDONLY)
    for _ in range(depth - 500):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)

    assert depth == len(paths(read_context(tmp_path, root)))
    remove_deep(root)


def remove_deep(root: Path) -> None:
    """Deeper than what pytest removes without recursing too far."""
    subprocess.run(["rm", "-r", root], check=True)


names = st.sampled_from(["a", "b", "a-b", "é", "x y", "new\nline", ".hidden"])
trees = st.dictionaries(
    st.lists(names, min_size=1, max_size=3).map("/".join), st.sampled_from(["", "1", "2"]), min_size=1, max_size=6
).filter(lambda files: not any(f"{one}/" == other[: len(one) + 1] for one in files for other in files))


def digest_of(files: Mapping[str, str], change: Callable[[Path], object] = lambda _: None, ignore: str = "") -> Digest:
    """The digest of a tree after a change, somewhere else each time."""
    with tempfile.TemporaryDirectory() as folder:
        root = write_files(Path(folder) / "context", files)
        change(root)
        return read_context(Path(folder), root, ignore).digest


@given(trees, st.randoms(use_true_random=False))
def test_the_order_of_creation_does_not_count(files: dict[str, str], random: st.random.Random) -> None:  # type: ignore[name-defined]  # hypothesis' own
    """Nor does the place."""
    shuffled = list(files.items())
    random.shuffle(shuffled)

    assert digest_of(files) == digest_of(dict(shuffled))


@given(trees, st.integers(0, 2**31))
def test_times_do_not_count(files: dict[str, str], seconds: int) -> None:
    """Of files and of folders."""

    def set_times(root: Path) -> None:
        for path in root.rglob("*"):
            os.utime(path, (seconds, seconds))

    assert digest_of(files) == digest_of(files, set_times)


@given(trees, st.sampled_from([0o000, 0o002, 0o020, 0o022]))
def test_the_umask_of_whoever_cloned_does_not_count(files: dict[str, str], umask: int) -> None:
    """It decides who else may write."""

    def widen(root: Path) -> None:
        for path in root.rglob("*"):
            path.chmod(path.stat().st_mode & ~0o022 | umask)

    assert digest_of(files) == digest_of(files, widen)


@given(trees, st.sampled_from(["1", "2"]))
def test_ignored_files_do_not_count(files: dict[str, str], text: str) -> None:
    """Whether they are there, what is in them, and in what folder."""

    def add(root: Path) -> None:
        write_files(root, {"ignored/deep/file": text, "b.log": text})

    assert digest_of(files) == digest_of(files, add, "ignored\n**/*.log\n")


def each_file(change: Callable[[Path], object]) -> Callable[[Path], object]:
    """A change of the first file of a tree."""
    return lambda root: change(min(path for path in root.rglob("*") if path.is_file()))


def turn_into_a_link(path: Path) -> None:
    """What it leads to has the same content."""
    path.rename(path.with_name("target"))
    path.symlink_to("target")


@given(
    trees,
    st.sampled_from(
        [
            each_file(lambda path: path.write_text(path.read_text() + "more")),
            each_file(lambda path: path.write_text("other")),
            each_file(lambda path: path.chmod(0o755)),
            each_file(lambda path: path.chmod(0o600)),
            each_file(lambda path: path.rename(path.with_name("renamed"))),
            each_file(Path.unlink),
            each_file(turn_into_a_link),
            lambda root: (root / "another").touch(),
            lambda root: (root / "empty").mkdir(),
            lambda root: (root / "link").symlink_to("a"),
        ]
    ),
)
def test_content_mode_name_and_kind_count(files: dict[str, str], change: Callable[[Path], object]) -> None:
    """Each of them, in whatever tree."""
    assert digest_of(files) != digest_of(files, change)


@given(st.sampled_from(["a", "b/c", "/a", "é"]), st.sampled_from(["d", "../a", "a/"]))
def test_where_a_link_leads_counts(one: str, other: str) -> None:
    """Even if nothing is there."""
    targets = (
        digest_of({"a": ""}, lambda root, target=target: (root / "link").symlink_to(target))  # type: ignore[misc]  # a default binds it
        for target in (one, other)
    )

    assert 2 == len(set(targets))


@given(trees, trees)
def test_a_cached_walk_finds_what_a_first_one_finds(before: dict[str, str], after: dict[str, str]) -> None:
    """Whatever became of the tree in between."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        root = write_files(project / "context", before)
        read_context(project, root)
        for path in sorted(root.rglob("*"), reverse=True):
            path.unlink() if path.is_file() else path.rmdir()
        write_files(root, after)

        assert digest_of(after) == read_context(project, root).digest


def test_a_whole_folder_is_known_by_its_names_and_stamps(tmp_path: Path) -> None:
    """Rules that changed, and with them what is kept of it, are asked again."""
    root = write_files(tmp_path / "context", {"a": "", "b.log": "", "c/d.log": ""})
    read_context(tmp_path, root)
    forge(tmp_path, root)

    assert {"a"} == believed(read_context(tmp_path, root, "**/*.log"))
    assert ["a", "c"] == paths(read_context(tmp_path, root, "**/*.log"))
    assert ["b.log", "c", "c/d.log"] == paths(walk_again(tmp_path, root, "a"))


def walk_again(project: Path, root: Path, ignore: str) -> Listing:
    """The second of two walks of one run."""
    with open_stat_cache(project, ahead(60)) as cache:
        walk(root, parse_ignore(""), cache)
        return walk(root, parse_ignore(ignore), cache)
