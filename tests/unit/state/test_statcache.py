"""A cache that says of every file what is not true of any: where it is believed, it shows."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.dockerfile.ignore import parse_ignore
from orchestrator.state.clock import Clock, Reading
from orchestrator.state.context import walk
from orchestrator.state.statcache import MARGIN, SLACK, Folder, HeldCache, encode_stamps, make_folder, open_stat_cache
from tests.unit.state.trees import LIE, SECOND, ahead, believed, forge, kept_files, read_context, write_files

FILES = {"a": "content of a", "b": "content of b", "folder/c": "content of c"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A context of which everything is kept, and nothing of it is true."""
    context = write_files(tmp_path / "context", FILES)
    read_context(tmp_path, context)
    forge(tmp_path, context)
    return context


def edit(file: Path) -> None:
    """Another content of the same size, in place."""
    with file.open("r+b") as opened:
        opened.write(b"C")


def edit_and_restore_times(file: Path) -> None:
    """As `edit`, with the mtime that was there before."""
    before = file.stat()
    edit(file)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def rename_over(file: Path) -> None:
    """Another file of the same size and times takes the name."""
    before = file.stat()
    other = file.with_name("other")
    other.write_text("Content of a")
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.rename(file)


def edit_through_a_link(file: Path) -> None:
    """The same file is changed under another name, out of the context."""
    other = file.parent.parent / "elsewhere"
    other.hardlink_to(file)
    edit_and_restore_times(other)
    other.unlink()


def swap(file: Path) -> None:
    """Two files change places; their contents, sizes and mtimes stay what they are."""
    other = file.with_name("b")
    file.rename(file.with_name("x"))
    other.rename(file)
    file.with_name("x").rename(other)


def make_executable(file: Path) -> None:
    """The content stays."""
    file.chmod(0o755)


def copy_back(file: Path) -> None:
    """Removed, and written again with the times of a backup."""
    backup = file.parent.parent / "backup"
    shutil.copy2(file, backup)
    file.unlink()
    shutil.copy2(backup, file)
    edit_and_restore_times(file)


def replace_by_a_link(file: Path) -> None:
    """What it leads to has the content that the file had."""
    target = file.parent.parent / "target"
    file.rename(target)
    file.symlink_to("../target")


CHANGES = (
    edit, edit_and_restore_times, rename_over, edit_through_a_link, swap, make_executable, copy_back, replace_by_a_link,
)  # fmt: skip


def test_unchanged_files_are_not_read_again(tmp_path: Path, root: Path) -> None:
    """Which is what the cache is for."""
    assert {"a", "b", "folder/c"} == believed(read_context(tmp_path, root))


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_file_is_read_again(change: Callable[[Path], None], tmp_path: Path, root: Path) -> None:
    """However its times and its size look afterwards; the others are not."""
    change(root / "a")
    found = believed(read_context(tmp_path, root))

    assert "a" not in found
    assert "folder/c" in found


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_within_the_same_tick_is_seen(change: Callable[[Path], None], tmp_path: Path) -> None:
    """Files that are as young as these are not kept at all, since a change might not show in their ctime."""
    context = write_files(tmp_path / "context", FILES)
    listings = [read_context(tmp_path, context, clock=ahead(0))]
    change(context / "a")
    listings.append(read_context(tmp_path, context, clock=ahead(0)))

    assert set() == kept_files(tmp_path, context, clock=ahead(0))
    assert listings[0].digest != listings[1].digest


@pytest.mark.parametrize("age", [-MARGIN, 0, MARGIN, MARGIN + 1])
def test_files_are_kept_when_the_clock_has_left_them_behind(age: int, tmp_path: Path) -> None:
    """By so much that no file system rounds it away."""
    context = write_files(tmp_path / "context", FILES)
    ages = {name: (context / name).stat().st_ctime_ns for name in FILES}

    def clock(folder: int) -> Reading:
        return Reading(device=os.fstat(folder).st_dev, now=max(ages.values()) + age, offset=0, boot="one")

    read_context(tmp_path, context, clock=clock)
    assert {name for name in FILES if ages[name] < max(ages.values()) + age - MARGIN} == kept_files(
        tmp_path, context, clock=clock
    )


