"""Findings collected on the way to a plan, and how a command stops on them."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import NoReturn

from msgspec import structs

from orchestrator.config.locate import resolve
from orchestrator.diagnostics import Diagnostic, Severity, has_errors
from orchestrator.errors import ConfigurationError
from orchestrator.ui.diagnostics import render
from orchestrator.ui.text import colour_for, count


class Findings:
    """Collects findings with the texts that they point into, and stops where they are errors."""

    def __init__(self) -> None:
        self.all: list[Diagnostic] = []
        self.texts: dict[str, str] = {}

    def add(self, found: Iterable[Diagnostic]) -> None:
        """Add findings."""
        self.all += found

    def resolved(self) -> tuple[Diagnostic, ...]:
        """All of them with lines and columns, each once."""
        alike: dict[tuple[str, str, str], list[Diagnostic]] = {}
        for finding in self.all:
            alike.setdefault((finding.code, finding.message, str(finding.place)), []).append(finding)
        return resolve(map(_merge, alike.values()), self.texts)

    def render(self) -> str:
        """All of them as text for stderr."""
        return render(self.resolved(), self.texts, colour=colour_for(sys.stderr))

    def stop_on_errors(self) -> None:
        """Stop where something is wrong with the files.

        Raises:
            ConfigurationError: at least one finding is an error.
        """
        if has_errors(tuple(self.all)):
            self.stop()

    def stop(self) -> NoReturn:
        """Stop, as something is wrong.

        Raises:
            ConfigurationError: with all findings as its report.
        """
        errors = sum(finding.severity is Severity.ERROR for finding in self.resolved())
        message = f"nothing was done: {count(errors, 'error')}"
        raise ConfigurationError(message, report=self.render())


def _merge(alike: list[Diagnostic]) -> Diagnostic:
    """One finding for what several images inherit from one place; one that is about no image names none."""
    subjects = list(dict.fromkeys(finding.subject for finding in alike if finding.subject))
    if not subjects:
        return alike[0]
    more = f" and {len(subjects) - 1} more" if len(subjects) > 1 else ""
    return structs.replace(alike[0], subject=f"{subjects[0]}{more}")
