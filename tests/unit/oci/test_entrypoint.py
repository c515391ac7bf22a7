"""What starts when a container starts, followed to the programs that run it."""

from __future__ import annotations

import io

import pytest

from orchestrator.oci.elf import read_header
from orchestrator.oci.entrypoint import follow_entrypoint
from orchestrator.oci.filesystem import FileSystem, read_layer
from orchestrator.oci.manifest import ImageRuntime
from orchestrator.oci.script import Script, read_script
from orchestrator.oci.unpack import Budget
from tests.unit.oci.parts import ELF_ARM64, Entry, folder, layer, symlink

CONTENT = layer(
    Entry(path="bin/busybox", content=ELF_ARM64),
    symlink("bin/sh", "busybox"),
    Entry(path="usr/bin/env", content=ELF_ARM64),
    Entry(path="usr/bin/python3", content=ELF_ARM64),
    Entry(path="app/tool", content=ELF_ARM64),
    Entry(path="app/run.sh", content=b"#!/bin/sh -e\nexec tool\n"),
    Entry(path="app/main.py", content=b"#!/usr/bin/env python3\n"),
    Entry(path="app/split.py", content=b"#!/usr/bin/env -S LANG=C python3 -u\n"),
    Entry(path="app/bare", content=b"#!tool\n"),
    Entry(path="app/lost.sh", content=b"#!/bin/bash\n"),
    Entry(path="app/circle", content=b"#!/app/circle\n"),
    Entry(path="app/envcircle", content=b"#!/usr/bin/env /app/envcircle\n"),
    Entry(path="app/text", content=b"echo hello\n"),
    folder("app/folder/"),
    folder("opt/tool/"),
)


def starts(
    entrypoint: list[str] | None, command: list[str] | None = None, *, path: str = "", working: str = ""
) -> list[str]:
    """What starts, one line a file."""
    files = FileSystem(read_layer(io.BytesIO(CONTENT), Budget()).root, Budget(), complete=True)
    runtime = ImageRuntime(
        entrypoint=None if entrypoint is None else tuple(entrypoint),
        command=None if command is None else tuple(command),
        environment=("A=1", "PATH=/nowhere", f"PATH={path}") if path else None,
        working_directory=working,
    )
    return [
        f"{start.path} {start.problem or type(start.program).__name__}" for start in follow_entrypoint(files, runtime)
    ]


@pytest.mark.parametrize(
    ("entrypoint", "expected"),
    [
        (["/app/tool", "--flag"], ["/app/tool ElfHeader"]),
        (["/bin/sh"], ["/bin/busybox ElfHeader"]),
        (["sh"], ["/bin/busybox ElfHeader"]),
        (["/app/run.sh"], ["/app/run.sh Script", "/bin/busybox ElfHeader"]),
        (["/app/main.py"], ["/app/main.py Script", "/usr/bin/env ElfHeader", "/usr/bin/python3 ElfHeader"]),
        (["/app/split.py"], ["/app/split.py Script", "/usr/bin/env ElfHeader", "/usr/bin/python3 ElfHeader"]),
        (["/app/lost.sh"], ["/app/lost.sh Script", "/bin/bash is not in the image"]),
        (["/app/nothing"], ["/app/nothing is not in the image"]),
        (["nothing"], ["nothing is not in the image"]),
        (["/app/text"], ["/app/text is neither an ELF program nor a script with `#!`"]),
        (["/app/folder"], ["/app/folder is a folder"]),
    ],
)
def test_entrypoint(entrypoint: list[str], expected: list[str]) -> None:
    """Links, scripts and their interpreters are followed; what cannot start is told with the reason."""
    assert expected == starts(entrypoint)


def test_command() -> None:
    """Without an entrypoint the command starts; with one it is its arguments."""
    assert ["/app/tool ElfHeader"] == starts(None, ["/app/tool"]) == starts(["/app/tool"], ["/app/text"])


@pytest.mark.parametrize("entrypoint", [None, []])
def test_nothing_starts(entrypoint: list[str] | None) -> None:
    """An image that starts nothing has nothing to follow."""
    assert starts(entrypoint) == []


def test_no_runtime() -> None:
    """A config may have nothing to run at all."""
    files = FileSystem(read_layer(io.BytesIO(CONTENT), Budget()).root, Budget(), complete=True)
    assert follow_entrypoint(files, None) == ()


def test_path() -> None:
    """A bare name is looked for along the last PATH; folders of that name are passed over."""
    assert starts(["tool"], path="/opt:app") == ["/app/tool ElfHeader"]
    assert starts(["tool"]) == ["tool is not in the image"]


def test_working_folder() -> None:
    """A relative name starts at the working folder, and so does the interpreter of a script."""
    assert starts(["./tool"], working="/app") == ["/app/tool ElfHeader"]
    assert starts(["./bare"], working="app/folder/..") == ["/app/bare Script", "/app/tool ElfHeader"]


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("exec /app/tool --flag", ["/app/tool ElfHeader"]),
        ("A=1 '/app/tool' x", ["/app/tool ElfHeader"]),
        ("/app/nothing", ["/app/nothing is not in the image"]),
        ("echo hello", []),
        ("/app/nothing && true", []),
        ("exec $TOOL", []),
        ("'unclosed", []),
        ("", []),
    ],
)
def test_shell_form(command: str, expected: list[str]) -> None:
    """A shell is followed, and its command where it is simple enough to be understood without it."""
    assert ["/bin/busybox ElfHeader", *expected] == starts(["/bin/sh", "-c", command])


def test_circles_of_scripts() -> None:
    """Scripts that run each other for ever end."""
    assert starts(["/app/circle"])[-1] == "/app/circle comes after too many scripts"
    assert "comes after too many scripts" in " ".join(starts(["/app/envcircle"]))


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        (b"#!/bin/sh", Script(interpreter="/bin/sh")),
        (b"#!  /bin/sh\t-e -u \nx", Script(interpreter="/bin/sh", argument="-e -u")),
        (b"#!/bin/sh\0rest\n", Script(interpreter="/bin/sh")),
        (b"#!\n", None),
        (b"# !/bin/sh\n", None),
        (b"", None),
        (b"#!/" + b"a" * 300, None),
    ],
)
def test_first_line(prefix: bytes, expected: Script | None) -> None:
    """The first line of a script is read as the kernel reads it."""
    assert expected == read_script(prefix[:256])


def test_elf_and_script_do_not_mix() -> None:
    """An ELF file is no script."""
    assert read_script(ELF_ARM64) is None
    assert read_header(b"#!/bin/sh\n" + bytes(60)) is None
