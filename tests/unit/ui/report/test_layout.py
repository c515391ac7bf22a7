"""The picture of a graph: nothing on top of anything else, and what is needed left of what needs it."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.ui.report.layout import COLUMN, ROW, Point, draw


def test_a_chain_is_a_line() -> None:
    """From left to right."""
    drawing = draw({"c": ("b",), "b": ("a",), "a": ()})
    assert [("a", 0), ("b", 1), ("c", 2)] == sorted(
        (name, place.x // (COLUMN + 70)) for name, place in drawing.places.items()
    )
    assert {0} == {place.y for place in drawing.places.values()}


def test_a_wide_layer_is_folded() -> None:
    """Five hundred images that need one are no column of five hundred."""
    drawing = draw({"base": (), **{f"app-{number}": ("base",) for number in range(500)}})
    assert 1 <= drawing.width / drawing.height <= 3


def test_no_image_has_no_size() -> None:
    """A run of nothing."""
    assert (0, 0) == (draw({}).width, draw({}).height)


def test_a_circle_is_drawn_all_the_same() -> None:
    """No plan has one, but a journal is a file."""
    assert {"a", "b", "c"} == set(draw({"a": ("b",), "b": ("a",), "c": ()}).places)


graphs = st.integers(0, 60).flatmap(
    lambda size: st.tuples(*(st.sets(st.integers(0, max(place - 1, 0)), max_size=4) for place in range(size)))
)


@given(graphs)
def test_every_image_has_a_place_of_its_own(graph: tuple[set[int], ...]) -> None:
    """Inside the picture, at least a box away from every other, right of all that it needs; and the same each time."""
    needs = {str(place): tuple(str(need) for need in own if need < place) for place, own in enumerate(graph)}
    drawing = draw(needs)
    assert drawing == draw(needs)
    assert set(needs) == set(drawing.places)
    places = sorted(drawing.places.values(), key=lambda place: (place.x, place.y))
    for one, other in pairwise(places):
        assert other.x - one.x >= COLUMN or (other.x == one.x and other.y - one.y >= ROW)
    assert all(0 <= place.x < drawing.width and 0 <= place.y < drawing.height for place in places)
    assert all(drawing.places[need].x < drawing.places[name].x for name, own in needs.items() for need in own)


def test_a_place_is_a_corner() -> None:
    """The only image stands in the upper left one."""
    assert {"a": Point(x=0, y=0)} == draw({"a": ()}).places
