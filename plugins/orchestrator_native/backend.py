"""Builds on declared nodes, each a builder of its own: one `docker buildx build` for each solve."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping

from orchestrator.api import (
    Emulation,
    Invocation,
    LowerRequest,
    Mode,
    Node,
    Outcome,
    Placement,
    PlaceRequest,
    Probe,
    Refusal,
    SolveFailure,
    SolveResult,
    Table,
)
from orchestrator.buildkit.argv import build_invocation
from orchestrator.buildkit.placement import forbidden
from orchestrator.buildkit.progress import RawJsonReader
from orchestrator.buildkit.results import read_result
from orchestrator_native.builders import make_builder, remove_builder, start_builder
from orchestrator_native.config import NativeConfig, NodeTable, platforms_of
from orchestrator_native.copied import Copied, make_copy
from orchestrator_native.nodes import answered_nodes, declared_node, node_probes


class NativeBackend:
    """Every platform on a node that runs it natively; emulated only where the file says so twice."""

    def __init__(self, config: NativeConfig) -> None:
        self._tables = config.nodes

    @classmethod
    def configured(cls, config: Table) -> NativeBackend:
        """Make it from its table; any other table means no nodes."""
        return cls(config if isinstance(config, NativeConfig) else NativeConfig())

    def probes(self) -> tuple[Probe, ...]:
        """Ask every node."""
        return node_probes(self._tables)

    def nodes(self, answers: Mapping[str, Outcome]) -> tuple[Node, ...]:
        """The declared nodes, held against what they answered; a builder of several nodes is as many nodes."""
        return tuple(node for table in self._tables for node in answered_nodes(table, answers))

    def place(self, request: PlaceRequest) -> Placement | Refusal:
        """On a native node, or one of its equals; a hash of the image's name says which, for the sake of its cache."""
        native = [node for node in request.nodes if request.platform in node.platforms]
        if native:
            return _choose(native, request, Mode.NATIVE)
        emulating = [node for node in request.nodes if request.platform in node.emulates]
        if not emulating:
            return self._nobody(request)
        if request.emulation is Emulation.FORBID:
            return forbidden(request.platform, emulating[0])
        return _choose(emulating, request, Mode.EMULATED)

    def _nobody(self, request: PlaceRequest) -> Refusal:
        """No node builds it; one that was declared to emulate it has lost its emulator, or never had one."""
        for table in self._tables:
            if request.platform in platforms_of(table.emulates):
                architecture = request.platform.architecture
                install = f"docker run --privileged --rm tonistiigi/binfmt --install {architecture}"
                return Refusal(
                    code="no-emulator",
                    message=f"node `{table.name}` has no QEMU handler for `{request.platform}`",
                    hints=(f"install it on that machine: `{install}`",),
                )
            if table.builder and request.platform in platforms_of(table.platforms):
                return Refusal(
                    code="no-node",
                    message=f"no node of builder `{table.builder}` runs `{request.platform}` natively",
                    hints=(
                        f"`orchestrate builders inspect {table.builder}` shows what they run",
                        f'what they may emulate is written so: `emulates = ["{request.platform}"]`',
                    ),
                )
        return Refusal(
            code="no-node",
            message=f"no node builds `{request.platform}`",
            hints=(f'add one to `[backends.native]`, with `platforms = ["{request.platform}"]`',),
        )

    def setup(self, nodes: tuple[Node, ...]) -> tuple[Invocation, ...]:
        """Make builders for endpoints, and for nodes of builders of several; start existing ones that do not run."""
        return tuple(invocation for origin, node in self._own(nodes) for invocation in _make_ready(origin, node))

    def teardown(self, nodes: tuple[Node, ...]) -> tuple[Invocation, ...]:
        """Forget the builders that `setup` made."""
        return tuple(remove_builder(node.name) for _, node in self._own(nodes) if node.private)

    def _own(self, nodes: tuple[Node, ...]) -> Iterator[tuple[NodeTable | Copied, Node]]:
        """What these nodes are made of, under the names that the plan has for them."""
        tables = {declared_node(table).builder: table for table in self._tables}
        for node in nodes:
            if isinstance(node.origin, Copied):
                yield node.origin, node
            elif node.builder in tables:
                yield tables[node.builder], node

    def lower(self, request: LowerRequest) -> tuple[Invocation, ...] | Refusal:
        """One child for each solve."""
        return tuple(build_invocation(solve, request.node.name) for solve in request.steps)

    def reader(self, invocation: Invocation) -> RawJsonReader:
        """Reads the progress of one child."""
        return RawJsonReader(invocation.steps[0] if invocation.steps else "")

    def results(self, request: LowerRequest, outcomes: tuple[Outcome, ...]) -> Mapping[str, SolveResult | SolveFailure]:
        """What the metadata files say, or why there are none."""
        pairs = zip(request.steps, outcomes, strict=False)
        return {solve.id: read_result(solve, outcome) for solve, outcome in pairs}


def _make_ready(origin: NodeTable | Copied, node: Node) -> tuple[Invocation, ...]:
    if isinstance(origin, Copied):
        return make_copy(origin, node.name)
    return make_builder(origin, node.name) if node.private else (start_builder(node.name),)


def _choose(nodes: list[Node], request: PlaceRequest, mode: Mode) -> Placement | Refusal:
    """One of several equal nodes, weighted by slots; those that answered come before those that did not.

    It is exchanged only for others on which `$BUILDPLATFORM` is the same: what is built depends on it.
    """
    fit = [node for node in nodes if not node.problem]
    if not fit:
        return Refusal(code="node-unfit", message=f"node `{nodes[0].name}`: {nodes[0].problem}", hints=nodes[0].hints)
    awake = [node for node in fit if not node.provisional] or fit
    seats = [node for node in awake for _ in range(node.slots)]
    chosen = seats[zlib.crc32(request.image.encode()) % len(seats)]
    same = (node for node in awake if node.build_platform == chosen.build_platform)
    others = tuple(node.name for node in same if node is not chosen)
    return Placement(node=chosen.name, mode=mode, others=others)
