"""Plans onto declared nodes; lowering to them is not in this version and is refused in words."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from typing import Annotated, Final, Literal, TypeAlias

from msgspec import UNSET, Meta, UnsetType

from orchestrator.api import (
    ConfigProblem,
    Emulation,
    Invocation,
    LowerRequest,
    Mode,
    Node,
    Outcome,
    Placement,
    PlaceRequest,
    Platform,
    Probe,
    Refusal,
    SolveFailure,
    SolveResult,
    Table,
    parse_platform,
)
from orchestrator.buildkit.builders import BuilderName
from orchestrator.buildkit.placement import forbidden
from orchestrator.buildkit.progress import RawJsonReader

Text: TypeAlias = Annotated[str, Meta(min_length=1)]

_SCHEMES: Final = ("tcp", "ssh", "unix", "docker-container", "kube-pod")


class NodeTable(Table):
    """A node of `[backends.native]`: a BuildKit somewhere, used as a builder of its own."""

    name: Annotated[str, Meta(min_length=1, description="The node's name, in plans and with `--node`.")]
    platforms: Annotated[list[str], Meta(min_length=1, description="The platforms that it runs natively.")]
    endpoint: Annotated[
        Text | UnsetType, Meta(description="`tcp://HOST:PORT`, `ssh://USER@HOST`, `unix://PATH` or a Docker context.")
    ] = UNSET
    driver: Annotated[
        Literal["remote", "docker-container", "kubernetes"] | UnsetType,
        Meta(description="The buildx driver; `remote` for `tcp://`, `docker-container` for `ssh://` unless said."),
    ] = UNSET
    builder: Annotated[
        BuilderName | UnsetType, Meta(description="An existing buildx builder, instead of an endpoint.")
    ] = UNSET
    emulates: Annotated[list[str], Meta(description="The platforms that it may emulate, where that is allowed.")] = []  # noqa: RUF012 (msgspec copies it)
    slots: Annotated[int, Meta(ge=1, le=256, description="How many solves run on it at a time.")] = 2
    options: Annotated[dict[str, str], Meta(description="Options of the driver, such as a namespace.")] = {}  # noqa: RUF012 (msgspec copies it)
    cacert: Annotated[
        Text | UnsetType, Meta(description="The CA: a file, or `env:NAME` of a variable with its path.")
    ] = UNSET
    cert: Annotated[Text | UnsetType, Meta(description="The client certificate, as `cacert`.")] = UNSET
    key: Annotated[Text | UnsetType, Meta(description="The client key, as `cacert`.")] = UNSET


class NativeConfig(Table):
    """`[backends.native]`."""

    nodes: Annotated[list[NodeTable], Meta(min_length=1, description="The nodes.")] = []  # noqa: RUF012 (msgspec copies it)


def find_problems(config: Table) -> Iterator[ConfigProblem]:
    """Platforms that are none, endpoints that nobody can reach, and nodes with one name."""
    nodes = config.nodes if isinstance(config, NativeConfig) else []
    first: dict[str, int] = {}
    for position, node in enumerate(nodes):
        if first.setdefault(node.name, position) != position:
            yield ConfigProblem(
                keys=("nodes", position, "name"),
                code="duplicate-node",
                message=f"two nodes are called `{node.name}`",
                hints=("give each node a name of its own",),
            )
        yield from _wrong_platforms(node.platforms, ("nodes", position, "platforms"))
        yield from _wrong_platforms(node.emulates, ("nodes", position, "emulates"))
        scheme, separator, _ = (node.endpoint or "").partition("://")
        if separator and scheme not in _SCHEMES:
            yield ConfigProblem(
                keys=("nodes", position, "endpoint"),
                code="illegal-endpoint",
                message=f"unknown scheme `{scheme}` of an endpoint",
                hints=(f"known are {', '.join(f'`{known}://`' for known in _SCHEMES)}, and names of Docker contexts",),
            )


def _wrong_platforms(texts: list[str], keys: tuple[str | int, ...]) -> Iterator[ConfigProblem]:
    for number, text in enumerate(texts):
        try:
            parse_platform(text)
        except ValueError as error:
            yield ConfigProblem(
                keys=(*keys, number),
                code="illegal-platform",
                message=str(error),
                hints=("write it like `linux/amd64`",),
            )


class NativeBackend:
    """Every platform on a node that runs it natively."""

    def __init__(self, config: NativeConfig) -> None:
        self._config = config

    @classmethod
    def configured(cls, config: Table) -> NativeBackend:
        """Make it from its table; any other table means no nodes."""
        return cls(config if isinstance(config, NativeConfig) else NativeConfig())

    def probes(self) -> tuple[Probe, ...]:
        """None: the configuration says what the nodes are."""
        return ()

    def nodes(self, answers: Mapping[str, Outcome]) -> tuple[Node, ...]:
        """The declared nodes; `find_problems` refused platforms that nobody knows when the table was read."""
        del answers
        return tuple(
            Node(
                name=table.name,
                platforms=_platforms(table.platforms),
                emulates=_platforms(table.emulates),
                slots=table.slots,
                builder=table.builder or "",
                provisional=True,
                summary=table.endpoint or table.builder or table.driver or "",
            )
            for table in self._config.nodes
        )

    def place(self, request: PlaceRequest) -> Placement | Refusal:
        """On a native node; equal nodes share the images by a hash of their names, so that a plan is stable."""
        native = [node for node in request.nodes if request.platform in node.platforms]
        if native:
            return Placement(node=_pick(native, request).name, mode=Mode.NATIVE)
        emulating = [node for node in request.nodes if request.platform in node.emulates]
        if not emulating:
            return Refusal(
                code="no-node",
                message=f"no node builds `{request.platform}`",
                hints=(f'add one to `[backends.native]`, with `platforms = ["{request.platform}"]`',),
            )
        if request.emulation is Emulation.FORBID:
            return forbidden(request.platform, emulating[0])
        return Placement(node=_pick(emulating, request).name, mode=Mode.EMULATED)

    def setup(self, nodes: tuple[Node, ...]) -> tuple[Invocation, ...]:
        """Nothing, as nothing is lowered."""
        del nodes
        return ()

    def lower(self, request: LowerRequest) -> tuple[Invocation, ...] | Refusal:
        """Refused: this version plans for nodes and does not build on them."""
        del request
        return Refusal(
            code="backend-plans-only",
            message="backend `native` plans in this version and does not build",
            hints=("build with `--backend qemu`",),
        )

    def reader(self, invocation: Invocation) -> RawJsonReader:
        """Reads the progress of one child."""
        return RawJsonReader(invocation.steps[0])

    def results(self, request: LowerRequest, outcomes: tuple[Outcome, ...]) -> Mapping[str, SolveResult | SolveFailure]:
        """Nothing was run."""
        del request, outcomes
        return {}


def _platforms(texts: list[str]) -> tuple[Platform, ...]:
    return tuple(parse_platform(text) for text in texts)


def _pick(nodes: list[Node], request: PlaceRequest) -> Node:
    """One of several equal nodes, weighted by slots."""
    seats = [node for node in nodes for _ in range(node.slots)]
    return seats[zlib.crc32(f"{request.image}@{request.platform}".encode()) % len(seats)]