def test_a_file_from_the_future_is_not_kept(tmp_path: Path) -> None:
    """Its mtime was set, or a clock was wrong: nothing that lies ahead can be told from what comes."""
    context = write_files(tmp_path / "context", FILES)
    os.utime(context / "a", (time.time() + 3600, time.time() + 3600))
    read_context(tmp_path, context)

    assert {"b", "folder/c"} == kept_files(tmp_path, context)


@pytest.mark.parametrize(
    ("clock", "expected"),
    [
        (ahead(61), {"a", "b", "folder/c"}),
        (ahead(61, offset=SLACK), {"a", "b", "folder/c"}),
        (ahead(61, offset=-SLACK), {"a", "b", "folder/c"}),
        (ahead(61, offset=SLACK + 1), set()),
        (ahead(61, offset=-SLACK - 1), set()),
        (ahead(-3600), set()),
        (ahead(61, boot="two"), set()),
        (lambda _: None, set()),
    ],
    ids=["later", "slack", "slack-back", "set-forward", "set-back", "behind", "another-boot", "no-clock"],
)
def test_all_is_forgotten_when_the_clock_was_set(clock: Clock, expected: set[str], tmp_path: Path, root: Path) -> None:
    """A clock that ticks through the same times again gives old ctimes to new contents."""
    assert expected == believed(read_context(tmp_path, root, clock=clock))


