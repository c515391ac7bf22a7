"""What TOML allows and nothing behind it can carry: NUL characters, numbers that are none, trees without a bottom."""

from __future__ import annotations

import re
from math import isfinite
from typing import Final

from orchestrator.config.findings import Findings, is_integer
from orchestrator.config.scan import Keys
from orchestrator.config.syntax import Tree

_NUL_ESCAPE: Final = re.compile(r"\\(?:u0000|U00000000|x00)")
_MAX_DEPTH: Final = 32


def check_strict(tree: Tree, text: str, findings: Findings) -> None:
    """Add the strings with a NUL, and what the free tables of backends may not hold."""
    if _NUL_ESCAPE.search(text):
        _check(tree, findings, ())
    elif "backends" in tree:
        _check(tree["backends"], findings, ("backends",))


def _check(root: object, findings: Findings, keys: Keys) -> None:
    """Look at every value below one; with a list of what is to be done, since the depth is the user's."""
    waiting: list[tuple[object, Keys]] = [(root, keys)]
    while waiting:
        value, path = waiting.pop()
        if len(path) > _MAX_DEPTH:
            findings("too-deep", f"nested deeper than {_MAX_DEPTH} tables", findings.key(*path), "flatten it")
        elif isinstance(value, float) and not isfinite(value):
            findings(
                "illegal-value", f"expected a number, got `{value}`", findings.value(*path), "write a finite number"
            )
        elif isinstance(value, int) and not is_integer(value):
            findings("illegal-value", "an integer of more than 64 bits", findings.value(*path), "write a smaller one")
        elif isinstance(value, str) and "\0" in value:
            findings("illegal-character", "a NUL character in a string", findings.key(*path), "remove it")
        elif isinstance(value, dict):
            waiting.extend((inner, (*path, key)) for key, inner in value.items())
            waiting.extend((key, (*path, key)) for key in value if "\0" in key)
        elif isinstance(value, list):
            waiting.extend((inner, (*path, position)) for position, inner in enumerate(value))
