"""Collecting findings about one file."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from orchestrator.config.close import nearest
from orchestrator.config.credentials import hide_userinfo, is_credential
from orchestrator.config.scan import Keys
from orchestrator.diagnostics import Diagnostic, KeyPlace, Severity

_SHOWN: Final = 60
_MANY: Final = 5_000


class Findings:
    """The findings about one file, in the order in which they were made."""

    def __init__(self, file: str) -> None:
        self.file = file
        self._findings: list[Diagnostic] = []

    def __len__(self) -> int:
        return len(self._findings)

    def __call__(
        self,
        code: str,
        message: str,
        place: KeyPlace,
        *hints: str,
        severity: Severity = Severity.ERROR,
        related: tuple[KeyPlace, ...] = (),
    ) -> None:
        """Add one; what it is about follows from its place."""
        subject = str(place.keys[1]) if len(place.keys) > 1 and place.keys[0] == "images" else None
        self._findings.append(
            Diagnostic(
                code=code,
                message=message,
                severity=severity,
                place=place,
                subject=subject,
                hints=tuple(hint for hint in hints if hint),
                related=related,
            )
        )

    @property
    def many(self) -> bool:
        """Whether there are more than a person has made: looking for what was meant takes time."""
        return len(self._findings) > _MANY

    def nearest(self, word: str, known: Iterable[str]) -> str | None:
        """The hint that names the known word most like an unknown one, if there is any like it."""
        return None if self.many else nearest(word, known)

    def all(self) -> tuple[Diagnostic, ...]:
        """All of them."""
        return tuple(self._findings)

    def value(self, *keys: str | int) -> KeyPlace:
        """The place of a value."""
        return KeyPlace(file=self.file, keys=keys)

    def key(self, *keys: str | int) -> KeyPlace:
        """The place of a key."""
        return KeyPlace(file=self.file, keys=keys, on_key=True)


def quote(text: str) -> str:
    """A text of the user in backticks: printable, cut where it is long, without the user information of URLs."""
    text = hide_userinfo(text)  # before it is cut: half a URL does not look like one
    shown = text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
    return "`" + "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in shown) + "`"


def shown(value: object, keys: Keys) -> str:
    """A value of the user for a message, or words instead: its keys look like a credential's, or it is no scalar."""
    if is_credential(keys) or isinstance(value, dict | list):
        return "a value that is not shown"
    if isinstance(value, int) and not is_integer(value):
        return "an integer of more than 64 bits"
    return quote(str(value))


def is_integer(value: int) -> bool:
    """Whether an integer is one of TOML's: Python's have no end, and cannot all be printed."""
    return -(2**63) <= value < 2**63
