"""Builds on one buildx builder: one `docker buildx build` for each solve."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta

from orchestrator.api import (
    Invocation,
    LowerRequest,
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
from orchestrator.buildkit.onebuilder import builder_node, builder_probes
from orchestrator.buildkit.placement import place_on
from orchestrator.buildkit.progress import RawJsonReader
from orchestrator.buildkit.results import read_result


class QemuConfig(Table):
    """`[backends.qemu]`."""

    builder: Annotated[str, Meta(description="The buildx builder. `default` is the engine's own.")] = "default"
    slots: Annotated[int, Meta(ge=1, le=256, description="How many solves run at a time.")] = 4


class QemuBackend:
    """One builder for all platforms."""

    def __init__(self, config: QemuConfig) -> None:
        self._config = config

    @classmethod
    def configured(cls, config: Table) -> QemuBackend:
        """Make it from its table; any other table means the defaults."""
        return cls(config if isinstance(config, QemuConfig) else QemuConfig())

    def probes(self) -> tuple[Probe, ...]:
        """Ask the builder and its engine."""
        return builder_probes(self._config.builder)

    def nodes(self, answers: Mapping[str, Outcome]) -> tuple[Node, ...]:
        """The one builder, as a node."""
        return (builder_node(self._config.builder, answers, slots=self._config.slots),)

    def place(self, request: PlaceRequest) -> Placement | Refusal:
        """On the one node, natively or emulated."""
        return place_on(request.nodes[0], request)

    def setup(self, nodes: tuple[Node, ...]) -> tuple[Invocation, ...]:
        """Nothing: the builder is there, or the plan is blocked."""
        del nodes
        return ()

    def lower(self, request: LowerRequest) -> tuple[Invocation, ...] | Refusal:
        """One child for each solve."""
        return tuple(build_invocation(solve, request.node.name) for solve in request.steps)

    def reader(self, invocation: Invocation) -> RawJsonReader:
        """Reads the progress of one `docker buildx build`."""
        return RawJsonReader(invocation.steps[0])

    def results(self, request: LowerRequest, outcomes: tuple[Outcome, ...]) -> Mapping[str, SolveResult | SolveFailure]:
        """What the metadata files say, or why there are none."""
        pairs = zip(request.steps, outcomes, strict=False)
        return {solve.id: read_result(solve, outcome) for solve, outcome in pairs}
