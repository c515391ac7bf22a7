"""Which image needs which, and in what order: the one module that knows networkx."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum

from orchestrator.diagnostics import Diagnostic, Place
from orchestrator.model import Model
from orchestrator.oci.platform import Platform


class EdgeKind(Enum):
    """Where an edge comes from."""

    CONTEXT = "contexts"
    NEEDS = "needs"
    FROM = "FROM"
    COPY = "COPY --from"
    MOUNT = "RUN --mount"

    @property
    def carries_data(self) -> bool:
        """Whether the child is built from the parent, rather than only after it."""
        return self is not EdgeKind.NEEDS


class Edge(Model):
    """`child` needs `parent`.

    `name` is the named context that hands the parent over, `source` the reference that the Dockerfile pulls,
    `stage` the line of a stage that has the same name. `platform` is set where one platform's data serves all,
    `asked` where the Dockerfile itself asks for another one than it is built for, with `FROM --platform`.
    `platforms` are those of the child to which the edge applies.
    """

    parent: str
    child: str
    kind: EdgeKind
    place: Place
    platforms: tuple[Platform, ...]
    name: str = ""
    source: str = ""
    stage: Place | None = None
    platform: Platform | None = None
    asked: Platform | None = None

    def of_parent(self, platform: Platform) -> Platform:
        """The platform of the parent that the child needs for one of its own."""
        return self.platform or self.asked or platform


class Order(Model):
    """The order of images: waves of names, each wave after the one before, ties in the order of declaration."""

    waves: tuple[tuple[str, ...], ...]
    parents: Mapping[str, tuple[str, ...]]

    def wave_of(self) -> Mapping[str, int]:
        """The 1-based wave of every image."""
        return {name: number for number, wave in enumerate(self.waves, 1) for name in wave}

    def in_order(self) -> tuple[str, ...]:
        """All names, parents first."""
        return tuple(name for wave in self.waves for name in wave)


def order_images(names: tuple[str, ...], edges: tuple[Edge, ...]) -> Order | Diagnostic:
    """Order the images; a cycle is a finding that shows the path it is."""
    position = {name: number for number, name in enumerate(names)}
    parents: dict[str, set[str]] = {name: set() for name in names}
    for edge in edges:
        parents[edge.child].add(edge.parent)
    waves = tuple(tuple(sorted(wave, key=position.__getitem__)) for wave in _generations(parents))
    if sum(map(len, waves)) < len(names):
        return _cycle_diagnostic(_find_cycle(names, edges), edges)
    in_order = {name: tuple(sorted(parents[name], key=position.__getitem__)) for name in names}
    return Order(waves=waves, parents=in_order)


def _generations(parents: Mapping[str, set[str]]) -> Iterator[list[str]]:
    """Names whose parents were all in generations before; those in a cycle, and what needs them, are in none."""
    children: dict[str, list[str]] = {name: [] for name in parents}
    for name, own in parents.items():
        for parent in own:
            children[parent].append(name)
    missing = {name: len(own) for name, own in parents.items()}
    generation = [name for name, count in missing.items() if not count]
    while generation:
        yield generation
        following = []
        for child in (child for name in generation for child in children[name]):
            missing[child] -= 1
            if not missing[child]:
                following.append(child)
        generation = following


def _find_cycle(names: tuple[str, ...], edges: tuple[Edge, ...]) -> tuple[str, ...]:
    import networkx as nx  # noqa: PLC0415 (a tenth of the time of a plan to import; only who has a cycle pays it)

    graph: nx.DiGraph[str] = nx.DiGraph()  # type: ignore[explicit-any]  # the stubs' own default
    graph.add_nodes_from(names)
    graph.add_edges_from((edge.parent, edge.child) for edge in edges)
    return tuple(parent for parent, _ in nx.find_cycle(graph))


def ancestors(names: tuple[str, ...], order: Order) -> frozenset[str]:
    """These images and all that they need."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += order.parents[name]
    return frozenset(found)


def _cycle_diagnostic(cycle: tuple[str, ...], edges: tuple[Edge, ...]) -> Diagnostic:
    """A cycle, told from the child's side: `a needs b needs a`, with the place of every edge."""
    start = cycle.index(min(cycle))
    path = (*cycle[start:], *cycle[:start])
    steps = []
    for parent, child in zip(path, (*path[1:], path[0]), strict=True):
        steps.append(next(edge for edge in edges if (edge.parent, edge.child) == (parent, child)))
    shown = " -> ".join((*path, path[0]))
    kinds = ", ".join(f"`{edge.child}` takes `{edge.parent}` ({edge.kind.value})" for edge in steps)
    return Diagnostic(
        code="cycle",
        message=f"images need each other in a circle: {shown}",
        place=steps[0].place,
        subject=path[0],
        related=tuple(edge.place for edge in steps[1:]),
        hints=(f"{kinds}; drop one of these, or set `infer = false` where an edge was inferred wrongly",),
    )
