"""What time it is for a file system, and whether its clock can be relied on.

A file's times are put by the kernel from its realtime clock, so that is the clock to compare them with, read where
they are: in a file that was made this moment. On a file system of another machine the kernel keeps times of its own
for a while, hence only those that are known to be this machine's are used.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final, TypeAlias

from orchestrator.model import Model

_LOCAL: Final = frozenset(
    {"bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "jfs", "nilfs2", "overlay", "ramfs", "reiserfs", "tmpfs",
     "xfs", "zfs"}
)  # fmt: skip
_BOOT: Final = "/proc/sys/kernel/random/boot_id"
_TRIES: Final = 5


class Reading(Model):
    """The clocks at one moment, in nanoseconds.

    Args:
        device: the file system that was asked.
        now: what it says the time is.
        offset: realtime less time since the boot; it changes where the clock is set, and not where it is slowed down,
            sped up or where the machine sleeps.
        boot: which boot of the machine that is.
    """

    device: int
    now: int
    offset: int
    boot: str


Clock: TypeAlias = Callable[[int], Reading | None]


def read_clock(folder: int) -> Reading | None:
    """Make a file in an open folder and remove it again; None where the answer could not be relied on.

    Raises:
        OSError: nothing can be written there.
    """
    name = f".clock.{secrets.token_hex(8)}.partial"
    file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder)
    try:
        status = os.fstat(file)
        local = _is_local(file)
    finally:
        os.close(file)
        os.unlink(name, dir_fd=folder)
    boot, offset = _boot(), _offset()
    if not local or boot is None or offset is None:
        return None
    return Reading(device=status.st_dev, now=status.st_ctime_ns, offset=offset, boot=boot)


def _is_local(file: int) -> bool:
    """Whether this kernel alone puts the times of this file."""
    with suppress(OSError):
        mount = _field(_read(f"/proc/self/fdinfo/{file}").splitlines(), b"mnt_id:")
        for line in _read("/proc/self/mountinfo").splitlines():
            before, _, after = line.partition(b" - ")
            if before.partition(b" ")[0] == mount:
                return after.partition(b" ")[0].decode("ascii", "replace") in _LOCAL
    return False


def _field(lines: list[bytes], name: bytes) -> bytes:
    return next((line.removeprefix(name).strip() for line in lines if line.startswith(name)), b"")


def _boot() -> str | None:
    with suppress(OSError):
        return _read(_BOOT).decode("ascii", "replace").strip() or None
    return None


def _offset() -> int | None:
    """Of several readings the one that took the least time: in between, another process may have had its turn."""
    if not hasattr(time, "CLOCK_BOOTTIME"):
        return None
    readings = []
    for _ in range(_TRIES):
        before = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        real = time.clock_gettime_ns(time.CLOCK_REALTIME)
        after = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        readings.append((after - before, real - (before + after) // 2))
    return min(readings)[1]


def _read(path: str) -> bytes:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while part := os.read(file, 64 * 1024):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(file)
