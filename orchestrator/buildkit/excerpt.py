"""Where in a Dockerfile a build failed: what buildx prints between the lines of its progress.

```text
Dockerfile:3
--------------------
   2 |     RUN echo hello
   3 | >>> RUN exit 7
   4 |
--------------------
```

(buildkit `solver/errdefs/source.go`.) The name is that of the file alone, without its folder.
"""

from __future__ import annotations

import re
from typing import Final

from orchestrator.model import Model

_PLACE: Final = re.compile(r"([^\s/][^/\n]{0,254}):([0-9]{1,7})")
_RULE: Final = "-" * 20
_SOURCE: Final = re.compile(r" *[0-9]{1,7} \|(?: .*)?")
_BLOCK: Final = re.compile(rf"^{_PLACE.pattern}\n{_RULE}\n(?:{_SOURCE.pattern}\n)+{_RULE}(?:\n|\Z)", re.MULTILINE)
_MOST_LINES: Final = 20
_LONGEST_LINE: Final = 400


class Excerpt(Model):
    """A line of a file, and the lines around it as buildx prints them."""

    file: str
    line: int
    lines: tuple[str, ...]


class ExcerptReader:
    """Takes lines one by one; what it gives is complete, and bounded."""

    def __init__(self) -> None:
        self._place: tuple[str, int] | None = None
        self._lines: list[str] | None = None

    def feed(self, line: str) -> Excerpt | None:
        """The excerpt that ends with this line."""
        line = line.rstrip("\r")
        if self._place is None or (self._lines is None and line != _RULE):
            match = _PLACE.fullmatch(line)
            self._place = (match[1], int(match[2])) if match else None
            return None
        if self._lines is None:
            self._lines = []
            return None
        if _SOURCE.fullmatch(line):
            self._lines.append(line[:_LONGEST_LINE].rstrip())
            return None
        (file, number), lines = self._place, self._lines
        self._place = self._lines = None
        return Excerpt(file=file, line=number, lines=_bounded(lines)) if line == _RULE and lines else None


def without_excerpts(text: str) -> str:
    """A text without the lines of excerpts."""
    return _BLOCK.sub("", text)


def _bounded(lines: list[str]) -> tuple[str, ...]:
    """So many lines that they can be shown: a heredoc may have hundreds, all of them marked."""
    if len(lines) <= _MOST_LINES:
        return tuple(lines)
    return (*lines[: _MOST_LINES - 1], f"     | … {len(lines) - _MOST_LINES + 1} more lines")
