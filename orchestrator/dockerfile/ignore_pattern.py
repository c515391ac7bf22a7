"""One pattern of a `.dockerignore` as the engine reads it (moby/patternmatcher, `Pattern.compile`).

The engine turns a pattern into text, an end of text, or a regular expression, and its way of doing so has corners that
decide which files are in an image: `**.md` matches `ab.md` and `**.m?` does not; `{2}`, `|` and `^` reach the regular
expression beside any wildcard and count there; `*` within brackets is replaced before the brackets are read. So it is
done here in the same two steps, and the regular expression is read as Go reads it.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final, assert_never

from orchestrator.dockerfile.automaton import ANYTHING, Chain, literal
from orchestrator.dockerfile.goregexp import parse_regexp
from orchestrator.dockerfile.wildcard import check_beginning

_ESCAPED: Final = frozenset(".+()$")
"""`|{}` were meant to be escaped too; a shift that overflows lets them through."""


class _Form(Enum):
    TEXT = auto()
    BEGINNING = auto()
    END = auto()
    REGEXP = auto()


def compile_pattern(pattern: str) -> tuple[Chain, ...]:
    """The chains of which one has to match a whole path.

    Raises:
        WildcardError: the engine refuses it when it reads the file.
        RegexpError: the engine fails on it as soon as it is needed, or it is not supported here.
    """
    check_beginning(pattern)
    form, expression = _translate(pattern)
    match form:
        case _Form.TEXT:
            return (literal(pattern),)
        case _Form.BEGINNING:
            return ((*literal(pattern[:-2]), ANYTHING),)
        case _Form.END:
            end = pattern[2:]
            chains: list[Chain] = [(ANYTHING, *literal(end))]
            if end.startswith("/"):
                chains.append(literal(end[1:]))
            return tuple(chains)
        case _Form.REGEXP:
            return parse_regexp(expression)
        case _:
            assert_never(form)


def _translate(pattern: str) -> tuple[_Form, str]:
    parts = ["^"]
    form = _Form.TEXT
    at = 0
    while at < len(pattern):
        letter, first = pattern[at], at == 0
        at += 1
        if pattern.startswith("**", at - 1):
            at += 1 + pattern.startswith("/", at + 1)
            form = _double_star(parts, form, ends=at == len(pattern))
            form = _Form.END if first else form
        elif letter in "*?":
            parts.append("[^/]*" if letter == "*" else "[^/]")
            form = _Form.REGEXP
        elif letter in _ESCAPED:
            parts.append("\\" + letter)
        else:
            if letter == "\\":  # the last one escapes the `$`, as it does there
                letter, at = pattern[at - 1 : at + 1], at + 1
            form = _Form.REGEXP if letter[0] in "\\[]" else form
            parts.append(letter)
    return form, "".join(parts) + "$"


def _double_star(parts: list[str], form: _Form, *, ends: bool) -> _Form:
    if ends and form is _Form.TEXT:
        return _Form.BEGINNING
    parts.append(".*" if ends else "(.*/)?")
    return _Form.REGEXP
