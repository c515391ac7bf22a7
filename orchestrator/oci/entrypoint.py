"""What starts when a container of an image starts: the entrypoint followed to the programs that run it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from itertools import islice
from typing import Final

from orchestrator.model import Model
from orchestrator.oci.elf import ElfHeader
from orchestrator.oci.filesystem import File, FileSystem, Found
from orchestrator.oci.manifest import ImageRuntime
from orchestrator.oci.script import Script

MAX_INTERPRETERS: Final = 5
"""How many scripts may run each other (the kernel's own limit, fs/exec.c)."""

_DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_SHELLS: Final = frozenset({"sh", "ash", "bash", "dash", "zsh"})
_ASSIGNMENT: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_NOT_SIMPLE: Final = frozenset(";&|<>$`(){}*?[]~#!\n\\")


class Start(Model):
    """One file that is run to start the container, or the reason why it cannot be.

    `path` is where the file really is, or the name as written where it was not found; `role` says how it came to be
    run: `entrypoint`, `interpreter of /app/run.sh`.
    """

    path: str
    role: str
    program: ElfHeader | Script | None = None
    problem: str = ""


def follow_entrypoint(files: FileSystem, runtime: ImageRuntime | None) -> tuple[Start, ...]:
    """Every file that is run until a program runs: the entrypoint, the interpreters of scripts, a shell's program.

    None at all where the image starts nothing. Of a shell's command only a simple one is followed, `exec /app --flag`;
    what needs a shell to be understood ends at the shell.

    Raises:
        LowerLayerNeededError: the layers so far do not decide it.
        LayerError: the budget is used up.
    """
    if runtime is None:
        return ()
    words = (*(runtime.entrypoint or ()), *(runtime.command or ()))
    if not words:
        return ()
    search = _Search(files, runtime)
    role = "entrypoint" if runtime.entrypoint else "command"
    return (*search.run(words[0], role), *search.run_in_shell(words))


class _Search:
    """Looks for programs as `execvpe` does: from the working folder, or along `PATH`."""

    def __init__(self, files: FileSystem, runtime: ImageRuntime) -> None:
        self._files = files
        self._folder = f"/{runtime.working_directory}"
        paths = [line.removeprefix("PATH=") for line in runtime.environment or () if line.startswith("PATH=")]
        self._path = paths[-1] if paths else _DEFAULT_PATH

    def run(self, name: str, role: str, level: int = 1) -> Iterator[Start]:
        """The file behind a name, and all that is needed to run it."""
        start = self._start(name, role)
        yield start
        if not isinstance(start.program, Script):
            return
        role = f"interpreter of `{start.path}`"
        if level == MAX_INTERPRETERS:
            yield Start(path=start.program.interpreter, role=role, problem="comes after too many scripts")
            return
        for program in _interpreters(start.program):
            yield from self.run(program, role, level + 1)

    def run_in_shell(self, words: tuple[str, ...]) -> Iterator[Start]:
        """The program of `sh -c "exec program"`."""
        if len(words) < 3 or words[1] != "-c" or words[0].rpartition("/")[2] not in _SHELLS:  # noqa: PLR2004  # sh -c x
            return
        name = _simple_program(words[2])
        # A name without a slash may be a builtin or a function of the shell.
        if name and ("/" in name or self._look_up(name)):
            yield from self.run(name, "program of the shell command")

    def _start(self, name: str, role: str) -> Start:
        match self._look_up(name):
            case None:
                return Start(path=name, role=role, problem="is not in the image")
            case Found(path=path, node=File(program=ElfHeader() | Script() as program)):
                return Start(path=path, role=role, program=program)
            case Found(path=path, node=File()):
                return Start(path=path, role=role, problem="is neither an ELF program nor a script with `#!`")
            case Found(path=path):
                return Start(path=path, role=role, problem="is a folder")

    def _look_up(self, name: str) -> Found | None:
        if "/" in name:
            return self._files.find(self._from_folder(name))
        places = (self._files.find(f"{self._from_folder(folder)}/{name}") for folder in self._path.split(":"))
        return next((found for found in places if found and isinstance(found.node, File)), None)

    def _from_folder(self, path: str) -> str:
        return path if path.startswith("/") else f"{self._folder}/{path}"


def _interpreters(script: Script) -> Iterator[str]:
    """What runs a script: its interpreter, and after `/usr/bin/env` the program that it looks for."""
    yield script.interpreter if "/" in script.interpreter else f"./{script.interpreter}"
    if script.interpreter.rpartition("/")[2] == "env":
        words = script.argument.split() if script.argument.startswith("-S") else [script.argument]
        names = (word.removeprefix("-S") for word in words)
        yield from islice((name for name in names if name and not name.startswith("-") and "=" not in name), 1)


def _simple_program(command: str) -> str | None:
    """The program of a shell command that is nothing but words, `exec` and assignments in front left out."""
    if _NOT_SIMPLE & set(command):
        return None
    try:
        words = shlex.split(command)
    except ValueError:
        return None
    return next((word for word in words if word != "exec" and not _ASSIGNMENT.match(word)), None)
