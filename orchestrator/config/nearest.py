"""Hints for a name that is not known: the nearest known one, else what is known."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches
from typing import Final

_LOOKUPS: Final = 50
_CANDIDATES: Final = 2_000
_SHOWN: Final = 5
_LENGTH_DIFFERENCE: Final = 4


class Nearest:
    """The known names of one kind; remembers its answers, and stops comparing after many different questions.

    Comparing is slow (10,000 names take 50 ms), so what one command spends on it is bounded.
    """

    def __init__(self, names: Collection[str]) -> None:
        self._names = names
        self._answers: dict[str, tuple[str, ...]] = {}

    def hints(self, name: str) -> tuple[str, ...]:
        """One hint for the unknown `name`, always: a likely meant one, or some of those that there are."""
        answer = self._answers.get(name)
        if answer is None:
            answer = (self._hint(name),)
            self._answers[name] = answer
        return answer

    def _hint(self, name: str) -> str:
        if not self._names:
            return "none is declared"
        if len(self._answers) < _LOOKUPS:
            near = [known for known in self._names if abs(len(known) - len(name)) <= _LENGTH_DIFFERENCE][:_CANDIDATES]
            folded = {known.casefold(): known for known in reversed(near)}
            matches = get_close_matches(name.casefold(), folded, 1, 0.6)
            if matches:
                return f"did you mean `{folded[matches[0]]}`?"
        shown = ", ".join(f"`{known}`" for known in list(self._names)[:_SHOWN])
        more = len(self._names) - _SHOWN
        return f"known: {shown}" + (f" and {more} more" if more > 0 else "")
