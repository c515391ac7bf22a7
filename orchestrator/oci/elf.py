"""ELF headers, and which platforms a program of such a header runs on (System V ABI, chapter 4; linux/elf-em.h).

What is judged: executables and shared objects (`ET_EXEC`, `ET_DYN`) of the machines on which Linux containers run.
What is not: objects that the kernel does not start (`ET_REL`, so `.o` files, kernel modules and BPF objects, and core
files; a static library is an archive, not ELF), and machines that are no hosts of containers: BPF, CUDA, AMDGPU, AVR,
Xtensa and every other that `_ABIS` does not list. Images ship such code as data: firmware, GPU kernels.
"""

from __future__ import annotations

import struct
from enum import Enum
from typing import Final

from orchestrator.model import Model
from orchestrator.oci.platform import Platform

PREFIX_BYTES: Final = 256
"""How much of a file has to be read: the kernel looks at no more of a script's first line (BINPRM_BUF_SIZE)."""

_MAGIC: Final = b"\x7fELF"
_IDENTIFIED_BYTES: Final = 20
"""Up to and with `e_machine`. A file cut off after it is broken, and still of the wrong architecture."""
_FLAGS_OFFSET: Final = {32: 36, 64: 48}
_TYPE_EXECUTABLE: Final = 2
_TYPE_SHARED: Final = 3

_ABIS: Final = {
    (32, True, 3): "i386",
    (64, True, 62): "x86-64",
    (32, True, 62): "x32",
    (32, True, 40): "arm",
    (32, False, 40): "big-endian arm",
    (64, True, 183): "arm64",
    (64, False, 183): "big-endian arm64",
    (32, True, 183): "arm64 ilp32",
    (32, True, 243): "riscv32",
    (64, True, 243): "riscv64",
    (32, False, 20): "ppc",
    (64, False, 21): "ppc64",
    (64, True, 21): "ppc64le",
    (32, False, 22): "s390",
    (64, False, 22): "s390x",
    (32, False, 8): "mips",
    (32, True, 8): "mipsle",
    (64, False, 8): "mips64",
    (64, True, 8): "mips64le",
    (32, True, 258): "loong32",
    (64, True, 258): "loong64",
}
"""Class, little endian and `e_machine` of all that is judged."""

_RUNS: Final[dict[str, tuple[str, ...]]] = {
    "386": ("i386",),
    "amd64": ("x86-64", "i386", "x32"),
    "arm": ("arm",),
    "arm64": ("arm64", "arm"),
    "loong64": ("loong64",),
    "mips": ("mips",),
    "mipsle": ("mipsle",),
    "mips64": ("mips64", "mips"),
    "mips64le": ("mips64le", "mipsle"),
    "ppc64": ("ppc64", "ppc"),
    "ppc64le": ("ppc64le",),
    "riscv64": ("riscv64",),
    "s390x": ("s390x", "s390"),
}
"""An architecture's own code first, then what its kernels also run."""

_ARM_HARD_FLOAT: Final = 0x400
_MIPS_N32: Final = 0x20


class ElfHeader(Model):
    """What an ELF header says about where its code runs."""

    bits: int
    little_endian: bool
    kind: int
    machine: int
    flags: int = 0

    @property
    def abi(self) -> str:
        """The kind of code in words, `x86-64` or `ppc64le`; `machine 247` where containers run on no such machine."""
        return _ABIS.get((self.bits, self.little_endian, self.machine), f"machine {self.machine}")

    @property
    def is_code(self) -> bool:
        """Whether it is a program or a shared library of a machine that runs containers."""
        judged = (self.bits, self.little_endian, self.machine) in _ABIS
        return judged and self.kind in {_TYPE_EXECUTABLE, _TYPE_SHARED}

    @property
    def is_shared(self) -> bool:
        """Whether it is a shared object: a library, or a program that is position-independent."""
        return self.kind == _TYPE_SHARED


class Fit(Enum):
    """How a file of code stands to a platform."""

    NATIVE = "native"
    COMPATIBLE = "compatible"
    """Foreign, but the platform's kernels run it: i386 on amd64, arm on arm64."""
    FOREIGN = "foreign"
    NOT_JUDGED = "not judged"


def read_header(prefix: bytes) -> ElfHeader | None:
    """The ELF header at the start of a file, or None where there is none. Never raises, whatever the bytes."""
    if len(prefix) < _IDENTIFIED_BYTES or not prefix.startswith(_MAGIC):
        return None
    if prefix[4] not in {1, 2} or prefix[5] not in {1, 2}:
        return None
    bits, little_endian = 32 * prefix[4], prefix[5] == 1
    order = "<" if little_endian else ">"
    kind, machine = struct.unpack_from(f"{order}HH", prefix, 16)
    offset = _FLAGS_OFFSET[bits]
    (flags,) = struct.unpack_from(f"{order}I", prefix, offset) if len(prefix) >= offset + 4 else (0,)
    return ElfHeader(bits=bits, little_endian=little_endian, kind=kind, machine=machine, flags=flags)


def fit(header: ElfHeader, platform: Platform) -> Fit:
    """How this header stands to a platform.

    The header tells neither ARMv6 from v7 nor x86-64-v3 from v1. Of ARM it tells hard from soft float, and v5, which
    has no floating point unit, never runs hard float. Operating systems other than Linux and FreeBSD, and
    architectures that `_RUNS` does not list, such as wasm, are not judged.
    """
    if not header.is_code or not judges(platform):
        return Fit.NOT_JUDGED
    abis = _RUNS[platform.architecture]
    if header.abi not in abis or _lacks_hardware(header, platform):
        return Fit.FOREIGN
    return Fit.NATIVE if header.abi == abis[0] else Fit.COMPATIBLE


def judges(platform: Platform) -> bool:
    """Whether programs of this platform are ELF files, and which ones is known."""
    return platform.os in {"linux", "freebsd"} and platform.architecture in _RUNS


def runs_on(header: ElfHeader, platform: Platform) -> bool:
    """Whether nothing speaks against the file in an image of this platform: its own, compatible, or not judged."""
    return fit(header, platform) is not Fit.FOREIGN


def _lacks_hardware(header: ElfHeader, platform: Platform) -> bool:
    if platform.architecture == "arm" and platform.variant == "v5":
        return bool(header.flags & _ARM_HARD_FLOAT)
    if platform.architecture in {"mips", "mipsle"}:
        return bool(header.flags & _MIPS_N32)
    return False


def describe(header: ElfHeader) -> str:
    """The kind of code in words, with what of the flags decides: `x86-64`, `arm (hard float)`."""
    if header.abi == "arm" and header.flags & _ARM_HARD_FLOAT:
        return "arm (hard float)"
    return header.abi
