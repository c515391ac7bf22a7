"""Looks up the private names of earlier runs, many at once; what cannot be looked up is told, and built again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol

from orchestrator.diagnostics import Diagnostic, Severity
from orchestrator.errors import RegistryError
from orchestrator.oci.digest import Digest
from orchestrator.oci.manifest import Manifest
from orchestrator.plan.memory import Memory, Question, Recollection, Wanted
from orchestrator.plan.model import Home

_THREADS: Final = 32


class StateStore(Protocol):
    """What looking up names needs of a store."""

    def find(self, locator: str) -> Digest | None:
        """The digest behind a tag."""

    def fetch_manifest(self, locator: str) -> Manifest | None:
        """The manifest behind a tag or a digest."""


def recall(
    wanted: Iterable[Wanted], scopes: tuple[str, ...], open_store: Callable[[Home], StateStore]
) -> tuple[Memory, tuple[Diagnostic, ...]]:
    """What earlier runs have left of these images; a warning where a registry or a layout could not be asked."""
    recollection = Recollection(wanted, scopes)
    silent: dict[str, RegistryError] = {}

    def ask(question: Question) -> Manifest | None:
        place = question.home.answers
        if place in silent:
            return None
        try:
            return open_store(question.home).fetch_manifest(question.tag)
        except RegistryError as error:
            silent[place] = error
            return None

    with ThreadPoolExecutor(_THREADS) as threads:
        while questions := recollection.questions():
            recollection.answer(dict(zip(questions, threads.map(ask, questions), strict=True)))
    return recollection.memory(), tuple(_unknown(place, error) for place, error in silent.items())


def _unknown(place: str, error: RegistryError) -> Diagnostic:
    return Diagnostic(
        code="state-unknown",
        message=f"what was built before could not be looked up in `{place}`: {error.message}",
        severity=Severity.WARNING,
        hints=(*error.hints, "without it everything is built; `orchestrate doctor` looks at registries and logins"),
    )
