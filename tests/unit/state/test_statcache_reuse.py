"""Other files that look like those that the stat cache knows: only what the kernel alone writes tells them apart."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator.state.clock import Reading
from tests.unit.state.trees import SECOND, ahead, believed, forge, kept_files, read_context, write_files

FILES = {"a": "content of a", "b": "content of b"}
_MOST = 256


def take_inode(file: Path, inode: int, content: str) -> bool:
    """Write files of this content until one has the inode, which takes the name."""
    for number in range(_MOST):
        other = file.parent.parent / f"other-{number}"
        other.write_text(content)
        if other.stat().st_ino == inode:
            other.rename(file)
            return True
    return False


def test_another_file_with_the_same_inode_size_and_mtime_is_read(tmp_path: Path) -> None:
    """File systems give inodes away again; ctime cannot be set, and is another."""
    context = write_files(tmp_path / "context", FILES)
    read_context(tmp_path, context)
    forge(tmp_path, context)
    before = (context / "a").stat()
    (context / "a").unlink()
    if not take_inode(context / "a", before.st_ino, "CONTENT OF A"):
        pytest.skip("this file system does not give inodes away again so soon")
    os.utime(context / "a", ns=(before.st_atime_ns, before.st_mtime_ns))
    after = (context / "a").stat()

    assert (before.st_ino, before.st_size, before.st_mtime_ns) == (after.st_ino, after.st_size, after.st_mtime_ns)
    assert {"b"} == believed(read_context(tmp_path, context))


@pytest.mark.parametrize("behind", [0, 1, 3600])
def test_a_ctime_in_the_future_is_never_relied_on(behind: int, tmp_path: Path) -> None:
    """The clock was ahead when the file was written: a change to come may get the very ctime that it has."""
    context = write_files(tmp_path / "context", FILES)
    newest = max((context / name).stat().st_ctime_ns for name in FILES)

    def clock(folder: int) -> Reading:
        return Reading(device=os.fstat(folder).st_dev, now=newest - behind * SECOND, offset=0, boot="one")

    first = read_context(tmp_path, context, clock=clock)
    assert set() == kept_files(tmp_path, context, clock=clock)
    (context / "a").write_text("CONTENT OF A")
    assert first.digest != read_context(tmp_path, context, clock=clock).digest


def test_what_was_kept_before_the_clock_was_ahead_is_forgotten(tmp_path: Path) -> None:
    """It is behind now what it was: it will tick through the same times again."""
    context = write_files(tmp_path / "context", FILES)
    read_context(tmp_path, context, clock=ahead(3600))
    forge(tmp_path, context, clock=ahead(3600))

    assert set() == believed(read_context(tmp_path, context, clock=ahead(60)))
