"""Shell patterns of `${X#pattern}`, `${X%pattern}` and `${X/pattern/text}` (BuildKit, shell/lex.go).

BuildKit turns them into regular expressions for an engine that runs in linear time; Python's would take exponential
time on a hostile pattern, so the few tokens are matched here by walking all positions at once.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, TypeAlias

MAX_PATTERN: Final = 32
MAX_VALUE: Final = 256


class Wildcard(Enum):
    """`?` is any one character, `*` any number of them; neither is a line break."""

    ONE = "?"
    MANY = "*"


Pattern: TypeAlias = tuple[str | Wildcard, ...]

_WILDCARDS: Final = {wildcard.value: wildcard for wildcard in Wildcard}


class PatternError(ValueError):
    """A pattern that BuildKit refuses, or one that is too long to be worth its time."""


def parse_pattern(text: str) -> Pattern:
    """Read a pattern: `*` and `?` are wildcards, and a backslash makes them, itself, `}` and `/` ordinary.

    Raises:
        PatternError: another character is escaped, or the pattern is longer than `MAX_PATTERN`.
    """
    tokens: list[str | Wildcard] = []
    letters = iter(text)
    for letter in letters:
        if letter != "\\":
            tokens.append(_WILDCARDS.get(letter, letter))
            continue
        escaped = next(letters, "")
        if escaped not in {"*", "?", "\\", "}", "/"}:
            msg = f"invalid escape `\\{escaped}` in pattern `{text}`"
            raise PatternError(msg)
        tokens.append(escaped)
    if len(tokens) > MAX_PATTERN:
        msg = f"pattern of {len(tokens)} characters, at most {MAX_PATTERN} are supported"
        raise PatternError(msg)
    return tuple(tokens)


def match_ends(pattern: Pattern, value: str, start: int) -> tuple[int, ...]:
    """Where matches that begin at `start` end, ascending; empty where there is none."""
    ends: list[int] = []
    states = _skip_stars(pattern, {0})
    for position in range(start, len(value)):
        if len(pattern) in states:
            ends.append(position)
        states = _step(pattern, states, value[position])
    if len(pattern) in states:
        ends.append(len(value))
    return tuple(ends)


def trim_prefix(pattern: Pattern, value: str, *, longest: bool) -> str:
    """`value` less the shortest or longest beginning that matches.

    Raises:
        PatternError: the value is longer than `MAX_VALUE`.
    """
    _check_length(value)
    ends = match_ends(pattern, value, 0)
    return value[ends[-1 if longest else 0] :] if ends else value


def trim_suffix(pattern: Pattern, value: str, *, longest: bool) -> str:
    """`value` less the shortest or longest end that matches.

    Raises:
        PatternError: the value is longer than `MAX_VALUE`.
    """
    return trim_prefix(pattern[::-1], value[::-1], longest=longest)[::-1]


def replace_matches(pattern: Pattern, value: str, replacement: str, *, everywhere: bool) -> str:
    """`value` with the first, or every, longest match replaced; an empty match right after another one is none.

    Raises:
        PatternError: the value is longer than `MAX_VALUE`.
    """
    _check_length(value)
    parts: list[str] = []
    position, last_end = 0, -1
    while position <= len(value):
        ends = match_ends(pattern, value, position)
        if ends and not (ends[-1] == position == last_end):
            parts.append(replacement)
            last_end = ends[-1]
            if not everywhere:
                return "".join(parts) + value[last_end:]
            if last_end > position:
                position = last_end
                continue
        parts.append(value[position : position + 1])
        position += 1
    return "".join(parts)


def _check_length(value: str) -> None:
    if len(value) > MAX_VALUE:
        msg = f"value of {len(value)} characters, at most {MAX_VALUE} are supported where a pattern is applied"
        raise PatternError(msg)


def _step(pattern: Pattern, states: set[int], letter: str) -> set[int]:
    """The states after one more character."""
    following: set[int] = set()
    for state in states:
        if state == len(pattern):
            continue
        token = pattern[state]
        if token is Wildcard.MANY:
            if letter != "\n":
                following.add(state)
        elif token == letter or (token is Wildcard.ONE and letter != "\n"):
            following.add(state + 1)
    return _skip_stars(pattern, following)


def _skip_stars(pattern: Pattern, states: set[int]) -> set[int]:
    """The states with those that are reached by letting stars match nothing."""
    reached = set(states)
    for state in states:
        current = state
        while current < len(pattern) and pattern[current] is Wildcard.MANY:
            current += 1
            reached.add(current)
    return reached