def test_small_steps_of_the_clock_add_up(tmp_path: Path, root: Path) -> None:
    """They are counted from when the oldest entry was kept, however often the cache is written in between."""
    steps = range(0, SLACK + SECOND, SLACK // 2)
    found = []
    for number, offset in enumerate(steps):
        write_files(root, {f"new-{number}": ""})  # something to write the cache for
        found.append("a" in believed(read_context(tmp_path, root, clock=ahead(61 + number, offset=-offset))))

    assert [offset <= SLACK for offset in steps] == found


def test_nothing_is_written_when_the_clock_was_set_meanwhile(tmp_path: Path) -> None:
    """What was read before the step cannot be told from what changes after it."""
    context = write_files(tmp_path / "context", FILES)
    offsets = iter([0, -SECOND])

    def clock(folder: int) -> Reading | None:
        return ahead(60, offset=next(offsets))(folder)

    read_context(tmp_path, context, clock=clock)

    assert set() == kept_files(tmp_path, context)


def test_files_of_another_file_system_are_not_kept(tmp_path: Path) -> None:
    """Its clock was not read, and another disk may stand in its place tomorrow."""
    context = write_files(tmp_path / "context", FILES)
    read_context(tmp_path, context, clock=ahead(60, device=1))

    assert set() == kept_files(tmp_path, context, clock=ahead(60, device=1))


def test_a_context_in_memory_is_read_each_time(tmp_path: Path) -> None:
    """A real file system other than that of the project."""
    memory = Path("/dev/shm")  # noqa: S108  # a file system, not a place for temporary files
    if not os.access(memory, os.W_OK) or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no other file system to write to")
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        context = write_files(Path(folder), FILES)
        read_context(tmp_path, context)
        forge(tmp_path, context)

        assert set() == believed(read_context(tmp_path, context))


def test_a_file_system_in_the_place_of_a_folder_is_another_one(tmp_path: Path, root: Path) -> None:
    """Inodes and times can be the same there: the device is part of the stamp."""
    with open_stat_cache(tmp_path, ahead(60)) as cache:
        known = cache.context(os.path.realpath(os.fsencode(root)))
        for prefix, folder in known.before.items():
            files = folder.by_name()
            for name, ((device, *others), _) in files.items():
                files[name] = ((device + 1, *others), LIE)  # type: ignore[assignment]  # as long as it was
            known.keep(prefix, remake(folder, files))

    assert set() == believed(read_context(tmp_path, root))


def remake(folder: Folder, files: dict[bytes, tuple[tuple[int, int, int, int, int, int], bytes]]) -> Folder:
    """A folder with other files."""
    return make_folder(folder.rules, files)


@pytest.mark.parametrize("content", [b"", b"no cache", b"\xc1" * 100, b"\x91" * 100_000, None])
def test_a_damaged_cache_is_an_empty_one(content: bytes | None, tmp_path: Path, root: Path) -> None:
    """And the next run writes a whole one again."""
    file = tmp_path / ".orchestrate/stat-cache"
    file.write_bytes(file.read_bytes()[:-1] if content is None else content)

    assert set() == believed(read_context(tmp_path, root))
    assert {"a", "b", "folder/c"} == kept_files(tmp_path, root)


@pytest.mark.parametrize("content", [b"", b"\xc1", b"\x93\x01\x00\x80", b"\x91" * 100_000])
def test_a_cache_of_another_form_is_an_empty_one(content: bytes, tmp_path: Path, root: Path) -> None:
    """Even if its checksum is right."""
    checksum = hashlib.blake2b(content, digest_size=16).digest()
    (tmp_path / ".orchestrate/stat-cache").write_bytes(checksum + content)

    assert set() == believed(read_context(tmp_path, root))


@pytest.mark.parametrize(
    "folder",
    [
        Folder(rules=b"", names=b"a", stamps=b"\xc1", tails=(LIE,)),
        Folder(rules=b"", names=b"a/b", stamps=encode_stamps([(0, 0, 0, 0, 0, 0)]), tails=(LIE,)),
        Folder(rules=b"", names=b"a", stamps=encode_stamps([]), tails=(LIE,)),
    ],
)
def test_a_folder_whose_parts_do_not_fit_is_not_known(folder: Folder, tmp_path: Path, root: Path) -> None:
    """Whoever wrote it."""
    with open_stat_cache(tmp_path, ahead(60)) as cache:
        cache.context(os.path.realpath(os.fsencode(root))).keep(b"", folder)

    assert {"folder/c"} == believed(read_context(tmp_path, root))


@given(st.data())
def test_no_flipped_bit_is_believed(data: st.DataObject) -> None:
    """Anything but the bytes that were written is taken for nothing."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        context = write_files(project / "context", FILES)
        read_context(project, context)
        forge(project, context)
        file = project / ".orchestrate/stat-cache"
        content = bytearray(file.read_bytes())
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        file.write_bytes(content)

        assert set() == believed(read_context(project, context))


def test_a_link_is_neither_read_nor_written_through(tmp_path: Path, root: Path) -> None:
    """A repository may bring any file of that name."""
    file, elsewhere = tmp_path / ".orchestrate/stat-cache", tmp_path / "elsewhere"
    file.rename(elsewhere)
    content = elsewhere.read_bytes()
    file.symlink_to(elsewhere)

    assert set() == believed(read_context(tmp_path, root))
    assert content == elsewhere.read_bytes()
    assert not file.is_symlink()


@pytest.mark.parametrize("kind", ["file", "link"])
def test_without_a_folder_to_write_to_all_is_read_each_time(kind: str, tmp_path: Path) -> None:
    """A plan does not need one."""
    context = write_files(tmp_path / "context", FILES)
    workspace = tmp_path / ".orchestrate"
    (tmp_path / "elsewhere").mkdir()
    if kind == "file":
        workspace.write_text("mine")
    else:
        workspace.symlink_to(tmp_path / "elsewhere")

    assert read_context(tmp_path, context).digest == read_context(tmp_path, context).digest
    assert [] == list((tmp_path / "elsewhere").iterdir())


def test_the_folder_is_hidden_from_git(tmp_path: Path) -> None:
    """A plan makes no tree dirty."""
    read_context(tmp_path, write_files(tmp_path / "context", FILES))

    assert "*\n" == (tmp_path / ".orchestrate/.gitignore").read_text()


def test_files_that_are_gone_are_dropped(tmp_path: Path, root: Path) -> None:
    """The cache does not grow with what was once there."""
    shutil.rmtree(root / "folder")
    (root / "b").unlink()
    read_context(tmp_path, root)

    assert {"a"} == kept_files(tmp_path, root)


def test_what_is_ignored_now_is_dropped(tmp_path: Path, root: Path) -> None:
    """It was not come by."""
    read_context(tmp_path, root, "folder")

    assert {"a", "b"} == kept_files(tmp_path, root)


def test_other_contexts_stay_as_long_as_they_are_folders(tmp_path: Path, root: Path) -> None:
    """A run need not be about all images."""
    others = [write_files(tmp_path / name, FILES) for name in ("one", "two")]
    for other in others:
        read_context(tmp_path, other)
    shutil.rmtree(others[1])
    write_files(root, {"new": ""})
    read_context(tmp_path, root)

    assert {"a", "b", "folder/c"} == kept_files(tmp_path, others[0])
    write_files(tmp_path / "two", {})
    (tmp_path / "two").mkdir()
    assert set() == kept_files(tmp_path, others[1])


def test_an_unchanged_context_leaves_the_file_alone(tmp_path: Path, root: Path) -> None:
    """Ten megabytes need not be written to say the same."""
    before = (tmp_path / ".orchestrate/stat-cache").stat()
    read_context(tmp_path, root)

    assert before.st_ino == (tmp_path / ".orchestrate/stat-cache").stat().st_ino


def test_a_run_that_fails_keeps_what_it_found(tmp_path: Path) -> None:
    """And what was known of what it did not come to."""
    context = write_files(tmp_path / "context", {"folder/c": "", "other/d": ""})
    read_context(tmp_path, context)
    with pytest.raises(OSError, match="stopped"):
        fail_halfway(tmp_path, context)

    assert {"folder/c", "new/c", "other/d"} == kept_files(tmp_path, context)


def fail_halfway(project: Path, root: Path) -> None:
    """A run that finds something new, and then does not get any further."""
    with open_stat_cache(project, ahead(60)) as cache:
        known = cache.context(os.path.realpath(os.fsencode(root)))
        known.keep(b"new/", known.before[b"folder/"])
        raise OSError(errno.EIO, "stopped")


def test_two_sets_of_rules_share_what_is_known(tmp_path: Path, root: Path) -> None:
    """Neither forgets what only the other has to do with."""
    for _ in range(2):
        with open_stat_cache(tmp_path, ahead(60)) as cache:
            listings = [walk(root, parse_ignore(ignore), cache) for ignore in ("b", "", "a\nfolder")]

        assert [{"a", "folder/c"}, {"a", "b", "folder/c"}, {"b"}] == [believed(listing) for listing in listings]


class Hands:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.clock = ahead(60)

    def __call__(self, folder: int) -> Reading | None:
        """What it says."""
        return self.clock(folder)


def test_a_held_cache_reads_its_file_once(tmp_path: Path, root: Path) -> None:
    """Who looks a thousand times does not decode it a thousand times; nor is it written."""
    held = HeldCache(tmp_path, ahead(60))
    first = believed(walk(root, parse_ignore(""), held.look()))
    (tmp_path / ".orchestrate/stat-cache").unlink()
    assert first == believed(walk(root, parse_ignore(""), held.look())) == {"a", "b", "folder/c"}
    assert not (tmp_path / ".orchestrate/stat-cache").exists()


@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_between_two_looks_is_read_again(
    change: Callable[[Path], None], tmp_path: Path, root: Path
) -> None:
    """As between two runs."""
    held = HeldCache(tmp_path, ahead(60))
    assert "a" in believed(walk(root, parse_ignore(""), held.look()))
    change(root / "a")
    found = believed(walk(root, parse_ignore(""), held.look()))
    assert "a" not in found
    assert "folder/c" in found


def test_each_look_has_its_own_reading_of_the_clock(tmp_path: Path) -> None:
    """A file that is too young for one is kept by a later one, and only from then on."""
    context = write_files(tmp_path / "context", FILES)
    (tmp_path / ".orchestrate").mkdir()
    hands = Hands()
    held = HeldCache(tmp_path, hands)
    kept = []
    for seconds in (0, 60, 61):
        hands.clock = ahead(seconds)
        cache = held.look()
        walk(context, parse_ignore(""), cache)
        kept.append(set(cache.context(os.fsencode(context.resolve())).now))
    assert [set(), {b"", b"folder/"}, {b"", b"folder/"}] == kept


@pytest.mark.parametrize(
    "clock",
    [ahead(0), ahead(60, offset=SLACK + 1), ahead(60, boot="two"), lambda _: None],
    ids=["back", "set", "booted", "gone"],
)
def test_a_look_after_the_clock_was_set_believes_nothing(clock: Clock, tmp_path: Path, root: Path) -> None:
    """Neither what was read from the file nor what looks before have found."""
    hands = Hands()
    held = HeldCache(tmp_path, hands)
    assert {"a", "b", "folder/c"} == believed(walk(root, parse_ignore(""), held.look()))
    hands.clock = clock
    assert set() == believed(walk(root, parse_ignore(""), held.look()))


def test_a_look_keeps_what_other_rules_have_found(tmp_path: Path, root: Path) -> None:
    """Images that share a folder do not take each other's files from the cache."""
    held = HeldCache(tmp_path, ahead(60))
    for ignore in ("a", "b", "a", "b"):
        assert {"a", "b", "folder/c"} - {ignore} == believed(walk(root, parse_ignore(ignore), held.look()))
