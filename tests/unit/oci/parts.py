"""ELF headers and layers made by hand, for tests that look into images."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile

from orchestrator.model import Model

EXECUTABLE = 2
SHARED = 3
I386, ARM, X86_64, ARM64 = 3, 40, 62, 183
HARD_FLOAT = 0x5000400


def elf(machine: int, *, bits: int = 64, order: str = "<", kind: int = SHARED, flags: int = 0) -> bytes:
    """An ELF header without anything behind it."""
    identity = b"\x7fELF" + bytes((bits // 32, 1 if order == "<" else 2, 1)) + bytes(9)
    address = "I" if bits == 32 else "Q"
    start = struct.pack(f"{order}HHI{address * 3}I", kind, machine, 1, 0, 64, 0, flags)
    return identity + start + struct.pack(f"{order}6H", 64, 56, 0, 64, 0, 0)


ELF_ARM64 = elf(ARM64)
ELF_AMD64 = elf(X86_64)
ELF_ARM = elf(ARM, bits=32, flags=HARD_FLOAT)


class Entry(Model):
    """One member to write: a file, or with `kind` something else."""

    path: str
    content: bytes = b""
    kind: bytes = tarfile.REGTYPE
    target: str = ""


def folder(path: str) -> Entry:
    """A folder."""
    return Entry(path=path, kind=tarfile.DIRTYPE)


def symlink(path: str, target: str) -> Entry:
    """A symbolic link."""
    return Entry(path=path, kind=tarfile.SYMTYPE, target=target)


def hard_link(path: str, target: str) -> Entry:
    """A hard link."""
    return Entry(path=path, kind=tarfile.LNKTYPE, target=target)


def tar(*entries: Entry, form: int = tarfile.PAX_FORMAT) -> bytes:
    """An uncompressed layer."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for entry in entries:
            member = tarfile.TarInfo(entry.path)
            member.type, member.linkname, member.size = entry.kind, entry.target, len(entry.content)
            archive.addfile(member, io.BytesIO(entry.content))
    return buffer.getvalue()


def layer(*entries: Entry) -> bytes:
    """A layer as builders write it: gzip."""
    return gzip.compress(tar(*entries), compresslevel=1, mtime=0)
