"""The first lines of a Dockerfile: `# syntax=`, `# escape=` and `# check=` (BuildKit, parser/directives.go)."""

from __future__ import annotations

import re
from typing import Final

from orchestrator.model import Model

MAX_LINES: Final = 8

_NAMES: Final = frozenset({"syntax", "escape", "check"})
_DIRECTIVE: Final = re.compile(r"(?:#|//)\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*\Z")
_OFFICIAL: Final = re.compile(
    r"(?:docker\.io/)?docker/dockerfile(?:-upstream)?(?:[:@].*)?\Z",
)


class Directives(Model):
    """What the first lines say; `syntax` is the reference of the frontend, without the arguments that may follow it."""

    syntax: str | None = None
    syntax_line: int = 0
    escape: str = "\\"
    escape_line: int = 0
    lines: int = 0


def read_directives(text: str) -> Directives:
    """Read the directives; the first line that is none ends them, and the first value of a name counts.

    A shebang may stand before them, and a file for another frontend may write `//` for `#`.
    """
    lines = text.removeprefix("\ufeff").split("\n", MAX_LINES)
    start = read = 1 if lines[0].startswith("#!") else 0
    found: dict[str, tuple[str, int]] = {}
    for line in lines[start:]:
        match = _DIRECTIVE.match(line.rstrip("\r"))
        if match is None or (name := match[1].lower()) not in _NAMES:
            break
        read += 1
        found.setdefault(name, (match[2], read))
    syntax, syntax_line = found.get("syntax", ("", 0))
    escape, escape_line = ("", 0) if start else found.get("escape", ("", 0))
    return Directives(
        syntax=syntax.split(" ", 1)[0] or None,
        syntax_line=syntax_line,
        escape=escape if escape == "`" else "\\",
        escape_line=escape_line,
        lines=read,
    )


def is_official(syntax: str | None) -> bool:
    """Whether the frontend is Docker's own, the one whose rules this package follows."""
    return syntax is None or _OFFICIAL.match(syntax) is not None
