"""Reads what tools print: nothing of it is believed to have the shape, the size or the letters that it should."""

from __future__ import annotations

from typing import Final

import msgspec

_TEXT: Final = 500
_ITEMS: Final = 1000


class UnreadableError(ValueError):
    """A tool printed something else than it should."""


def decode_json(output: bytes) -> object:
    """One JSON document.

    Raises:
        UnreadableError: it is none.
    """
    try:
        return msgspec.json.decode(output)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        msg = f"not JSON: {clean(str(error))}"
        raise UnreadableError(msg) from error


def at(tree: object, *keys: str) -> object:
    """What stands behind these keys; None where there is nothing, or something of another shape."""
    for key in keys:
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree


def text_at(tree: object, *keys: str) -> str:
    """The string behind these keys, made printable; empty where there is none."""
    value = at(tree, *keys)
    return clean(value) if isinstance(value, str) else ""


def items_at(tree: object, *keys: str) -> tuple[object, ...]:
    """The list behind these keys, at most its first 1,000 items; empty where there is none."""
    value = at(tree, *keys)
    return tuple(value[:_ITEMS]) if isinstance(value, list) else ()


def clean(text: str) -> str:
    """Text of others as one short line without control sequences: it will be shown on a terminal."""
    line = " ".join(text[: 4 * _TEXT].split())
    printable = "".join(letter for letter in line if letter.isprintable())
    return printable if len(printable) <= _TEXT else printable[:_TEXT] + "…"


def clean_lines(output: bytes) -> tuple[str, ...]:
    """The lines of a tool's output that say something, made printable; at most 1,000."""
    lines = (clean(line) for line in output.decode(errors="replace").splitlines()[:_ITEMS])
    return tuple(line for line in lines if line)
