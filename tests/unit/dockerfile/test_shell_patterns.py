from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.dockerfile.patterns import (
    MAX_PATTERN,
    MAX_VALUE,
    PatternError,
    match_ends,
    parse_pattern,
    replace_matches,
    trim_prefix,
    trim_suffix,
)

patterns = st.text("ab*?", max_size=8)
values = st.text("ab", max_size=10)


def _regex(pattern: str, *, greedy: bool) -> str:
    return pattern.replace("?", ".").replace("*", ".*" if greedy else ".*?")


@given(patterns, values)
def test_trimmed_prefixes_are_those_of_regular_expressions(pattern: str, value: str) -> None:
    """The shortest and the longest prefix are what an engine with backtracking finds too."""
    ends = [end for end in range(len(value) + 1) if re.fullmatch(_regex(pattern, greedy=True), value[:end])]

    assert (value[ends[0] :] if ends else value) == trim_prefix(parse_pattern(pattern), value, longest=False)
    assert (value[ends[-1] :] if ends else value) == trim_prefix(parse_pattern(pattern), value, longest=True)


@given(patterns, values, st.booleans())
def test_trimming_a_suffix_is_trimming_a_prefix_backwards(pattern: str, value: str, longest: bool) -> None:  # noqa: FBT001  # hypothesis gives it by position
    """A suffix of a text is a prefix of the text read backwards."""
    expected = trim_prefix(parse_pattern(pattern[::-1]), value[::-1], longest=longest)[::-1]

    assert expected == trim_suffix(parse_pattern(pattern), value, longest=longest)


@given(patterns, values)
def test_the_first_match_that_is_replaced_is_that_of_regular_expressions(pattern: str, value: str) -> None:
    """The leftmost match is replaced, as long as it can be."""
    expected = re.sub(_regex(pattern, greedy=True), "-", value, count=1)

    assert expected == replace_matches(parse_pattern(pattern), value, "-", everywhere=False)


@pytest.mark.parametrize(
    ("pattern", "value", "expected"),
    [("a", "banana", "b-n-n-"), ("*", "banana", "-"), ("", "ab", "-a-b-"), ("x", "ab", "ab"), ("an", "banana", "b--a")],
)
def test_every_match_is_replaced(pattern: str, value: str, expected: str) -> None:
    """Every match is replaced, and an empty one right after another is none, as in Go."""
    assert expected == replace_matches(parse_pattern(pattern), value, "-", everywhere=True)


def test_a_backslash_makes_a_wildcard_ordinary() -> None:
    r"""`\*` is an asterisk."""
    assert trim_prefix(parse_pattern(r"a\*"), "a*b", longest=True) == "b"
    assert trim_prefix(parse_pattern(r"a\*"), "axb", longest=True) == "axb"


def test_a_wildcard_is_no_line_break() -> None:
    """Go's regular expressions do not match one with a dot."""
    ends = [match_ends(parse_pattern(pattern), "a\nb", 0) for pattern in ("a?b", "a*b", "a\nb")]

    assert [(), (), (3,)] == ends


@pytest.mark.parametrize("pattern", [r"\a", "\\", "a" * (MAX_PATTERN + 1)])
def test_a_pattern_that_is_wrong_or_too_long_is_refused(pattern: str) -> None:
    """BuildKit refuses other escapes, and nobody needs long patterns."""
    with pytest.raises(PatternError):
        parse_pattern(pattern)


def test_a_long_value_is_refused_where_a_pattern_is_applied() -> None:
    """A hostile value takes no time."""
    with pytest.raises(PatternError):
        replace_matches(parse_pattern("*a"), "a" * (MAX_VALUE + 1), "", everywhere=True)
