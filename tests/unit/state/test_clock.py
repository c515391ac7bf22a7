from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from orchestrator.state.clock import Reading, read_clock


def reading_of(folder: Path) -> Reading | None:
    """What the clock of a folder says."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        return read_clock(descriptor)
    finally:
        os.close(descriptor)


def test_the_clock_is_that_of_the_files_there(tmp_path: Path) -> None:
    """A file that is older is not younger, and one that comes later is not older."""
    (tmp_path / "before").touch()
    reading = reading_of(tmp_path)
    (tmp_path / "after").touch()
    if reading is None:
        pytest.skip("temporary files are on a file system whose times are not this machine's")

    assert (tmp_path / "before").stat().st_ctime_ns <= reading.now <= (tmp_path / "after").stat().st_ctime_ns
    assert tmp_path.stat().st_dev == reading.device


def test_two_readings_agree_on_what_does_not_move(tmp_path: Path) -> None:
    """The boot, and realtime against the time since then."""
    one, other = reading_of(tmp_path), reading_of(tmp_path)
    if one is None or other is None:
        pytest.skip("temporary files are on a file system whose times are not this machine's")

    assert (one.boot, one.device) == (other.boot, other.device)
    assert abs(one.offset - other.offset) < 100_000_000


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    """The file whose time was looked at is gone."""
    reading_of(tmp_path)

    assert [] == list(tmp_path.iterdir())


def test_where_nothing_can_be_written_there_is_no_clock() -> None:
    """Whoever asks has to do without."""
    with pytest.raises(OSError, match="partial"):
        reading_of(Path("/proc/sys"))


def test_without_a_clock_that_cannot_be_set_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on other systems than Linux: a step could not be told."""
    monkeypatch.delattr(time, "CLOCK_BOOTTIME")

    assert reading_of(tmp_path) is None
