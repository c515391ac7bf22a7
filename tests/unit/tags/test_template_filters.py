from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.oci.reference import check_tag
from orchestrator.tags.errors import TemplateError
from orchestrator.tags.filters import MAX_SLUG, slug
from orchestrator.tags.render import Renderer
from tests.unit.tags.facts_for_tags import VALUES


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("git.branch | slug", "feature-login-page"),
        ("'--A__b//C--' | slug", "a-b-c"),
        ("now | date", "2026-08-09"),
        ("now | date('%Y%m%d-%H%M%S %y %j %G-W%V-%u %%')", "20260809-070605 26 221 2026-W32-7 %"),
        ("now | date('%s')", "1786259165"),
        ("git.commit_time | date('%Y')", "2023"),
        ("'aB' | lower ~ 'aB' | upper", "abAB"),
        ("'a-b-c' | replace('-', '.')", "a.b.c"),
        ("' a ' | trim", "a"),
        ("'abcdef' | truncate(3)", "abc"),
        ("git.sha | short ~ '|' ~ git.sha | short(7)", "0123456789ab|0123456"),
        ("version | major ~ version | minor ~ version | patch", "123"),
        ("version | prerelease", "rc.1"),
        ("'a-b-c' | split('-') | join('/')", "a/b/c"),
        ("'a-b-c' | split('-') | first ~ 'a-b-c' | split('-') | last", "ac"),
        ("(('7' | int) + 1) ~ (('-7' | int) + 1)", "8-6"),
        ("vars.one | string", "1"),
        ("vars.gone | default(5)", "5"),
        ("version.build | default('x')", "b5"),
        ("(image is startingwith('a')) ~ (image is endingwith('a'))", "truefalse"),
        ("(image is containing('p')) ~ (('a-b' | split('-')) is containing('b'))", "truetrue"),
        ("(git.branch is matching('feature/*')) ~ (git.branch is matching('FEATURE/*'))", "truefalse"),
        ("(version is semver) ~ ('v1' is semver)", "truefalse"),
    ],
)
def test_a_filter_gives_what_it_says(text: str, expected: str) -> None:
    """Filters and tests do what people do with tags."""
    assert expected == Renderer().render("{{ " + text + " }}", VALUES)


@pytest.mark.parametrize(
    "text",
    [
        "'///' | slug", "'日本' | slug", "'' | slug", "image | date", "now | date('%A')", "now | date('%')",
        "'a' | truncate(0)", "'a' | truncate('3')", "'a' | short(true)", "'x' | major", "'v1.2.3' | minor",
        "'a' | join", "'a' | first", "('a' | split('')) | first", "[] | last", "'x' | int",
        "'9999999999999999999' | int", "'1.5' | int", "'' | int", "'--1' | int", "image | replace('', 'x')",
        "none | lower", "git | lower",
    ],
)  # fmt: skip
def test_what_a_filter_cannot_take_is_an_error_with_a_hint(text: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(TemplateError) as caught:
        Renderer().render("{{ " + text + " }}", VALUES)
    assert caught.value.hints


@given(st.text(min_size=1, max_size=200).filter(lambda text: any(letter in "abcxyz019" for letter in text)))
def test_a_slug_is_a_legal_tag_and_stays_itself(text: str) -> None:
    """It fits into a tag and a DNS label, and its slug is itself."""
    result = slug(text)

    check_tag(result)
    assert re.fullmatch(r"[a-z0-9]+(?:-+[a-z0-9]+)*", result)
    assert len(result) <= MAX_SLUG
    assert result == slug(result)


@given(st.lists(st.text("abAB/-_.", min_size=1, max_size=6), min_size=2, max_size=2, unique=True))
def test_long_names_never_share_a_slug(ends: list[str]) -> None:
    """What is cut away, and what is replaced, counts in the digits at the end."""
    slugs = {slug("team/" * 20 + end) for end in ends}

    assert len(slugs) == 2
