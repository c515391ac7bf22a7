"""How findings of a command are put together."""

from __future__ import annotations

import pytest

from orchestrator.cli.findings import Findings
from orchestrator.diagnostics import Diagnostic


def merged(*subjects: str | None) -> list[str | None]:
    """The subjects that are left of findings that are alike but for these."""
    findings = Findings()
    findings.add(Diagnostic(code="c", message="m", subject=subject) for subject in subjects)
    return [finding.subject for finding in findings.resolved()]


@pytest.mark.parametrize(
    ("subjects", "expected"),
    [
        ((None,), None),
        ((None, None), None),
        (("a", "a"), "a"),
        (("a", "b", "a", "c"), "a and 2 more"),
        ((None, "a"), "a"),
        (("a", None), "a"),
        ((None, "b", "a"), "b and 1 more"),
    ],
)
def test_what_is_alike_is_told_once(subjects: tuple[str | None, ...], expected: str | None) -> None:
    """With the first of those that it is about, and how many more there are; one without a subject names nobody."""
    assert [expected] == merged(*subjects)
