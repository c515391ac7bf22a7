from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.diagnostics import Diagnostic, Span
from orchestrator.plan.graph import Edge, EdgeKind, Order, ancestors, order_images
from tests.unit.plan.samples import AMD64

NAMES = tuple("abcdefgh")
PAIRS = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=14)


def edges_of(*pairs: tuple[str, str]) -> tuple[Edge, ...]:
    """An edge from the first to the second of each pair."""
    return tuple(
        Edge(parent=parent, child=child, kind=EdgeKind.FROM, place=Span(file=child, line=number), platforms=(AMD64,))
        for number, (parent, child) in enumerate(pairs, 1)
    )


def acyclic(pairs: list[tuple[int, int]]) -> tuple[Edge, ...]:
    """Edges from the smaller to the greater letter."""
    return edges_of(*((NAMES[min(pair)], NAMES[max(pair)]) for pair in pairs if pair[0] != pair[1]))


def ordered(names: tuple[str, ...], edges: tuple[Edge, ...]) -> Order:
    """The order of a graph without cycles."""
    order = order_images(names, edges)
    assert isinstance(order, Order)
    return order


@given(PAIRS, st.permutations(NAMES))
def test_parents_come_first(pairs: list[tuple[int, int]], names: list[str]) -> None:
    """In whatever order they are declared."""
    edges = acyclic(pairs)
    order = ordered(tuple(names), edges)
    position = {name: number for number, name in enumerate(order.in_order())}
    assert sorted(names) == sorted(position)
    assert all(position[edge.parent] < position[edge.child] for edge in edges)


@given(PAIRS, st.permutations(NAMES))
def test_waves_are_as_early_as_can_be_and_ties_are_declared(pairs: list[tuple[int, int]], names: list[str]) -> None:
    """The wave of an image is one more than the highest of its parents; within a wave declarations decide."""
    order = ordered(tuple(names), acyclic(pairs))
    waves = order.wave_of()
    for name in names:
        assert waves[name] == 1 + max((waves[parent] for parent in order.parents[name]), default=0)
    for wave in order.waves:
        assert list(wave) == sorted(wave, key=names.index)


@given(PAIRS, st.permutations(NAMES))
def test_waves_hold_the_same_images_however_declarations_are_permuted(
    pairs: list[tuple[int, int]], names: list[str]
) -> None:
    """Only the order within a wave is that of the declarations."""
    edges = acyclic(pairs)
    assert list(map(sorted, ordered(NAMES, edges).waves)) == list(map(sorted, ordered(tuple(names), edges).waves))


@given(PAIRS, st.permutations(range(14)))
def test_the_order_of_edges_does_not_matter(pairs: list[tuple[int, int]], positions: list[int]) -> None:
    """A graph is a set of edges."""
    edges = acyclic(pairs)
    shuffled = tuple(edges[position] for position in positions if position < len(edges))
    assert ordered(NAMES, edges) == ordered(NAMES, shuffled)


@given(PAIRS, st.sets(st.sampled_from(NAMES)))
def test_ancestors_are_closed(pairs: list[tuple[int, int]], names: set[str]) -> None:
    """All that is needed, near or far, and nothing else."""
    order = ordered(NAMES, acyclic(pairs))
    found = ancestors(tuple(names), order)
    assert names <= found
    assert all(parent in found for name in found for parent in order.parents[name])
    needed = {parent for name in found for parent in order.parents[name]}
    assert found == names | needed


@given(st.lists(st.sampled_from(NAMES), min_size=1, max_size=6, unique=True))
def test_a_cycle_is_told_as_the_path_that_it_is(cycle: list[str]) -> None:
    """From its first name by the alphabet, each step with its place."""
    pairs = tuple(zip(cycle, (*cycle[1:], cycle[0]), strict=True))
    found = order_images(NAMES, edges_of(*pairs))
    assert isinstance(found, Diagnostic)
    start = cycle.index(min(cycle))
    path = (*cycle[start:], *cycle[:start], cycle[start])
    assert f"images need each other in a circle: {' -> '.join(path)}" == found.message
    assert len(cycle) == 1 + len(found.related)
    assert "cycle" == found.code


@pytest.mark.parametrize(
    ("kind", "carries"), [(EdgeKind.NEEDS, False), (EdgeKind.FROM, True), (EdgeKind.CONTEXT, True)]
)
def test_needs_is_order_alone(kind: EdgeKind, *, carries: bool) -> None:
    """Every other edge hands data over."""
    assert carries == kind.carries_data
