"""The critical path is what the run waited for."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.ui.report.critical import Span, critical_path, last_need, slot_holders


def test_it_leads_back_through_the_need_that_ended_last() -> None:
    """Not through the one that took longest."""
    spans = {
        "long": Span(start=0, end=8),
        "late": Span(start=7, end=9),
        "last": Span(start=9, end=10, needs=("long", "late")),
        "other": Span(start=0, end=9.5),
    }
    assert ("late", "last") == critical_path(spans)


def test_a_slot_was_held_by_who_ended_last_before() -> None:
    """On the same node; elsewhere, later, or without a node nobody holds one."""
    spans = {
        "first": Span(start=0, end=4, node="n"),
        "second": Span(start=0, end=6, node="n"),
        "elsewhere": Span(start=0, end=6.5, node="m"),
        "third": Span(start=7, end=8, node="n"),
        "check": Span(start=6.5, end=7),
    }
    assert {"third": "second"} == slot_holders(spans)


def test_what_never_ran_is_not_in_it() -> None:
    """A need that stood already took no time."""
    assert ("a",) == critical_path({"a": Span(start=1, end=2, needs=("stood",))})
    assert () == critical_path({})
    assert "" == last_need(("stood",), {})


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100), st.sets(st.integers(0, 20))), max_size=20))
def test_each_of_its_steps_needs_the_one_before(steps: list[tuple[float, float, set[int]]]) -> None:
    """From a step that ended last; even where steps need each other in circles, none is in it twice."""
    spans = {
        str(number): Span(start=start, end=start + length, needs=tuple(map(str, needs)))
        for number, (start, length, needs) in enumerate(steps)
    }
    path = critical_path(spans)
    assert bool(spans) == bool(path)
    assert len(path) == len(set(path))
    assert all(before in spans[after].needs for before, after in pairwise(path))
    assert not path or spans[path[-1]].end == max(span.end for span in spans.values())
