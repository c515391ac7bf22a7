"""Matches many wildcard patterns at once, in time that grows with the text and never with how a pattern is built.

Python's `re` backtracks: `*a*a*a*a*b` takes it minutes on a name of 200 letters. Here all places of all patterns are
the bits of one integer, one step a character, and steps that were taken once are remembered. BuildKit's patterns run
on Go's regular expressions, which are linear too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import Enum
from typing import Final, NamedTuple, TypeAlias

MAX_STATES: Final = 20_000
"""How many states are remembered, where they are small; further ones are computed again each time."""

MEMORY: Final = 512 * 1024 * 1024
"""How many bits all remembered states may have."""
LAST: Final = 0x10FFFF


class Charset(NamedTuple):
    """Characters by their code points, from and to, both included; or all but those."""

    ranges: tuple[tuple[int, int], ...]
    negated: bool = False

    def has(self, code: int) -> bool:
        """Whether this character is one of them."""
        return any(first <= code <= last for first, last in self.ranges) != self.negated


class Item(NamedTuple):
    """One of these characters; `skip` says that it may be missing, `loop` that it may come again and again."""

    charset: Charset
    skip: bool = False
    loop: bool = False


class Folders(Enum):
    """Any text that ends with a slash, or nothing: `(.*/)?`."""

    ANY = "(.*/)?"


Token: TypeAlias = Item | Folders
Chain: TypeAlias = tuple[Token, ...]

ANY: Final = Charset((), negated=True)
NO_SLASH: Final = Charset(((47, 47),), negated=True)
NO_NEWLINE: Final = Charset(((10, 10),), negated=True)
STAR: Final = Item(NO_SLASH, skip=True, loop=True)
ANYTHING: Final = Item(ANY, skip=True, loop=True)


def literal(text: str) -> Chain:
    """Exactly this text."""
    return tuple(Item(Charset(((ord(letter), ord(letter)),))) for letter in text)


class State:
    """Where all patterns stand after some text. `accepts` has a bit for each pattern that matches it."""

    __slots__ = ("accepts", "edges", "inner", "places")

    def __init__(self, places: int, inner: int, accepts: int) -> None:
        self.places = places
        self.inner = inner
        self.accepts = accepts
        self.edges: dict[str, State] = {}

    @property
    def alive(self) -> int:
        """The places that more text can still lead on from; none: no pattern matches whatever follows."""
        return self.places | self.inner


class _Step(NamedTuple):
    """What one character does: places that it leads on from, and places at which it may be one more of many."""

    advance: int
    stay: int


class Automaton:
    """Patterns, each a number and the chains of tokens of which one has to match the whole text.

    `remembered` is how many states are, at most: so many as fit into `memory`.
    """

    def __init__(self, patterns: Iterable[tuple[int, Iterable[Chain]]], *, memory: int = MEMORY) -> None:
        self._letters: dict[int, int] = {}  # single characters, which most tokens are: code -> places
        self._sets: dict[Charset, _Step] = {}
        self._folders = 0  # places before which any folders may come
        self._accepting: dict[int, int] = {}  # place -> pattern
        self._owned: dict[int, int] = {}  # pattern -> places
        self._optional: list[int] = []
        self._steps: dict[str, _Step] = {}
        self._states: dict[tuple[int, int], State] = {}
        self._size = 0
        starts = 0
        for number, chains in patterns:
            first = self._size
            for chain in chains:
                starts |= 1 << self._size
                self._add(chain, number)
            self._owned[number] = (1 << self._size) - (1 << first)
        self.remembered = min(MAX_STATES, memory // (self._size + 1))
        self._final = sum(1 << place for place in self._accepting)
        self._blocks, self._firsts, self._ends = _blocks(self._optional)
        self.start = self._state(*self._close(starts, 0))

    def places_of(self, numbers: Iterable[int]) -> int:
        """All places of these patterns, to be compared with `State.alive`."""
        return sum(self._owned[number] for number in numbers)

    def run(self, state: State, text: str) -> State:
        """The state after this text."""
        for letter in text:
            following = state.edges.get(letter)
            state = self._follow(state, letter) if following is None else following
        return state

    def _add(self, chain: Chain, number: int) -> None:
        for token in chain:
            if isinstance(token, Folders):
                self._folders |= 1 << self._size
                continue
            self._add_item(token)
            self._size += 1
        self._accepting[self._size] = number
        self._size += 1

    def _add_item(self, item: Item) -> None:
        place = 1 << self._size
        if item.skip:
            self._optional.append(self._size)
        single = len(item.charset.ranges) == 1 and not item.charset.negated
        if single and item.charset.ranges[0][0] == item.charset.ranges[0][1] and not item.loop:
            code = item.charset.ranges[0][0]
            self._letters[code] = self._letters.get(code, 0) | place
            return
        known = self._sets.get(item.charset, _Step(0, 0))
        self._sets[item.charset] = (
            known._replace(stay=known.stay | place) if item.loop else known._replace(advance=known.advance | place)
        )

    def _step(self, letter: str) -> _Step:
        known = self._steps.get(letter)
        if known is None:
            code = ord(letter)
            advance, stay = self._letters.get(code, 0), 0
            for charset, step in self._sets.items():
                if charset.has(code):
                    advance |= step.advance
                    stay |= step.stay
            known = _Step(advance, stay)
            if len(self._steps) < self.remembered:
                self._steps[letter] = known
        return known

    def _follow(self, state: State, letter: str) -> State:
        step = self._step(letter)
        places = ((state.places & step.advance) << 1) | (state.places & step.stay)
        inner = state.inner if letter != "\n" else 0
        if letter == "/":
            places |= inner
        following = self._state(*self._close(places, inner))
        if len(self._states) < self.remembered:
            state.edges[letter] = following
        return following

    def _close(self, places: int, inner: int) -> tuple[int, int]:
        """Add what is reached by skipping: in each block of optional places, all above the lowest one that is on.

        Taking one off the start of a block borrows up to its lowest bit and leaves those above unchanged
        (Navarro and Raffinot, Flexible Pattern Matching in Strings, 4.4), so long blocks cost no more than short ones.
        """
        ended = places | self._ends
        places |= self._blocks & (~(ended - self._firsts) ^ ended)
        return places, inner | (places & self._folders)

    def _state(self, places: int, inner: int) -> State:
        found = self._states.get((places, inner))
        if found is None:
            accepts = 0
            for place in _bits(places & self._final):
                accepts |= 1 << self._accepting[place]
            found = State(places, inner, accepts)
            if len(self._states) < self.remembered:
                self._states[places, inner] = found
        return found


def _blocks(optional: list[int]) -> tuple[int, int, int]:
    """Runs of optional places, each with the place that follows it: all of them, their first and their last ones."""
    places = sum(1 << place for place in optional)
    firsts = places & ~(places << 1)
    ends = (places << 1) & ~places
    return places | ends, firsts, ends


def _bits(number: int) -> Iterator[int]:
    while number:
        lowest = number & -number
        yield lowest.bit_length() - 1
        number ^= lowest
