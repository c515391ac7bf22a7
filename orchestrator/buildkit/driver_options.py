"""The options of a node's driver, as buildx tells them: letter by letter or not at all: builders are made of them."""

from __future__ import annotations

import re
from typing import Final, TypeAlias

Options: TypeAlias = tuple[tuple[str, str], ...]

_MOST: Final = 100
_LONGEST: Final = 20_000
_OPTION: Final = re.compile(r'([^\s="\\]+)="((?:[^"\\]|\\["\\])*)"(?: |\Z)')
_ESCAPED: Final = re.compile(r'\\(["\\])')
_REPLACED: Final = "\ufffd"


def parse_options(text: str) -> Options | None:
    """Read `Driver Options: a="b" c="d"` of `buildx inspect`, whose values Go has quoted; sorted by name.

    None where that is not what it is, or a value holds letters that cannot be printed.
    """
    found: list[tuple[str, str]] = []
    position = 0
    while position < len(text) <= _LONGEST:
        match = _OPTION.match(text, position)
        if match is None:
            return None
        found.append((match[1], _ESCAPED.sub(r"\1", match[2])))
        position = match.end()
    return _checked(found) if position == len(text) else None


def options_of(tree: object) -> Options | None:
    """Read `DriverOpts` of `buildx ls`, which is an object of JSON or missing; as `parse_options`."""
    if tree is None:
        return ()
    if not isinstance(tree, dict) or not all(isinstance(value, str) for value in tree.values()):
        return None
    return _checked(list(tree.items()))


def _checked(found: list[tuple[str, str]]) -> Options | None:
    legible = all(text.isprintable() and _REPLACED not in text for option in found for text in option)
    return tuple(sorted(found)) if legible and len(dict(found)) == len(found) <= _MOST else None
