"""What must never be shown, whoever repeats it."""

from __future__ import annotations

import threading
from typing import Final

from orchestrator.registry.url import hide_queries

_MASK: Final = "***"
_SHORTEST: Final = 4
"""Masking shorter ones would make messages illegible and hide nothing."""


class Secrets:
    """The passwords and tokens that were used; threads may add to it at any time."""

    def __init__(self) -> None:
        self._known: frozenset[str] = frozenset()
        self._lock = threading.Lock()

    def add(self, *values: str) -> None:
        """Remember what must not be shown."""
        with self._lock:
            self._known |= {value for value in values if len(value) >= _SHORTEST}

    def hide(self, text: str) -> str:
        """`text` with every known secret masked, longest first, and with the queries of URLs cut off."""
        for secret in sorted(self._known, key=len, reverse=True):
            text = text.replace(secret, _MASK)
        return hide_queries(text)
