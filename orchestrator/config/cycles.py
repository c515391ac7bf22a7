"""Cycles among names that refer to names of their own kind: templates by `inherits`, groups by their members."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

_MOST: Final = 20


def find_cycles(edges: Mapping[str, tuple[str, ...]]) -> tuple[tuple[str, ...], ...]:
    """The cycles, each as the path it is, closed: `("a", "b", "a")`; in the order of `edges`, at most 20.

    Without recursion, because a chain may be as long as the file. Not networkx, because this runs in every command
    and that takes 0.3 s to import.
    """
    found: list[tuple[str, ...]] = []
    done: set[str] = set()
    for start in edges:
        if start in done:
            continue
        path: dict[str, Iterator[str]] = {start: iter(edges[start])}
        while path and len(found) < _MOST:
            name, rest = next(reversed(path.items()))
            successor = next(rest, None)
            if successor is None:
                done.add(name)
                del path[name]
            elif successor in path:
                names = tuple(path)
                found.append((*names[names.index(successor) :], successor))
            elif successor in edges and successor not in done:
                path[successor] = iter(edges[successor])
    return tuple(found)
