"""Which line a syntax error stands on: BuildKit's parser knows, and the package `dockerfile` does not say."""

from __future__ import annotations

import re
from typing import Final

import dockerfile as buildkit

_HEREDOC: Final = re.compile(r"<<(-?)\s*(['\"]?)([a-zA-Z][a-zA-Z0-9]*)\2")
_TAKES_HEREDOC: Final = re.compile(r"(?i)\s*(?:ONBUILD\s+)?(?:RUN|COPY|ADD)\s")
_UNTERMINATED: Final = "unterminated heredoc"


def find_line(text: str, message: str) -> int:
    """The line at which the parser fails with `message`, found by parsing ever better chosen beginnings."""
    lines = text.split("\n")
    if message == _UNTERMINATED:
        return _find_heredoc(lines)
    good, bad = 0, len(lines)
    while bad - good > 1:
        middle = (good + bad) // 2
        if _fails("\n".join(lines[:middle]), message):
            bad = middle
        else:
            good = middle
    return bad


def _fails(text: str, message: str) -> bool:
    try:
        buildkit.parse_string(text)
    except buildkit.GoParseError as error:
        return str(error) == message
    return False


def _find_heredoc(lines: list[str]) -> int:
    """The first line that opens a here-document which no later line closes."""
    number = 0
    while number < len(lines):
        opened = _HEREDOC.findall(lines[number]) if _TAKES_HEREDOC.match(lines[number]) else []
        position = number
        for dash, _, name in opened:
            position += 1
            while position < len(lines) and (lines[position].lstrip("\t") if dash else lines[position]) != name:
                position += 1
            if position == len(lines):
                return number + 1
        number = position + 1
    return len(lines)
