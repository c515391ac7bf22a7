"""`.dockerignore`: which files of a context reach a build, as BuildKit decides it.

The text is read like moby/patternmatcher's `ignorefile`, a tree is filtered like tonistiigi/fsutil's `filterFS`, which
does the walk of `docker buildx build`. There the last pattern that matches a path decides, and a pattern that decided
something about a folder counts for all that is in it. Three things follow from how that is written there:

- A pattern that could not change the verdict on a folder is not tried on it, so it does not count for what is below.
- The same rules are asked a second time when the content of a file is sent, and then such a pattern does count. Where
  the two differ, the file is in the image, and it is empty: `Fate.EMPTIED`.
- A folder is sent where something in it is, whatever the rules say about itself.

The Dockerfile and the ignore file are no exceptions: the engine reads both on its own, and `COPY .` brings them unless
a pattern matches them. A local named context is filtered by the `.dockerignore` in it, a remote one not at all.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from enum import Enum
from functools import cached_property
from typing import Final

from orchestrator.dockerfile.automaton import MEMORY, Automaton, State
from orchestrator.dockerfile.goregexp import RegexpError
from orchestrator.dockerfile.ignore_pattern import compile_pattern
from orchestrator.dockerfile.wildcard import WildcardError
from orchestrator.model import Model

NAME: Final = ".dockerignore"
MAX_PLACES: Final = 100_000
"""Characters of all patterns, repetitions written out."""

_MAX_LINE: Final = 64 * 1024
"""Of Go's `bufio.Scanner`: a longer line fails the build."""
_BLANKS: Final = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
"""What `strings.TrimSpace` trims; `str.strip` would trim more."""


