"""The known word that a misspelled one is most like."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from functools import lru_cache
from typing import Final

_CLOSE: Final = 0.65
_LONGEST: Final = 128


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The hint that names the known word most like an unknown one, if there is any like it."""
    return _nearest(word, tuple(known)) if len(word) <= _LONGEST else None


@lru_cache(maxsize=4096)
def _nearest(word: str, known: tuple[str, ...]) -> str | None:
    folded = {name.lower(): name for name in known}
    matches = get_close_matches(word.lower(), folded, 1, _CLOSE)
    return f"did you mean `{folded[matches[0]]}`?" if matches else None
