"""Where keys and values stand in a TOML text: a tolerant scanner, since no TOML library of Python tells positions.

It trusts that the parser decides what is legal; here everything that looks like a key or a value is reported, a line
that cannot be read is left out, and what is nested deeper than any table of ours is not looked at.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum
from typing import Final, TypeAlias

import tomli

from orchestrator.model import Model

Keys: TypeAlias = tuple[str | int, ...]
Offsets: TypeAlias = tuple[int, int]


class Mention(Enum):
    """How a text speaks of a key path."""

    STATEMENT = "key = value, as a statement"
    INLINE = "key = value, in an inline table"
    ELEMENT = "an element of a list"
    HEADER = "the header of a table"
    PASSING = "a part of a longer key"


class Found(Model):
    """One mention of a key path; `key` and `value` are offsets, equal where there is only one thing to point at."""

    keys: Keys
    key: Offsets
    value: Offsets
    mention: Mention


class Scan(Model):
    """How a scan ended: where lines could not be read, and where the brackets stand that were open there."""

    stops: tuple[int, ...]
    opened: tuple[int, ...]


def scan(text: str, visit: Callable[[Found], None]) -> Scan:
    """Read the whole text once and call `visit` with every mention, an inner one before the one around it."""
    scanner = _Scanner(text, visit)
    scanner.document()
    return Scan(stops=tuple(scanner.stops), opened=tuple(scanner.opened))


_MAX_DEPTH: Final = 32
# No group is repeated possessively: Python before 3.11.5 matches that wrongly (python/cpython#106052).
_BLANK: Final = re.compile(r"(?:[ \t\r\n\ufeff]++|#[^\n]*+)*")
_SPACE: Final = re.compile(r"[ \t]*+")
_REST: Final = re.compile(r"[^\n]*+\n?")
_PART: Final = re.compile(r"""[A-Za-z0-9_-]++|"(?:[^"\\\n]++|\\[^\n])*"|'[^'\n]*+'""")
_SCALAR: Final = re.compile(
    r'''"""(?:[^"\\]++|\\[\s\S]|"(?!""))*"{3,5}'''
    r"""|'{3}(?:[^']++|'(?!''))*'{3,5}"""
    r'''|"(?!"")(?:[^"\\\n]++|\\[^\n])*"'''
    r"""|'(?!'')[^'\n]*+'"""
    r"""|\d{4}-\d\d-\d\d(?:[Tt ]\d\d:[0-9:.]*+(?:[Zz]|[+-]\d\d:\d\d)?)?"""
    r"""|[A-Za-z0-9_+.:-]++"""
)


class _StopError(Exception):
    """This statement cannot be read further."""


class _Part(Model):
    name: str
    at: Offsets


class _Scanner:
    def __init__(self, text: str, visit: Callable[[Found], None]) -> None:
        self.text = text
        self.visit = visit
        self.position = 0
        self.table: Keys = ()
        self.lengths: dict[Keys, int] = {}
        self.stops: list[int] = []
        self.opened: list[int] = []
        self._open: list[int] = []

    def document(self) -> None:
        while self._skip(_BLANK) < len(self.text):
            self._open.clear()
            try:
                if self._peek("["):
                    self._header()
                else:
                    self._pair(self.table, Mention.STATEMENT)
            except _StopError:
                self.stops.append(self.position)
                self.opened.extend(self._open)
            self._skip(_REST)

    def _header(self) -> None:
        start = self.position
        brackets = 2 if self.text.startswith("[[", start) else 1
        self.position += brackets
        *leading, last = self._key()
        keys = (*self._enter((), leading), last.name)
        end = self.position + brackets
        if self.text[self.position : end] != "]" * brackets:
            raise _StopError
        at = (start, end)
        self.visit(Found(keys=keys, key=last.at, value=at, mention=Mention.HEADER))
        if brackets == 2:  # noqa: PLR2004 - an array of tables
            position = self.lengths.get(keys, 0)
            self.lengths[keys] = position + 1
            keys = (*keys, position)
            self.visit(Found(keys=keys, key=last.at, value=at, mention=Mention.HEADER))
        self.table = keys
        self.position = end

    def _pair(self, table: Keys, mention: Mention) -> None:
        *leading, last = self._key()
        keys = (*self._enter(table, leading), last.name)
        if not self._peek("="):
            raise _StopError
        self.position += 1
        self._skip(_SPACE)
        start = self.position
        try:
            self._value(keys)
        finally:  # a value that cannot be read to its end has a place as well
            self.visit(Found(keys=keys, key=last.at, value=(start, self.position), mention=mention))

    def _key(self) -> list[_Part]:
        parts: list[_Part] = []
        while not parts or (self._peek(".") and len(parts) < _MAX_DEPTH):
            self.position += 1 if parts else 0
            self._skip(_SPACE)
            match = _PART.match(self.text, self.position)
            if match is None:
                raise _StopError
            self.position = match.end()
            parts.append(_Part(name=_unquoted(match.group()), at=match.span()))
            self._skip(_SPACE)
        return parts

    def _enter(self, table: Keys, parts: list[_Part]) -> Keys:
        """Go down the leading parts of a dotted key, into the latest element where one is an array of tables."""
        keys = table
        for part in parts:
            keys = (*keys, part.name)
            self.visit(Found(keys=keys, key=part.at, value=part.at, mention=Mention.PASSING))
            if keys in self.lengths:
                keys = (*keys, self.lengths[keys] - 1)
        return keys

    def _value(self, keys: Keys) -> None:
        if len(keys) > _MAX_DEPTH:
            raise _StopError
        if self._peek("["):
            self._items(keys, "]")
        elif self._peek("{"):
            self._items(keys, "}")
        else:
            match = _SCALAR.match(self.text, self.position)
            if match is None:
                raise _StopError
            self.position = match.end()

    def _items(self, keys: Keys, closing: str) -> None:
        self._open.append(self.position)
        self.position += 1
        count = 0
        while True:
            self._skip(_BLANK)
            if self._peek(closing):
                break
            if closing == "}":
                self._pair(keys, Mention.INLINE)
            else:
                self._element((*keys, count))
            count += 1
            self._skip(_BLANK)
            if not self._peek(","):
                break
            self.position += 1
        if not self._peek(closing):
            raise _StopError
        self.position += 1
        self._open.pop()

    def _element(self, keys: Keys) -> None:
        start = self.position
        self._value(keys)
        at = (start, self.position)
        self.visit(Found(keys=keys, key=at, value=at, mention=Mention.ELEMENT))

    def _peek(self, character: str) -> bool:
        return self.text.startswith(character, self.position)

    def _skip(self, pattern: re.Pattern[str]) -> int:
        match = pattern.match(self.text, self.position)
        self.position = match.end() if match else self.position
        return self.position


def _unquoted(part: str) -> str:
    if part[0] not in "\"'":
        return part
    if "\\" not in part or part[0] == "'":
        return part[1:-1]
    try:
        return str(tomli.loads(f"key = {part}")["key"])
    except tomli.TOMLDecodeError:
        return part
