"""The few system calls the lab needs that Python 3.11 does not have.

They are called directly, since `unshare`, `ip` or `mount` may be missing in a small system.
"""

from __future__ import annotations

import ctypes
import os
import signal

CLONE_NEWNS = 0x00020000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
CAP_NET_ADMIN = 12
CAP_SYS_ADMIN = 21
_PR_SET_PDEATHSIG = 1
_PR_CAPBSET_READ = 23
_PR_SET_CHILD_SUBREAPER = 36

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
    return result


def unshare(flags: int) -> None:
    """Leave the namespaces named by `flags`."""
    _check(_libc.unshare(flags), "unshare")


def return_to_own_pid_namespace() -> None:
    """Undo `unshare(CLONE_NEWPID)` for further children; through a pidfd, since `/proc` may be missing."""
    pidfd = os.pidfd_open(os.getpid())
    try:
        _check(_libc.setns(pidfd, CLONE_NEWPID), "setns")
    finally:
        os.close(pidfd)


def mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    """Mount `source` at `target`."""
    arguments = (
        source.encode(),
        target.encode(),
        kind.encode() or None,
        ctypes.c_ulong(flags),
        options.encode() or None,
    )
    _check(_libc.mount(*arguments), f"mount {target}")


def die_with_parent(number: signal.Signals = signal.SIGKILL) -> None:
    """Have the kernel send us `number` when our parent dies, so that even SIGKILL of it leaves nothing."""
    _check(_libc.prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0), "prctl")


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent dies, so that all can be waited for."""
    _check(_libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl")


def may_have(capability: int) -> bool:
    """Whether a capability is in our bounding set: root in a plain container lacks most."""
    return bool(_libc.prctl(_PR_CAPBSET_READ, capability, 0, 0, 0) == 1)
