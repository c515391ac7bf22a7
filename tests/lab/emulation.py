"""QEMU handlers: lets the kernel run programs of other architectures, containers' ones included.

Every lab registers handlers under names of its own, so that two labs do not take each other's away.
To be called inside a `room`, where binfmt_misc is mounted.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

FOLDER = Path("/proc/sys/fs/binfmt_misc")
_PATTERNS = {
    "arm64": ("7f454c460201010000000000000000000200b700", "ffffffffffffff00fffffffffffffffffeffffff"),
    "arm": ("7f454c4601010100000000000000000002002800", "ffffffffffffff00fffffffffffffffffeffffff"),
}


def register(owner: str, emulators: Mapping[str, Path]) -> None:
    """Register the architectures nobody handles yet, as `<owner>-<architecture>`.

    Flag F opens the emulator now, so it is found in containers and chroots; P keeps `argv[0]`, O passes the file.
    """
    for architecture, emulator in emulators.items():
        if _handled(architecture, owner):
            continue
        magic, mask = (_escaped(pattern) for pattern in _PATTERNS[architecture])
        rule = f":{owner}-{architecture}:M::{magic}:{mask}:{emulator}:OPF"
        try:
            (FOLDER / "register").write_text(rule)
        except FileExistsError:  # the lab's other engine was faster
            continue


def unregister(owner: str) -> None:
    """Take away what `register` of the same owner put there."""
    for name in handlers(owner):
        with suppress(FileNotFoundError):  # somebody else who sweeps up was faster
            (FOLDER / name).write_text("-1")


def handlers(prefix: str = "") -> list[str]:
    """The handlers whose names start with `prefix`."""
    return sorted(path.name for path in FOLDER.glob(f"{prefix}*") if path.name not in ("register", "status"))


def _handled(architecture: str, owner: str) -> bool:
    """Whether a handler that will stay does the job; those of other labs will not stay."""
    return any(_does(FOLDER / name, architecture) for name in handlers() if not name.startswith(owner[:3]))


def _does(handler: Path, architecture: str) -> bool:
    try:
        lines = handler.read_text().splitlines()
    except OSError:
        return False
    fields = dict(line.split(" ", 1) for line in lines if " " in line)
    usable = "enabled" in lines and "F" in fields.get("flags:", "")
    return usable and fields.get("magic") == _PATTERNS[architecture][0]


def _escaped(pattern: str) -> str:
    return "".join(f"\\x{pattern[index : index + 2]}" for index in range(0, len(pattern), 2))
