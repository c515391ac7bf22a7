from __future__ import annotations

import pytest

from orchestrator.registry.failure import parse_retry_after
from orchestrator.registry.patience import Patience

PATIENCE = Patience(first_delay=0.5, longest_delay=8.0)


@pytest.mark.parametrize(("attempt", "expected"), [(0, 0.5), (1, 1.0), (3, 4.0), (4, 8.0), (30, 8.0)])
def test_doubling(attempt: int, expected: float) -> None:
    """Pauses double up to the longest; jitter takes up to half of them."""
    found = (PATIENCE.find_delay(attempt, None, 0.0), PATIENCE.find_delay(attempt, None, 1.0))
    assert (expected / 2, expected) == found


@pytest.mark.parametrize(("asked", "expected"), [(0.0, 0.25), (0.2, 0.25), (3.0, 3.0), (100.0, 100.0)])
def test_what_the_registry_asks_for(asked: float, expected: float) -> None:
    """Never less than the registry says, nor than our own pauses: many say 0, or a time that is over."""
    assert expected == PATIENCE.find_delay(0, asked, 0.0)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", None),
        ("7", 7.0),
        ("-1", None),
        ("\N{ARABIC-INDIC DIGIT ONE}", None),
        ("9" * 400, 9_999_999_999.0),
        ("Thu, 01 Jan 1970 00:00:30 GMT", 20.0),
        ("Thu, 01 Jan 1970 00:00:05 GMT", 0.0),
        ("Thu, 99 Foo", None),
    ],
)
def test_retry_after(value: str, expected: float | None) -> None:
    """`Retry-After` is seconds or a date; anything else is nothing."""
    assert expected == parse_retry_after(value, 10.0)
