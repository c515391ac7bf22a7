"""Where the images of a graph stand: what is needed is left of what needs it, and wide layers are folded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from orchestrator.model import Model

COLUMN: Final = 230
ROW: Final = 54
_GAP: Final = 70
"""Between layers, beyond what there is between the columns of one."""
_SWEEPS: Final = 4
_SHAPE: Final = 2.1
"""Width over height that a picture should have at most: that of a screen, less what stands beside it."""


class Point(Model):
    """The left upper corner of an image."""

    x: int
    y: int


class Drawing(Model):
    """All places, and how large the whole is."""

    places: Mapping[str, Point]
    width: int
    height: int


def draw(needs: Mapping[str, tuple[str, ...]]) -> Drawing:
    """Place every image: a function of names, order and edges alone, each in the layer of its longest path."""
    parents = {name: tuple(need for need in own if need in needs and need != name) for name, own in needs.items()}
    layers = _order(_layers(parents), parents)
    rows = _rows([len(layer) for layer in layers])
    places: dict[str, Point] = {}
    x = 0
    for layer in layers:
        columns = [layer[start : start + rows] for start in range(0, len(layer), rows)]
        for column in columns:
            top = (rows - len(column)) * ROW // 2
            places |= {name: Point(x=x, y=top + number * ROW) for number, name in enumerate(column)}
            x += COLUMN
        x += _GAP
    return Drawing(places=places, width=max(x - _GAP, 0), height=rows * ROW if layers else 0)


def _layers(parents: Mapping[str, tuple[str, ...]]) -> list[list[str]]:
    """Each image one layer after the last that it needs; what a circle holds comes last, in one layer."""
    children: dict[str, list[str]] = {name: [] for name in parents}
    for name, own in parents.items():
        for parent in dict.fromkeys(own):
            children[parent].append(name)
    missing = {name: len(set(own)) for name, own in parents.items()}
    layers: list[list[str]] = []
    generation = [name for name, count in missing.items() if not count]
    left = set(parents)
    while generation:
        layers.append(generation)
        left.difference_update(generation)
        following = []
        for child in (child for name in generation for child in children[name]):
            missing[child] -= 1
            if not missing[child]:
                following.append(child)
        generation = following
    rest = [name for name in parents if name in left]
    return [*layers, rest] if rest else layers


def _order(layers: list[list[str]], parents: Mapping[str, tuple[str, ...]]) -> list[list[str]]:
    """Order each layer by where its neighbours stand, forth and back, so that fewer edges cross."""
    children: dict[str, list[str]] = {name: [] for name in parents}
    for name, own in parents.items():
        for parent in own:
            children[parent].append(name)
    ordered = [list(layer) for layer in layers]
    position = {name: _share(number, layer) for layer in ordered for number, name in enumerate(layer)}
    for sweep in range(_SWEEPS):
        neighbours: Mapping[str, Sequence[str]] = children if sweep % 2 else parents
        for layer in reversed(ordered) if sweep % 2 else ordered:
            layer.sort(key=lambda name: _mean(neighbours[name], position, position[name]))
            position |= {name: _share(number, layer) for number, name in enumerate(layer)}
    return ordered


def _share(number: int, layer: Sequence[str]) -> float:
    """How far down a layer an image stands, between 0 and 1: layers have different lengths."""
    return (number + 0.5) / len(layer)


def _mean(names: Sequence[str], position: Mapping[str, float], own: float) -> float:
    return sum(position[name] for name in names) / len(names) if names else own


def _rows(lengths: Sequence[int]) -> int:
    """The fewest rows with which the whole does not get wider than it should."""
    longest = max(lengths, default=0)
    for rows in range(1, longest):
        columns = sum(-(-length // rows) for length in lengths)
        if columns * COLUMN + (len(lengths) - 1) * _GAP <= _SHAPE * rows * ROW:
            return rows
    return longest
