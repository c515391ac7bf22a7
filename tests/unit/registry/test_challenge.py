from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.registry.challenge import Challenge, parse_challenges


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", ()),
        ("   ,,, ", ()),
        ("realm=x", ()),
        ("Basic", (Challenge(scheme="basic"),)),
        ("BASIC realm=x", (Challenge(scheme="basic", realm="x"),)),
        (
            'Bearer realm="https://a/t",service="s", scope="repository:a/b:pull,push"',
            (Challenge(scheme="bearer", realm="https://a/t", service="s", scope="repository:a/b:pull,push"),),
        ),
        (
            'Negotiate, Basic realm="a, b=\\"c\\"" , Bearer realm = "d"',
            (
                Challenge(scheme="negotiate"),
                Challenge(scheme="basic", realm='a, b="c"'),
                Challenge(scheme="bearer", realm="d"),
            ),
        ),
        ('Bearer realm="not closed', (Challenge(scheme="bearer"),)),
    ],
)
def test_headers(header: str, expected: tuple[Challenge, ...]) -> None:
    """Several challenges, quotes and commas in them are read; what is illegible ends the list."""
    assert expected == parse_challenges(header)


@given(st.text(alphabet='Basic er=",\\ \t') | st.text())
def test_any_text(header: str) -> None:
    """Any header is read to its end without an error."""
    assert all(challenge.scheme for challenge in parse_challenges(header))


def test_long_header() -> None:
    """A header without end takes no time without end."""
    assert parse_challenges(" " * 100_000 + '"' + "\\" * 100_000) == ()
