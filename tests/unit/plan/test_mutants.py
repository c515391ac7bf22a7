"""Broken variants of the example, on the whole way from text to plan."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import tomli

from orchestrator.cli.options import PlanOptions, ProjectOptions
from orchestrator.cli.prepare import Preparation
from orchestrator.config.scan import Keys
from orchestrator.diagnostics import Diagnostic, Severity, Span
from orchestrator.errors import OrchestratorError
from orchestrator.plan.document import build_document, render_document
from orchestrator.plan.model import Destination
from orchestrator.ui.diagnostics import ordered, render
from tests.unit.config.legitimate import Absent, differences, unexplained
from tests.unit.config.mutation import Mutant, mutants
from tests.unit.plan.samples import NOW, write_project
from tests.unit.plan.test_acme import FILES, IDENTITY, TEXT

ORIGINAL = tomli.loads(TEXT)
SAMPLE = tuple(mutants(TEXT))[::3]
"""Enough of them that it does not matter where one starts to count."""

RESOLVED = frozenset(
    {"context", "target", "image", "needs", "inherits", "backend", "backends", "groups", "platform", "platforms",
     "emulates", "timeout", "from"}
)  # fmt: skip
"""The keys whose values name something that this way looks up: a changed one has to be found, not believed."""


class Outcome:
    """What became of one variant."""

    def __init__(self, mutant: Mutant, found: tuple[Diagnostic, ...], document: bytes | None, text: str) -> None:
        self.mutant = mutant
        self.errors = tuple(finding for finding in found if finding.severity is Severity.ERROR)
        self.document = document
        self.text = text

    @property
    def is_placed(self) -> bool:
        """Whether the first error stands on the changed line."""
        place = self.errors[0].place
        return isinstance(place, Span) and place.file == "builds.toml" and place.line == changed_line(self.mutant)


def changed_line(mutant: Mutant) -> int:
    """The line of the first difference; where a statement is gone, the line where its table starts."""
    if not mutant.description.startswith("line "):
        return mutant.line
    same = next(
        (number for number, (one, other) in enumerate(zip(TEXT, mutant.text, strict=False)) if one != other),
        min(len(TEXT), len(mutant.text)),
    )
    return max(mutant.line, TEXT.count("\n", 0, same) + 1)


def run(path: Path, text: str) -> tuple[tuple[Diagnostic, ...], bytes | None, str]:
    """The findings as they are shown, the plan as JSON where there is one, and what a user reads."""
    path.write_text(text, encoding="utf-8")
    preparation = Preparation(ProjectOptions(file=path, offline=True), {}, now=NOW)
    document: bytes | None = None
    try:
        prepared = preparation.plan(preparation.load(), PlanOptions(names=("*",)), destination=Destination.PUSH)
        found = preparation.findings.resolved()
        document = render_document(build_document(prepared.plan, prepared.lowered, found))
    except OrchestratorError:
        found = preparation.findings.resolved()
    shown = render(found, preparation.findings.texts)
    return ordered(found), document, shown


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Outcome, ...]:
    """Every variant, run: whatever raises anything but an error for users fails here."""
    root = tmp_path_factory.mktemp("mutants")
    path = write_project(root, TEXT, FILES)
    (root / ".gitignore").write_text("builds.toml\n")
    for arguments in (("init", "-q"), ("add", "-A"), ("commit", "-qm", "first"), ("tag", "v1.4.0")):
        subprocess.run(["git", *IDENTITY, *arguments], cwd=root, check=True)
    return tuple(Outcome(mutant, *run(path, mutant.text)) for mutant in SAMPLE)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory, outcomes: tuple[Outcome, ...]) -> bytes:
    """The plan of the example itself, in the very folder of its variants."""
    del outcomes
    root = next(tmp_path_factory.getbasetemp().glob("mutants*"))
    document = run(root / "builds.toml", TEXT)[1]
    assert document is not None
    return document


def test_several_hundred_variants_are_rejected(outcomes: tuple[Outcome, ...]) -> None:
    """Each with an error that has a hint, and a text that shows it."""
    rejected = [outcome for outcome in outcomes if outcome.errors]
    assert len(rejected) > 500
    for outcome in rejected:
        assert all(finding.hints for finding in outcome.errors), outcome.mutant.description
        assert outcome.errors[0].message in outcome.text


def test_the_first_error_stands_where_the_mistake_is(outcomes: tuple[Outcome, ...]) -> None:
    """For at least 98 % of those that are rejected, on the line that was changed."""
    rejected = [outcome for outcome in outcomes if outcome.errors]
    misplaced = [outcome for outcome in rejected if not outcome.is_placed]
    accuracy = 1 - len(misplaced) / len(rejected)
    assert accuracy >= 0.98, [f"{one.mutant.description}: {one.errors[0].message}" for one in misplaced]


def test_what_is_rejected_is_no_plan_or_a_blocked_one(outcomes: tuple[Outcome, ...]) -> None:
    """Nobody could run it by mistake."""
    for outcome in outcomes:
        if outcome.errors and outcome.document:
            assert b'"blocked": true' in outcome.document


def test_what_is_accepted_means_the_same_or_what_it_says(outcomes: tuple[Outcome, ...], original: bytes) -> None:
    """An equal plan; or another document whose every difference is a user's to make.

    Which is: an optional key left out or a name of their own written; a text, a number or a Boolean where any is
    allowed; another of the allowed words; platforms left out. Never another value of a key that names something.
    """
    accepted = [outcome for outcome in outcomes if not outcome.errors]
    assert accepted
    for outcome in accepted:
        if outcome.document == original:
            continue
        changed = tomli.loads(outcome.mutant.text)
        assert [] == unexplained(ORIGINAL, changed), outcome.mutant.description
        unseen = [one for one in differences(ORIGINAL, changed) if is_unseen(*one)]
        assert [] == unseen, outcome.mutant.description


def is_unseen(keys: Keys, before: object, after: object) -> bool:
    """Whether a value that names something was changed into another, and nobody noticed."""
    if Absent.ABSENT in (before, after) or (keys[:2] == ("backends", "native") and keys[-1] not in RESOLVED):
        return False
    if keys[:3] == ("backends", "qemu", "builder"):
        return False  # it is looked up when an engine is asked
    if isinstance(before, list) and isinstance(after, list):
        return False  # shorter, as `unexplained` has seen
    same = str(before).lower() == str(after).lower()
    return not same and any(key in RESOLVED for key in keys[-2:] if isinstance(key, str)) and keys[0] != "vars"
