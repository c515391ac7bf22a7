"""`Record`: what a template sees under a name, `version` or `git`, and may take fields of; nothing else of it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from datetime import datetime
from typing import Literal, TypeAlias

from orchestrator.tags.errors import Absent, TemplateError

Scalar: TypeAlias = str | int | float | bool
Value: TypeAlias = "Scalar | datetime | Absent | Record"


class Record:
    """An immutable value with named fields, which may also print as a text.

    It equals its text, so that `platform == "linux/arm64"` means what it says. It hashes once: results of templates
    are remembered by the values that they use. Numbers, Booleans and their texts are told apart there.
    """

    __slots__ = ("_fields", "_hash", "_key", "_names", "name", "text")

    def __init__(
        self,
        name: str,
        fields: Mapping[str, Value],
        *,
        text: str | None = None,
        names: Literal["fixed", "open"] = "fixed",
    ) -> None:
        self.name = name
        self.text = text
        self._names = names
        self._fields = dict(fields)
        self._key = (name, text, tuple((key, type(value), value) for key, value in self._fields.items()))
        self._hash = hash(self._key)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str) and self.text is not None:
            return self.text == other
        return isinstance(other, Record) and self._key == other._key

    def __str__(self) -> str:
        """The text that it prints.

        Raises:
            TemplateError: it has fields only.
        """
        if self.text is None:
            first = next(iter(self._fields), "NAME")
            message = f"`{self.name}` alone is no text"
            raise TemplateError(message, hints=(f"name a field of it, such as `{self.name}.{first}`",))
        return self.text

    def __bool__(self) -> bool:
        return bool(str(self))

    def field(self, key: str) -> Value:
        """A field; one that does not exist is absent where names are open, and says which ones there are.

        Raises:
            TemplateError: names are fixed and this is none of them: a mistake that `default` must not hide.
        """
        value = self._fields.get(key)
        if value is not None:
            return value
        absent = unknown(f"{self.name}.{key}", key, self._fields, self.name)
        if self._names == "fixed":
            raise absent.error()
        return absent


def unknown(shown: str, key: str, known: Mapping[str, object], owner: str = "") -> Absent:
    """The absence of a name that does not exist."""
    close = difflib.get_close_matches(key[:100], known, 1, 0.6)
    prefix = f"{owner}." if owner else ""
    if close:
        hint = f"did you mean `{prefix}{close[0]}`?"
    elif known:
        hint = "there are " + ", ".join(f"`{prefix}{name}`" for name in list(known)[:20])
    else:
        hint = f"there is nothing in `{owner}` here"
    return Absent(reason=f"there is no `{shown[:100]}`", hints=(hint,))
