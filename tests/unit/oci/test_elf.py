"""ELF headers: what is read, and what runs where."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.oci.elf import ElfHeader, Fit, describe, fit, judges, read_header, runs_on
from orchestrator.oci.platform import parse_platform
from tests.unit.oci.parts import ARM, ARM64, EXECUTABLE, HARD_FLOAT, I386, SHARED, X86_64, elf

MIPS, PPC64, S390, RISCV, BPF, CUDA, LOONGARCH = 8, 21, 22, 243, 247, 190, 258

NATIVE = {
    "linux/386": elf(I386, bits=32),
    "linux/amd64": elf(X86_64),
    "linux/amd64/v3": elf(X86_64),
    "linux/arm/v5": elf(ARM, bits=32, flags=0x5000200),
    "linux/arm/v6": elf(ARM, bits=32, flags=HARD_FLOAT),
    "linux/arm/v7": elf(ARM, bits=32, flags=HARD_FLOAT),
    "linux/arm64": elf(ARM64),
    "linux/loong64": elf(LOONGARCH),
    "linux/mips64le": elf(MIPS),
    "linux/ppc64le": elf(PPC64, flags=2),
    "linux/riscv64": elf(RISCV, flags=5),
    "linux/s390x": elf(S390, order=">"),
    "freebsd/amd64": elf(X86_64),
}


def header(content: bytes) -> ElfHeader:
    """The header, which is there."""
    found = read_header(content)
    assert found is not None
    return found


@pytest.mark.parametrize("platform", NATIVE)
def test_native(platform: str) -> None:
    """Every platform runs its own programs."""
    assert fit(header(NATIVE[platform]), parse_platform(platform)) == Fit.NATIVE


@pytest.mark.parametrize("platform", NATIVE)
def test_foreign(platform: str) -> None:
    """No platform runs the programs of another architecture, but for 32-bit code of its own family."""
    family = {"386", "amd64"}, {"arm", "arm64"}
    own = parse_platform(platform).architecture
    for other, content in NATIVE.items():
        architecture = parse_platform(other).architecture
        if architecture != own and not any({own, architecture} == pair for pair in family):
            assert not runs_on(header(content), parse_platform(platform)), other


@pytest.mark.parametrize(
    ("content", "platform", "expected"),
    [
        (elf(I386, bits=32), "linux/amd64", Fit.COMPATIBLE),
        (elf(X86_64, bits=32), "linux/amd64", Fit.COMPATIBLE),
        (elf(X86_64), "linux/386", Fit.FOREIGN),
        (elf(ARM, bits=32), "linux/arm64", Fit.COMPATIBLE),
        (elf(ARM64), "linux/arm/v7", Fit.FOREIGN),
        (elf(ARM, bits=32, flags=HARD_FLOAT), "linux/arm/v5", Fit.FOREIGN),
        (elf(ARM, bits=32, order=">"), "linux/arm/v7", Fit.FOREIGN),
        (elf(PPC64, order=">"), "linux/ppc64le", Fit.FOREIGN),
        (elf(MIPS, order=">"), "linux/mips64le", Fit.FOREIGN),
        (elf(MIPS, bits=32, flags=0x20), "linux/mipsle", Fit.FOREIGN),
        (elf(X86_64, kind=1), "linux/arm64", Fit.NOT_JUDGED),
        (elf(X86_64, kind=4), "linux/arm64", Fit.NOT_JUDGED),
        (elf(BPF, kind=EXECUTABLE), "linux/arm64", Fit.NOT_JUDGED),
        (elf(CUDA, kind=EXECUTABLE), "linux/amd64", Fit.NOT_JUDGED),
        (elf(X86_64), "windows/arm64", Fit.NOT_JUDGED),
        (elf(X86_64), "linux/wasm", Fit.NOT_JUDGED),
    ],
)
def test_special_cases(content: bytes, platform: str, expected: Fit) -> None:
    """32-bit code, byte order, float ABI, objects that are no programs, and machines that run no containers."""
    assert expected == fit(header(content), parse_platform(platform))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (elf(X86_64), "x86-64"),
        (elf(X86_64, bits=32), "x32"),
        (elf(I386, bits=32), "i386"),
        (elf(ARM64), "arm64"),
        (elf(ARM, bits=32, flags=HARD_FLOAT), "arm (hard float)"),
        (elf(PPC64), "ppc64le"),
        (elf(S390, order=">"), "s390x"),
        (elf(BPF), "machine 247"),
    ],
)
def test_describe(content: bytes, expected: str) -> None:
    """The words that findings use."""
    assert expected == describe(header(content))


def test_kind() -> None:
    """Shared objects are told from executables."""
    assert (header(elf(ARM64, kind=SHARED)).is_shared, header(elf(ARM64, kind=EXECUTABLE)).is_shared) == (True, False)


def test_cut_off_after_machine() -> None:
    """A header that is cut off still tells its machine."""
    assert header(elf(X86_64)) == header(elf(X86_64)[:20])


@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"#!/bin/sh\n", elf(X86_64)[:19], b"\x7fELF\x03\x01" + bytes(60)])
def test_no_header(content: bytes) -> None:
    """What is no ELF header is none."""
    assert read_header(content) is None


@given(st.binary(max_size=80) | st.binary(max_size=80).map(lambda tail: b"\x7fELF" + tail))
def test_never_raises(content: bytes) -> None:
    """Any bytes are a header or none, and any header fits or does not."""
    found = read_header(content)
    if found is not None:
        assert isinstance(fit(found, parse_platform("linux/arm/v7")), Fit)


def test_judged_platforms() -> None:
    """Only platforms whose programs are ELF files of known machines are judged."""
    platforms = ["linux/arm64", "freebsd/amd64", "windows/amd64", "darwin/arm64", "linux/wasm"]
    assert [judges(parse_platform(text)) for text in platforms] == [True, True, False, False, False]
