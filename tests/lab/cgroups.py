"""Control groups: makes them visible where nobody mounted them, and removes those of ended containers."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

from tests.lab import kernel

FOLDER = Path("/sys/fs/cgroup")
_PERIOD = 10_000  # microseconds: short, so that who has used up its share does not stand still for long


def mount_if_missing() -> None:
    """Mount the hierarchies as the kernel has them (one of version 2, or several of version 1). Inside a `room`."""
    if any(FOLDER.iterdir()):
        return
    hierarchies = [line.split(":", 2)[1] for line in Path("/proc/self/cgroup").read_text().splitlines()]
    legacy = [controllers for controllers in hierarchies if controllers]
    if not legacy:
        kernel.mount("cgroup2", str(FOLDER), "cgroup2")
        return
    kernel.mount("cgroup", str(FOLDER), "tmpfs", options="mode=755")
    for controllers in legacy:
        target = FOLDER / controllers.removeprefix("name=")
        target.mkdir()
        options = f"none,{controllers}" if controllers.startswith("name=") else controllers
        kernel.mount("cgroup", str(target), "cgroup", options=options)


def limit(group: str, processes: Iterable[int], processors: float) -> None:
    """Give these processes, and all groups below `group`, no more than so many processors together."""
    legacy = next(FOLDER.glob("cpu*/cpu.cfs_period_us"), None)
    top = legacy.parent if legacy else FOLDER
    own = top / group / "engine"  # of its own, as version 2 has no processes in groups that have groups below them
    own.mkdir(parents=True, exist_ok=True)
    quota = round(processors * _PERIOD)
    if legacy:
        (top / group / "cpu.cfs_period_us").write_text(str(_PERIOD))
        (top / group / "cpu.cfs_quota_us").write_text(str(quota))
    else:
        for above in reversed((top / group).relative_to(top).parents):
            (top / above / "cgroup.subtree_control").write_text("+cpu")
        (top / group / "cpu.max").write_text(f"{quota} {_PERIOD}")
    for process in processes:
        (own / "cgroup.procs").write_text(str(process))


def remove(name: str) -> None:
    """Remove the group `name` and those below it from every hierarchy. Their processes must have ended."""
    for top in [*FOLDER.glob(name), *FOLDER.glob(f"*/{name}")]:
        below = [path for path in top.rglob("*") if path.is_dir()]
        for group in [*sorted(below, reverse=True), top]:
            _remove_one(group)


def _remove_one(group: Path) -> None:
    for attempt in range(100):  # the kernel may need a moment after the last process
        try:
            group.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            if attempt == 99:
                raise
            time.sleep(0.02)
        else:
            return
