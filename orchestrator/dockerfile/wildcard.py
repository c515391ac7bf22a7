"""Go's `filepath.Match`: the wildcards of `COPY`, and what the engine asks it about patterns of a `.dockerignore`."""

from __future__ import annotations

from typing import Final

from orchestrator.dockerfile.automaton import NO_SLASH, STAR, Chain, Charset, Item, Token

_WILD: Final = frozenset("*?[")


class WildcardError(ValueError):
    """Go calls it a syntax error in pattern."""


def has_wildcards(text: str) -> bool:
    """Whether there is any; a backslash makes the character after it an ordinary one."""
    letters = iter(text)
    for letter in letters:
        if letter == "\\":
            next(letters, None)
        elif letter in _WILD:
            return True
    return False


def parse_wildcards(pattern: str) -> Chain:
    """Read a pattern.

    Raises:
        WildcardError: a class that is not closed, empty or has a stray `-`, or a backslash at the end.
    """
    tokens: list[Token] = []
    at = 0
    while at < len(pattern):
        letter = pattern[at]
        at += 1
        if letter == "*":
            if not tokens or tokens[-1] != STAR:
                tokens.append(STAR)
        elif letter == "?":
            tokens.append(Item(NO_SLASH))
        elif letter == "[":
            charset, at = _parse_class(pattern, at)
            tokens.append(Item(charset))
        else:
            if letter == "\\":
                letter, at = _letter_at(pattern, at), at + 1
            tokens.append(Item(Charset(((ord(letter), ord(letter)),))))
    return tuple(tokens)


def check_beginning(pattern: str) -> None:
    """What `filepath.Match(pattern, ".")` finds to object to, which is how the engine checks a pattern.

    It reads a pattern in pieces between stars and stops at the first that `.` does not match, so mistakes behind that
    one pass.

    Raises:
        WildcardError: there is something.
    """
    name = "."
    while pattern:
        stripped = pattern.lstrip("*")
        end = _end_of_piece(stripped)
        tokens = parse_wildcards(stripped[:end])
        if not tokens or len(tokens) > len(name) or not isinstance(tokens[0], Item):
            return
        if not tokens[0].charset.has(ord(name)):
            return
        name, pattern = "", stripped[end:]


def _end_of_piece(pattern: str) -> int:
    """Where the next star is that is not in brackets, as Go sees them here: from `[` to the next `]`."""
    at, is_class = 0, False
    while at < len(pattern) and (pattern[at] != "*" or is_class):
        is_class = pattern[at] == "[" or (is_class and pattern[at] != "]")
        at += 1 + (pattern[at] == "\\")
    return min(at, len(pattern))


def _parse_class(pattern: str, at: int) -> tuple[Charset, int]:
    """A class from behind its bracket; a range from `z` to `a` is none, and no mistake."""
    negated = pattern[at : at + 1] == "^"
    at += negated
    ranges: list[tuple[int, int]] = []
    while _letter_at(pattern, at) != "]" or not ranges:
        first, at = _parse_member(pattern, at)
        last = first
        if _letter_at(pattern, at) == "-":
            last, at = _parse_member(pattern, at + 1)
        ranges.append((first, last))
    return Charset(tuple(ranges), negated), at + 1


def _parse_member(pattern: str, at: int) -> tuple[int, int]:
    letter = _letter_at(pattern, at)
    if letter in {"-", "]"}:
        raise WildcardError
    if letter == "\\":
        at += 1
        letter = _letter_at(pattern, at)
    _letter_at(pattern, at + 1)
    return ord(letter), at + 1


def _letter_at(pattern: str, at: int) -> str:
    if at >= len(pattern):
        raise WildcardError
    return pattern[at]
