"""Masking of what looks like a credential in a text that is shown to people."""

from __future__ import annotations

import re
from typing import Final

from orchestrator.config.credentials import is_credential, looks_like_credential, userinfo_spans
from orchestrator.config.scan import Found, Mention, scan

_VALUES: Final = frozenset({Mention.STATEMENT, Mention.INLINE, Mention.ELEMENT})
_VISIBLE: Final = re.compile(r"""[^\s"'\[\]{}]""")
_SOLID: Final = re.compile(r"\S")
_NAME: Final = re.compile(r"""(?<![A-Za-z0-9_.-])([A-Za-z0-9_.-]++)["']?[ \t]*+[=:][ \t]*+""")
_VALUE: Final = re.compile(
    r"""\[\[?[^\n]*|\{[^\n]*|"(?:[^"\\\n]++|\\[^\n])*"?|'[^'\n]*+'?|[^\s,\]}#"'\[{][^\s,\]}#]*+"""
)


def mask(text: str, file: str) -> str:
    """The text with stars for credentials: values of keys that look like them, user information of URLs.

    Nothing moves its place.
    """
    text = _starred(text, list(userinfo_spans(text)), _SOLID)
    if file.endswith(".toml"):
        text = _starred(text, _values_of_keys(text))
    return _starred(text, _assigned_values(text))


def _values_of_keys(text: str) -> list[tuple[int, int]]:
    """What belongs to the key of a credential by the structure of the text, over however many lines."""
    ranges: list[tuple[int, int]] = []

    def visit(found: Found) -> None:
        if found.mention in _VALUES and is_credential(found.keys):
            ranges.append(found.value)

    scan(text, visit)
    return ranges


def _assigned_values(text: str) -> list[tuple[int, int]]:
    """What stands behind the name of a credential and `=` or `:`, in a text of any kind or one that is broken."""
    names = (match for match in _NAME.finditer(text) if looks_like_credential(match[1].rpartition(".")[2]))
    values = (_VALUE.match(text, match.end()) for match in names)
    return [value.span() for value in values if value]


def _starred(text: str, ranges: list[tuple[int, int]], letters: re.Pattern[str] = _VISIBLE) -> str:
    pieces: list[str] = []
    position = 0
    for start, end in sorted(ranges):
        if start >= position:
            pieces.extend((text[position:start], letters.sub("*", text[start:end])))
            position = end
    return "".join((*pieces, text[position:]))
