"""Diagnostics: what is wrong with the user's input, where, and what to do; collected, never raised one by one."""

from __future__ import annotations

from enum import Enum
from typing import TypeAlias

from orchestrator.model import Model


class Severity(Enum):
    """An error stops every command that would act; a warning is shown and counted."""

    ERROR = "error"
    WARNING = "warning"


class KeyPlace(Model):
    """A place in a TOML file, said by its keys; `config.locate` turns it into a `Span` when it is to be shown.

    `keys` are table keys (str) and array positions (int); a path that does not exist means its
    nearest existing ancestor. `on_key` points at the last key itself, otherwise at its value.
    """

    file: str
    keys: tuple[str | int, ...]
    on_key: bool = False


class Span(Model):
    """A place in a text file: 1-based line and column (in characters), and how many characters to underline."""

    file: str
    line: int
    column: int = 1
    length: int = 1


Place: TypeAlias = KeyPlace | Span


class Diagnostic(Model):
    """One finding.

    `code` is a stable word such as `unknown-key`; `subject` names the image or platform build it is
    about, where there is one; `related` are further places that explain it.
    """

    code: str
    message: str
    severity: Severity = Severity.ERROR
    place: Place | None = None
    subject: str | None = None
    hints: tuple[str, ...] = ()
    related: tuple[Place, ...] = ()


def has_errors(diagnostics: tuple[Diagnostic, ...]) -> bool:
    """Whether any of them is an error."""
    return any(diagnostic.severity is Severity.ERROR for diagnostic in diagnostics)
