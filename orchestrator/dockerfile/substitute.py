"""Variables in the words of a Dockerfile: `$X`, `${X:-default}`, quotes and escapes (BuildKit, shell/lex.go)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from orchestrator.dockerfile.patterns import (
    PatternError,
    parse_pattern,
    replace_matches,
    trim_prefix,
    trim_suffix,
)
from orchestrator.model import Model

MAX_DEPTH: Final = 32
MAX_LENGTH: Final = 64 * 1024

_SPECIAL_PARAMETERS: Final = frozenset("@*#?-$!0")
_MODIFIERS: Final = frozenset("+-?#%")


class SubstitutionError(ValueError):
    """A word that cannot be expanded; the message says why."""


class Expansion(Model):
    """A word after expansion, and the variables that it asked for, set and not set."""

    text: str
    used: frozenset[str] = frozenset()
    missing: frozenset[str] = frozenset()


def is_plain(word: str, escape: str) -> bool:
    """Whether a word stands for itself."""
    return not ("$" in word or "'" in word or '"' in word or escape in word)


def expand(word: str, environment: Mapping[str, str], *, escape: str = "\\") -> Expansion:
    """Expand the variables of a word, and take its quotes and escapes away.

    Raises:
        SubstitutionError: the syntax is wrong, a `${X:?message}` applies, or nesting or length is out of bounds.
    """
    if is_plain(word, escape):
        return Expansion(text=word)
    lexer = _Lexer(word, environment, escape)
    text = lexer.read_until("", raw=False)
    return Expansion(text=text, used=frozenset(lexer.used), missing=frozenset(lexer.missing))


class _Lexer:
    """One pass over a word; the methods are those of BuildKit's `shellWord`, quirks included."""

    def __init__(self, word: str, environment: Mapping[str, str], escape: str) -> None:
        self.used: set[str] = set()
        self.missing: set[str] = set()
        self._word = word
        self._position = 0
        self._environment = environment
        self._escape = escape
        self._raw = False
        self._depth = 0

    def read_until(self, stop: str, *, raw: bool) -> str:
        """Expand up to the character `stop`, or to the end where it is empty; `raw` keeps escapes for patterns."""
        if self._depth == MAX_DEPTH:
            msg = f"substitutions are nested more than {MAX_DEPTH} deep"
            raise SubstitutionError(msg)
        before, self._raw = self._raw, raw
        self._depth += 1
        parts: list[str] = []
        length = 0
        while (letter := self._peek()) and letter != stop:
            parts.append(self._piece(letter))
            length += len(parts[-1])
            if length > MAX_LENGTH:
                msg = f"the expanded text is longer than {MAX_LENGTH} characters"
                raise SubstitutionError(msg)
        if self._next() != stop:
            msg = f"missing `{stop}` in a substitution"
            raise SubstitutionError(msg)
        self._raw = before
        self._depth -= 1
        return "".join(parts)

    def _peek(self) -> str:
        return self._word[self._position : self._position + 1]

    def _next(self) -> str:
        letter = self._peek()
        self._position += 1
        return letter

    def _piece(self, letter: str) -> str:
        if letter == "'":
            return self._single_quoted()
        if letter == '"':
            return self._double_quoted()
        if letter == "$":
            return self._variable()
        self._next()
        if letter != self._escape:
            return letter
        return (letter if self._raw else "") + self._next()

    def _single_quoted(self) -> str:
        start = self._position + 1
        end = self._word.find("'", start)
        if end < 0:
            msg = "missing the closing single quote"
            raise SubstitutionError(msg)
        self._position = end + 1
        return self._word[start:end]

    def _double_quoted(self) -> str:
        self._next()
        parts: list[str] = []
        while (letter := self._peek()) != '"':
            if not letter:
                msg = "missing the closing double quote"
                raise SubstitutionError(msg)
            parts.append(self._variable() if letter == "$" else self._double_quoted_letter())
        self._next()
        return "".join(parts)

    def _double_quoted_letter(self) -> str:
        letter = self._next()
        if letter != self._escape:
            return letter
        kept = letter if self._raw else ""
        following = self._peek()
        if not following:
            return kept
        return kept + (self._next() if following in {'"', "$", self._escape} else letter)

    def _variable(self) -> str:
        self._next()
        if self._peek() != "{":
            name = self._name()
            return self._get(name)[0] if name else "$"
        self._next()
        if self._peek() in {"", "{", "}", ":"}:
            msg = "bad substitution: `${` needs the name of a variable and a closing `}`"
            raise SubstitutionError(msg)
        name = self._name()
        modifier = self._next()
        if modifier == "}":
            return self._get(name)[0]
        if modifier == "/":
            return self._replaced(name)
        colon = modifier == ":"
        if colon:
            modifier = self._next()
        if modifier not in _MODIFIERS:
            shown = ("${" + name + (":" if colon else "") + modifier).rstrip()
            msg = f"unsupported modifier in substitution `{shown}`" if modifier else "missing `}` in a substitution"
            raise SubstitutionError(msg)
        return self._modified(name, modifier, null_is_unset=colon)

    def _name(self) -> str:
        first = self._peek()
        if first.isdecimal():
            start = self._position
            while self._peek().isdecimal():
                self._position += 1
            return self._word[start : self._position]
        if first in _SPECIAL_PARAMETERS:
            return self._next()
        start = self._position
        while (letter := self._peek()) and (letter == "_" or letter.isalpha() or letter.isdecimal()):
            self._position += 1
        return self._word[start : self._position]

    def _get(self, name: str) -> tuple[str, bool]:
        value = self._environment.get(name)
        (self.missing if value is None else self.used).add(name)
        return value or "", value is not None

    def _modified(self, name: str, modifier: str, *, null_is_unset: bool) -> str:
        word = self.read_until("}", raw=modifier in {"#", "%"})
        value, is_set = self._get(name)
        if modifier in {"#", "%"}:
            return self._trimmed(modifier, word, value)
        present = is_set and not (null_is_unset and not value)
        if modifier == "+":
            return word if present else ""
        if present:
            return value
        if modifier == "-":
            return word
        msg = f"`{name}`: {word or ('is not allowed to be empty' if is_set else 'is not allowed to be unset')}"
        raise SubstitutionError(msg)

    def _trimmed(self, modifier: str, word: str, value: str) -> str:
        longest = word.startswith(modifier)
        trim = trim_prefix if modifier == "#" else trim_suffix
        try:
            return trim(parse_pattern(word[1:] if longest else word), value, longest=longest)
        except PatternError as error:
            raise SubstitutionError(str(error)) from error

    def _replaced(self, name: str) -> str:
        everywhere = self._peek() == "/"
        if everywhere:
            self._next()
        pattern = self.read_until("/", raw=True)
        replacement = self.read_until("}", raw=True)
        value, _ = self._get(name)
        try:
            return replace_matches(parse_pattern(pattern), value, replacement, everywhere=everywhere)
        except PatternError as error:
            raise SubstitutionError(str(error)) from error
