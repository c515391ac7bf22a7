"""Plans onto one buildx builder; lowering to bake files is not in this version and is refused in words."""

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
from orchestrator.buildkit.onebuilder import builder_node, builder_probes
from orchestrator.buildkit.placement import place_on
from orchestrator.buildkit.progress import RawJsonReader


class BakeConfig(Table):
    """`[backends.bake]`."""

    builder: Annotated[str, Meta(description="The buildx builder. `default` is the engine's own.")] = "default"
    slots: Annotated[int, Meta(ge=1, le=256, description="How many bake runs there are at a time.")] = 1


class BakeBackend:
    """One builder for all platforms, driven by bake."""

    def __init__(self, config: BakeConfig) -> None:
        self._config = config

    @classmethod
    def configured(cls, config: Table) -> BakeBackend:
        """Make it from its table; any other table means the defaults."""
        return cls(config if isinstance(config, BakeConfig) else BakeConfig())

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
        """Refused: this version plans for bake and does not run it."""
        del request
        return Refusal(
            code="backend-plans-only",
            message="backend `bake` plans in this version and does not build",
            hints=("build with `--backend qemu`",),
        )

    def reader(self, invocation: Invocation) -> RawJsonReader:
        """Reads the progress of one run."""
        return RawJsonReader(invocation.steps[0])

    def results(self, request: LowerRequest, outcomes: tuple[Outcome, ...]) -> Mapping[str, SolveResult | SolveFailure]:
        """Nothing was run."""
        del request, outcomes
        return {}
