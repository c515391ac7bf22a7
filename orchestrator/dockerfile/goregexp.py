r"""The part of Go's regular expressions (regexp/syntax) that patterns of a `.dockerignore` can come to.

Characters, classes, repetition, `^`, `$`, `|` and the one group `(.*/)?`. What is left out is `\b`, `\p`, `\Q` and
characters by number: a backslash before a letter is a mistake in such a file, not an expression that somebody wanted.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final, TypeAlias

from orchestrator.dockerfile.automaton import (
    ANYTHING,
    LAST,
    NO_NEWLINE,
    Chain,
    Charset,
    Folders,
    Item,
    Token,
)

MAX_REPEAT: Final = 1000
"""As in Go, regexp/syntax."""

_GROUP: Final = Folders.ANY.value
_REPEAT: Final = re.compile(r"\{(0|[1-9][0-9]*)(,(0|[1-9][0-9]*)?)?\}")
_NAMED: Final = re.compile(r"\[:(\^?)(.*?):\]", re.DOTALL)
_DIGITS: Final = ((48, 57),)
_WORD: Final = ((48, 57), (65, 90), (95, 95), (97, 122))
_PERL: Final = {"d": _DIGITS, "s": ((9, 10), (12, 13), (32, 32)), "w": _WORD}
_CONTROL: Final = {"a": 7, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11}
_POSIX: Final = {
    "alnum": ((48, 57), (65, 90), (97, 122)),
    "alpha": ((65, 90), (97, 122)),
    "ascii": ((0, 127),),
    "blank": ((9, 9), (32, 32)),
    "cntrl": ((0, 31), (127, 127)),
    "digit": _DIGITS,
    "graph": ((33, 126),),
    "lower": ((97, 122),),
    "print": ((32, 126),),
    "punct": ((33, 47), (58, 64), (91, 96), (123, 126)),
    "space": ((9, 13), (32, 32)),
    "upper": ((65, 90),),
    "word": _WORD,
    "xdigit": ((48, 57), (65, 70), (97, 102)),
}
_Ranges: TypeAlias = tuple[tuple[int, int], ...]


class RegexpError(ValueError):
    """An expression that Go refuses, or that is not supported here; the message says which."""


class _Edge(Enum):
    """The beginning or the end of the text."""

    BEGIN = "^"
    END = "$"


_Atom: TypeAlias = Token | _Edge
_EDGES: Final = {"^": _Edge.BEGIN, "$": _Edge.END, "\\A": _Edge.BEGIN, "\\z": _Edge.END}


def parse_regexp(expression: str) -> tuple[Chain, ...]:
    """Read an expression that is looked for anywhere in a text; the chains match the whole text.

    Raises:
        RegexpError: it cannot be read.
    """
    chains = [_anchor(branch) for branch in _Parser(expression).branches()]
    return tuple(chain for chain in chains if chain is not None)


def _anchor(atoms: list[_Atom]) -> Chain | None:
    """What may stand before and after; None where text would have to stand before the beginning or behind the end."""
    begins = [place for place, atom in enumerate(atoms) if atom is _Edge.BEGIN]
    ends = [place for place, atom in enumerate(atoms) if atom is _Edge.END]
    first, last = (begins[-1] + 1 if begins else 0), (ends[0] if ends else len(atoms))
    outside = [*atoms[:first], *atoms[last:]]
    if any(isinstance(atom, Item) and not atom.skip for atom in outside):
        return None
    inside = [atom for atom in atoms[first:last] if not isinstance(atom, _Edge)]
    return (*(() if begins else (ANYTHING,)), *inside, *(() if ends else (ANYTHING,)))


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._repeated = False

    def branches(self) -> list[list[_Atom]]:
        found: list[list[_Atom]] = [[]]
        while self._at < len(self._text):
            letter = self._text[self._at]
            repeat = _REPEAT.match(self._text, self._at) if letter == "{" else None
            if repeat is not None or letter == "*":
                self._repeat(found[-1], repeat)
                continue
            self._repeated = False
            if letter == "|":
                found.append([])
                self._at += 1
            elif self._text.startswith(_GROUP, self._at):
                found[-1].append(Folders.ANY)
                self._at += len(_GROUP)
                self._repeated = True
            else:
                found[-1].append(self._atom(letter))
        return found

    def _repeat(self, atoms: list[_Atom], repeat: re.Match[str] | None) -> None:
        """Repeat the last atom, once: Go allows no repetition of a repetition."""
        if self._repeated or not atoms:
            raise _syntax_error(self._text)
        self._repeated = True
        atom = atoms.pop()
        if repeat is None:
            self._at += 1
            least, most = 0, None
        else:
            self._at = repeat.end()
            least = _count(repeat[1])
            most = _count(repeat[3]) if repeat[3] else None if repeat[2] else least
        if least > MAX_REPEAT or (most is not None and not least <= most <= MAX_REPEAT):
            raise _syntax_error(self._text)
        if not isinstance(atom, Item):
            atoms += [atom] if least else []
            return
        atoms += [atom] * least
        atoms += [atom._replace(skip=True, loop=True)] if most is None else [atom._replace(skip=True)] * (most - least)

    def _atom(self, letter: str) -> _Atom:
        if letter == "\\" or letter in _EDGES:
            token = self._text[self._at : self._at + 1 + (letter == "\\")]
            if token in _EDGES:
                self._at += len(token)
                return _EDGES[token]
        if letter == "[":
            return Item(self._class())
        if letter == ".":
            self._at += 1
            return Item(NO_NEWLINE)
        return Item(Charset(self._letters()))

    def _class(self) -> Charset:
        self._at += 1
        negated = self._text.startswith("^", self._at)
        self._at += negated
        ranges: list[tuple[int, int]] = []
        first = True
        while first or not self._text.startswith("]", self._at):
            first = False
            ranges += self._named() or self._range()
        self._at += 1
        return Charset(tuple(ranges), negated)

    def _named(self) -> _Ranges:
        """`[:alpha:]`; nothing where none stands."""
        named = _NAMED.match(self._text, self._at)
        if named is None:
            return ()
        if named[2] not in _POSIX:
            raise _syntax_error(self._text)
        self._at = named.end()
        return _complement(_POSIX[named[2]]) if named[1] else _POSIX[named[2]]

    def _range(self) -> _Ranges:
        first = self._letters()
        is_range = self._text.startswith("-", self._at) and not self._text.startswith("-]", self._at)
        if not is_range or not _is_letter(first):
            return first
        self._at += 1
        last = self._letters()
        if not _is_letter(last) or last[0][0] < first[0][0]:
            raise _syntax_error(self._text)
        return ((first[0][0], last[0][0]),)

    def _letters(self) -> _Ranges:
        """A character, or the class of a backslash and a letter."""
        if self._at >= len(self._text):
            raise _syntax_error(self._text)
        letter = self._text[self._at]
        self._at += 1
        if letter != "\\":
            return ((ord(letter), ord(letter)),)
        letter = self._text[self._at]  # at least the `$` with which every expression ends
        self._at += 1
        if letter.lower() in _PERL:
            return _PERL[letter] if letter in _PERL else _complement(_PERL[letter.lower()])
        code = _CONTROL.get(letter, ord(letter))
        if letter not in _CONTROL and (letter.isalnum() or not letter.isascii()):
            raise _unsupported(letter)
        return ((code, code),)


def _count(digits: str) -> int:
    """Too many digits are too large a number, and not worth to be read."""
    return int(digits) if len(digits) <= len(str(MAX_REPEAT)) else MAX_REPEAT + 1


def _is_letter(ranges: _Ranges) -> bool:
    return len(ranges) == 1 and ranges[0][0] == ranges[0][1]


def _complement(ranges: _Ranges) -> _Ranges:
    found: list[tuple[int, int]] = []
    following = 0
    for first, last in ranges:
        if following < first:
            found.append((following, first - 1))
        following = last + 1
    return (*found, (following, LAST))


def _syntax_error(expression: str) -> RegexpError:
    return RegexpError(f"the engine makes the regular expression `{expression[:200]}` of it, which is none")


def _unsupported(letter: str) -> RegexpError:
    return RegexpError(f"`\\{letter}` has a meaning of its own in the regular expression that the engine makes of it")
