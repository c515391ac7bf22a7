"""What the machine itself has: QEMU handlers, room on its disks, git."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Final

from orchestrator.buildkit.untrusted import UnreadableError, clean, clean_lines
from orchestrator.model import Model
from orchestrator.oci.platform import parse_platform

BINFMT: Final = Path("/proc/sys/fs/binfmt_misc")
BINFMT_RULES: Final = Path("/usr/lib/binfmt.d")
_READ: Final = 4096
_HANDLERS: Final = 1000
_ELF: Final = b"\x7fELF"
_MACHINE: Final = slice(18, 20)
# (class, byte order, e_machine) of an ELF header, elf(5): what tells the architecture, whatever a handler is called.
_ARCHITECTURES: Final = {
    (2, 1, 0x3E): "amd64",
    (1, 1, 0x03): "386",
    (2, 1, 0xB7): "arm64",
    (1, 1, 0x28): "arm",
    (2, 1, 0xF3): "riscv64",
    (2, 1, 0x15): "ppc64le",
    (2, 2, 0x15): "ppc64",
    (2, 2, 0x16): "s390x",
    (2, 1, 0x08): "mips64le",
    (2, 2, 0x08): "mips64",
    (1, 1, 0x08): "mipsle",
    (1, 2, 0x08): "mips",
    (2, 1, 0x102): "loong64",
}
_ESCAPE: Final = re.compile(rb"\\x([0-9a-fA-F]{2})")


class Handler(Model):
    """One entry of binfmt_misc; `architecture` is None where it is for something else than ELF programs."""

    name: str
    enabled: bool
    interpreter: str = ""
    flags: str = ""
    architecture: str | None = None

    @property
    def works_in_containers(self) -> bool:
        """Whether the kernel opened the interpreter at registration (flag F): a container has none of its own."""
        return self.enabled and "F" in self.flags


class Handlers(Model):
    """The entries of binfmt_misc; `mounted` is False where the kernel or the container has none to look at."""

    mounted: bool
    enabled: bool = False
    entries: tuple[Handler, ...] = ()

    def emulates(self, architecture: str) -> bool:
        """Whether programs of this architecture run, in containers too."""
        return self.enabled and any(
            entry.works_in_containers and entry.architecture == architecture for entry in self.entries
        )


class Rule(Model):
    """A line of binfmt.d(5), ready to be written to `register`."""

    name: str
    architecture: str
    interpreter: str
    line: str


def read_handlers(folder: Path = BINFMT) -> Handlers:
    """Read what is registered; an entry that cannot be read is left out."""
    if not (folder / "register").exists():
        return Handlers(mounted=False)
    names = sorted(path.name for path in folder.iterdir() if path.name not in {"register", "status"})[:_HANDLERS]
    entries = (parse_handler(name, text) for name in names if (text := _text(folder / name)))
    return Handlers(mounted=True, enabled=_text(folder / "status").strip() != "disabled", entries=tuple(entries))


def parse_handler(name: str, text: str) -> Handler:
    """Read one entry, as the kernel prints it: see Documentation/admin-guide/binfmt-misc.rst of Linux."""
    lines = text.splitlines()
    fields = {key.rstrip(":"): value.strip() for key, _, value in (line.partition(" ") for line in lines)}
    architecture = None
    if fields.get("offset") == "0":
        magic = fields.get("magic", "")
        architecture = elf_architecture(bytes.fromhex(magic)) if _is_hex(magic) else None
    return Handler(
        name=clean(name),
        enabled="enabled" in lines,
        interpreter=clean(fields.get("interpreter", "")),
        flags=clean(fields.get("flags", "")),
        architecture=architecture,
    )


def _is_hex(text: str) -> bool:
    return re.fullmatch(r"(?:[0-9a-fA-F]{2})*", text) is not None


def elf_architecture(header: bytes) -> str | None:
    """The architecture that an ELF header is for, in OCI's words; None for anything else."""
    if not header.startswith(_ELF) or len(header) < _MACHINE.stop:
        return None
    order = header[5]
    machine = int.from_bytes(header[_MACHINE], "little" if order == 1 else "big")
    return _ARCHITECTURES.get((header[4], order, machine))


def read_rules(folder: Path = BINFMT_RULES) -> tuple[Rule, ...]:
    """The rules for QEMU that the distribution's packages bring, whose interpreter is there."""
    files = sorted(folder.glob("qemu-*.conf"))[:_HANDLERS]
    rules = (parse_rule(line) for file in files for line in _text(file).splitlines())
    return tuple(rule for rule in rules if rule is not None and Path(rule.interpreter).exists())


def parse_rule(line: str) -> Rule | None:
    """Read `:name:M:offset:magic:mask:interpreter:flags`; None for anything that is no rule for ELF programs.

    Without flag F the handler would be of no use in containers, so the rule is given it.
    """
    line = line.strip()
    parts = line[1:].split(line[:1]) if line[:1] not in {"", "#", ";"} else []
    if len(parts) != 7 or parts[1] != "M" or parts[2] not in {"", "0"}:  # noqa: PLR2004  # the fields of a rule
        return None
    name, flags = parts[0], parts[6]
    magic = _ESCAPE.sub(lambda match: bytes([int(match[1], 16)]), parts[3].encode(errors="replace"))
    architecture = elf_architecture(magic)
    if architecture is None or not line.isprintable():
        return None
    return Rule(name=name, architecture=architecture, interpreter=parts[5], line=line if "F" in flags else line + "F")


def own_architecture() -> str:
    """The CPU of this machine, in OCI's words; as the kernel calls it where nobody knows it."""
    machine = os.uname().machine
    try:
        return parse_platform(f"linux/{machine}").architecture
    except ValueError:
        return machine


def free_space(folder: Path) -> int | None:
    """The bytes that are free where `folder` is, or will be; None where that cannot be told."""
    existing = next((path for path in (folder, *folder.parents) if path.is_dir()), None)
    if existing is None:
        return None
    try:
        return shutil.disk_usage(existing).free
    except OSError:
        return None


def parse_git_version(output: bytes) -> str:
    """Read `git --version`.

    Raises:
        UnreadableError: it is something else.
    """
    words = " ".join(clean_lines(output)[:1]).split()
    if words[:2] != ["git", "version"] or len(words) < 3:  # noqa: PLR2004  # `git version 2.39.5`
        msg = "not a version of git"
        raise UnreadableError(msg)
    return words[2]


def _text(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return opened.read(_READ).decode(errors="replace")
    except OSError:
        return ""