class IgnoreError(ValueError):
    """A file that fails the build, or would have to be guessed at; `line` counts from 1, `hint` says what to do."""

    def __init__(self, line: int, message: str, hint: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message
        self.hint = hint


class Fate(Enum):
    """What becomes of a file."""

    KEPT = "kept"
    EXCLUDED = "excluded"
    EMPTIED = "emptied"


class IgnorePattern(Model):
    """One line; `negated` ones bring back what others excluded."""

    text: str
    negated: bool = False
    line: int = 0


class IgnoreRules(Model, dict=True):
    """The patterns of one file, in order. Equal patterns are equal rules."""

    patterns: tuple[IgnorePattern, ...] = ()

    @cached_property
    def key(self) -> str:
        """Equal for rules that treat every tree alike because they are the same; lines do not matter."""
        return "\0".join("!" * pattern.negated + pattern.text for pattern in self.patterns)

    @cached_property
    def top(self) -> IgnoreScope:
        """The rules as they are for the topmost folder of a context."""
        return IgnoreScope(_Compiled(self.patterns), _Met(), None)

    def fate(self, path: str) -> Fate:
        """What becomes of a file at this path, relative to the context, with slashes."""
        *folders, name = path.encode("utf-8", "surrogateescape").split(b"/")
        scope = self.top
        for folder in folders:
            scope = scope.enter(folder)
        return scope.fate(name)

    def excludes(self, path: str) -> bool:
        """Whether a file or folder is left out; a folder is there all the same where something in it is."""
        return self.fate(path) is Fate.EXCLUDED


class _Met(Model):
    """Sets of patterns, as bits: those that count for a folder, and all that match it or a folder above."""

    counting: int = 0
    matching: int = 0


class _Compiled:
    """The patterns as one automaton, and every scope that was needed, each once."""

    def __init__(self, patterns: tuple[IgnorePattern, ...], *, memory: int = MEMORY) -> None:
        chains = ((number, compile_pattern(pattern.text)) for number, pattern in enumerate(patterns))
        self.automaton = Automaton(chains, memory=memory)
        self.negated = sum(1 << number for number, pattern in enumerate(patterns) if pattern.negated)
        negated = [number for number, pattern in enumerate(patterns) if pattern.negated]
        others = [number for number, pattern in enumerate(patterns) if not pattern.negated]
        self.negated_places = self.automaton.places_of(negated)
        self.other_places = self.automaton.places_of(others)
        self.scopes: dict[tuple[State, _Met], IgnoreScope] = {}

    def scope(self, state: State, met: _Met) -> IgnoreScope:
        found = self.scopes.get((state, met))
        if found is None:
            found = IgnoreScope(self, met, state)
            if len(self.scopes) < self.automaton.remembered:
                self.scopes[state, met] = found
        return found

    def excludes(self, patterns: int) -> bool:
        """Whether the last of these excludes."""
        return patterns != 0 and not self.negated >> (patterns.bit_length() - 1) & 1

    def count(self, met: _Met, matching: int) -> int:
        """The patterns that count for a folder: those of the one above, and those that change the verdict."""
        counting, excluded = 0, False
        for bit in _bits(met.counting | matching):
            negated = bool(self.negated & bit)
            if met.counting & bit or negated == excluded:
                counting |= bit
                excluded = not negated
        return counting


class IgnoreScope:
    """The rules as they are for one folder. Names are bytes, as file systems have them.

    `is_excluded` is about the folder itself. `settled` is the fate of all that can be below, where it is known already:
    an excluded folder that is settled need not be looked into.
    """

    def __init__(self, compiled: _Compiled, met: _Met, state: State | None) -> None:
        self._compiled = compiled
        self._met = met
        self._state = compiled.automaton.start if state is None else state
        self._fates: dict[bytes, Fate] = {}
        self.is_excluded = compiled.excludes(met.counting)
        self.settled = self._settle()

    def fate(self, name: bytes) -> Fate:
        """What becomes of a file of this name."""
        found = self._fates.get(name)
        if found is None:
            found = self._fates[name] = self._decide(self._run(name).accepts)
        return found

    def enter(self, name: bytes) -> IgnoreScope:
        """The rules for a folder of this name."""
        state = self._run(name)
        met = self._met
        if state.accepts:
            counting = self._compiled.count(met, state.accepts)
            met = _Met(counting=counting, matching=met.matching | state.accepts)
        return self._compiled.scope(self._compiled.automaton.run(state, "/"), met)

    def _run(self, name: bytes) -> State:
        return self._compiled.automaton.run(self._state, name.decode("utf-8", "surrogateescape"))

    def _decide(self, accepts: int) -> Fate:
        if self._compiled.excludes(self._met.counting | accepts):
            return Fate.EXCLUDED
        return Fate.EMPTIED if self._compiled.excludes(self._met.matching | accepts) else Fate.KEPT

    def _settle(self) -> Fate | None:
        fate = self._decide(0)
        alive = self._state.alive
        if fate is Fate.EXCLUDED:
            return None if alive & self._compiled.negated_places else fate
        if fate is Fate.KEPT:
            return None if alive & self._compiled.other_places else fate
        return None if alive else fate


def parse_ignore(text: str) -> IgnoreRules:
    r"""Read a `.dockerignore`.

    Raises:
        IgnoreError: the engine would refuse it; or a pattern says with `\b` or the like what nobody means, or there
            are more than `MAX_PLACES` characters.
    """
    patterns: list[IgnorePattern] = []
    size = 0
    for number, written in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        if len(written.encode("utf-8", "surrogateescape")) >= _MAX_LINE:
            raise IgnoreError(number, "the line is longer than the engine reads", "shorten it to less than 64 KiB")
        if written.startswith("#"):
            continue
        pattern = _read_line(written, number)
        if pattern is not None:
            size += _check(pattern)
            patterns.append(pattern)
        if size > MAX_PLACES:
            message = f"the patterns have more than {MAX_PLACES:,} characters"
            raise IgnoreError(number, message, "use wildcards: `**/*.log`")
    return IgnoreRules(patterns=tuple(patterns))


def ignore_candidates(dockerfile: str, context: str) -> tuple[str, str]:
    """The paths of the two files that can apply to a local context: the first that exists does, also if it is empty.

    The engine looks for the first beside the Dockerfile as it is called in the options, in whatever folder that is. A
    Dockerfile that is written in `builds.toml` has only the second, and named contexts have only their own.
    """
    return f"{dockerfile}{NAME}", posixpath.join(context, NAME)


def _read_line(written: str, number: int) -> IgnorePattern | None:
    text = written.strip(_BLANKS)
    if not text:
        return None
    negated = text.startswith("!")
    text = text[1:].strip(_BLANKS) if negated else text
    if text:
        text = _clean(text)
        text = text[1:] if len(text) > 1 and text.startswith("/") else text
    # all of it once more, with the mark: that is how the engine hands patterns to what matches them
    text = _clean(("!" * negated + text).strip(_BLANKS) or ".")
    if text == "!":
        raise IgnoreError(number, "`!` brings nothing back", "write a pattern behind it: `!keep.txt`")
    negated = text.startswith("!")
    return IgnorePattern(text=text[negated:], negated=negated, line=number)


def _clean(path: str) -> str:
    """Go's `filepath.Clean`, which has one meaning for `//`."""
    cleaned = posixpath.normpath(path)
    return cleaned[1:] if cleaned.startswith("//") else cleaned


def _check(pattern: IgnorePattern) -> int:
    """How many characters it takes to match it."""
    try:
        return sum(len(chain) for chain in compile_pattern(pattern.text))
    except WildcardError as error:
        message = f"the engine refuses the pattern `{pattern.text[:200]}`: a class is not closed, or nothing is escaped"
        hint = "close `[` with `]`, and put a backslash before `-` in it; a backslash at the end escapes nothing"
        raise IgnoreError(pattern.line, message, hint) from error
    except RegexpError as error:
        message = f"pattern `{pattern.text[:200]}`: {error}"
        raise IgnoreError(
            pattern.line, message, "write `/` between folders, and `*` and `?` for what varies"
        ) from error


def _bits(number: int) -> Iterator[int]:
    """Single bits, the lowest first."""
    while number:
        lowest = number & -number
        yield lowest
        number ^= lowest
