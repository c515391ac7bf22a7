"""What Chromium runs in: `python -m tests.lab.browser_cell ROOT PAGES FOLDER READS WRITES COMMAND...`.

Namespaces of its own for mounts, processes and network, so that nothing is left of it and nothing is reached by it. The
descriptors READS and WRITES become 3 and 4, which is where Chromium expects its debugging pipe.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.lab import kernel, room

_ENVIRONMENT: Final = {"HOME": "/tmp", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}  # noqa: S108 - in a root of its own


def main(argv: Sequence[str]) -> int:
    """Run the command as the first process of its namespaces, and wait for it."""
    root, pages, folder, reads, writes, *command = argv
    kernel.die_with_parent()
    kernel.unshare(kernel.CLONE_NEWPID | kernel.CLONE_NEWNET)
    child = os.fork()
    if child == 0:
        try:
            kernel.die_with_parent()
            room.enter(Path(folder))
            _furnish(Path(root), pages)
            os.dup2(int(reads), 3)
            os.dup2(int(writes), 4)
            os.chroot(root)
            os.chdir("/")
            os.execve(command[0], command, _ENVIRONMENT)  # noqa: S606 - no shell is the point
        except OSError:
            traceback.print_exc()
        os._exit(127)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _furnish(root: Path, pages: str) -> None:
    """Mount what Chromium needs: the pages are all that it sees of this machine's files."""
    kernel.mount("/dev", str(root / "dev"), flags=kernel.MS_BIND | kernel.MS_REC)
    kernel.mount("proc", str(root / "proc"), "proc")
    kernel.mount("tmpfs", str(root / "tmp"), "tmpfs")
    (root / "tmp/pages").mkdir()
    kernel.mount(pages, str(root / "tmp/pages"), flags=kernel.MS_BIND)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
