"""A room: a private mount namespace in which everything an engine needs is mounted.

What is mounted in a room ends with its last process, whatever that process died of. So nothing that an engine mounts
can be left behind, and nothing outside changes when /proc, /sys or the control groups have to be mounted first.
"""

from __future__ import annotations

import errno
import json
import os
import traceback
from collections.abc import Callable
from pathlib import Path

from tests.lab import cgroups, emulation, kernel

_PRIVATE = kernel.MS_REC | kernel.MS_PRIVATE


def enter(folder: Path) -> None:
    """Move this process into a room of its own; `folder` is for what may have to be put somewhere."""
    kernel.unshare(kernel.CLONE_NEWNS)
    try:
        kernel.mount("", "/", flags=_PRIVATE)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        _enter_from_chroot(folder)


def _enter_from_chroot(folder: Path) -> None:
    """In a chroot `/` is no mount. It must be one for containers, so bind it, once nobody outside can see it."""
    os.chdir("/")
    chroot = os.open("/", os.O_PATH)
    _climb_out(folder)
    kernel.mount("", "/", flags=_PRIVATE)
    os.fchdir(chroot)
    os.chroot(".")
    os.close(chroot)
    root = folder / "root"
    root.mkdir(exist_ok=True)
    kernel.mount("/", str(root), flags=kernel.MS_BIND | kernel.MS_REC)
    os.chroot(root)
    os.chdir("/")


def _climb_out(folder: Path) -> None:
    """Reach the true root: nothing stops `..` in a process whose root is below where it stands."""
    os.chroot(folder)
    while not Path().samefile(".."):
        os.chdir("..")
    os.chroot(".")


def furnish(*, own_processes: bool) -> None:
    """Mount what is missing: /proc (a new one if the room has its own processes), /sys, control groups, binfmt_misc."""
    if own_processes or not Path("/proc/self").exists():
        kernel.mount("proc", "/proc", "proc")
    if not Path("/sys/class").exists():
        kernel.mount("sysfs", "/sys", "sysfs")
    cgroups.mount_if_missing()
    if not (emulation.FOLDER / "register").exists():
        kernel.mount("binfmt_misc", str(emulation.FOLDER), "binfmt_misc")


def visit(folder: Path, errand: Callable[[], list[str]]) -> list[str]:
    """Run `errand` in a room that ends with it, and return what it returns.

    Only from a process with one thread, since it forks.

    Raises:
        OSError: the errand failed; the text is its traceback.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        os._exit(_run_errand(folder, errand, writer))
    os.close(writer)
    with os.fdopen(reader) as file:
        answer = file.read()
    _, status = os.waitpid(child, 0)
    if os.waitstatus_to_exitcode(status) != 0:
        raise OSError(answer)
    return list(map(str, json.loads(answer)))


def _run_errand(folder: Path, errand: Callable[[], list[str]], writer: int) -> int:
    try:
        kernel.die_with_parent()
        enter(folder)
        furnish(own_processes=False)
        answer, code = json.dumps(errand()), 0
    except BaseException:  # noqa: BLE001 - a forked child must not return into its parent's code
        answer, code = traceback.format_exc(), 1
    with os.fdopen(writer, "w") as file:
        file.write(answer)
    return code
