from __future__ import annotations

from pathlib import Path
from random import Random

import tomli
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.config.decode import decode
from orchestrator.config.locate import resolve
from orchestrator.diagnostics import Diagnostic, Span
from orchestrator.ui.diagnostics import ordered, render
from tests.unit.config.legitimate import unexplained
from tests.unit.config.mutation import Mutant, mutants, survey

EXAMPLE = Path(__file__).parents[3] / "examples" / "acme.builds.toml"
TEXT = EXAMPLE.read_text(encoding="utf-8")
ORIGINAL = tomli.loads(TEXT)
MUTANTS = tuple(mutants(TEXT))
FILE = "builds.toml"


def check(text: str) -> tuple[Diagnostic, ...]:
    """What the decode stage says about a text, as it is shown."""
    _, diagnostics = decode(text, FILE)
    return ordered(resolve(diagnostics, {FILE: text}))


def sample(seed: int) -> list[Mutant]:
    """Some hundreds of variants, the same in every run."""
    return Random(seed).sample(MUTANTS, 900)  # noqa: S311 - nothing is encrypted


def test_diagnostics_stand_where_the_mistake_is() -> None:
    """Of several hundred broken variants, 98 % of those that are rejected have the changed line first."""
    result = survey(sample(2), check)
    assert len(result.rejected) > 500
    misplaced = [f"{mutant.description}: {finding.message}" for mutant, finding in result.misplaced]
    assert result.accuracy >= 0.98, misplaced


def test_what_is_accepted_means_what_it_says() -> None:
    """A variant without findings differs by nothing but what a user may choose, or not at all."""
    accepted = survey(sample(3), check).accepted
    assert len(accepted) > 100
    assert [] == [
        (mutant.description, difference)
        for mutant in accepted
        for difference in unexplained(ORIGINAL, tomli.loads(mutant.text))
    ]


@settings(max_examples=150, deadline=None)
@given(mutant=st.sampled_from(MUTANTS))
def test_every_rejected_variant_can_be_shown(mutant: Mutant) -> None:
    """No traceback; every finding has a place in the text, a hint, and a rendering that says so."""
    diagnostics = check(mutant.text)
    for finding in diagnostics:
        assert isinstance(finding.place, Span)
        assert 1 <= finding.place.line <= mutant.text.count("\n") + 1
        assert finding.hints
    text = render(diagnostics, {FILE: mutant.text})
    assert all(finding.message in text for finding in diagnostics)


@settings(max_examples=200, deadline=None)
@given(
    cuts=st.lists(
        st.tuples(
            st.integers(min_value=0, max_value=len(TEXT)),
            st.integers(min_value=0, max_value=40),
            st.text(alphabet=st.sampled_from("a1=.\"'[]{},# \n\t\\u0-:\r\0é"), max_size=4),
        ),
        min_size=1,
        max_size=3,
    )
)
def test_no_edit_is_a_traceback(cuts: list[tuple[int, int, str]]) -> None:
    """Whatever is cut out and put in, there are findings or tables."""
    text = TEXT
    for start, length, new in cuts:
        text = text[:start] + new + text[start + length :]
    file, diagnostics = decode(text, FILE)
    assert (file is None) == any(finding.severity.value == "error" for finding in diagnostics)
    assert all(isinstance(finding.place, Span) for finding in resolve(diagnostics, {FILE: text}))
