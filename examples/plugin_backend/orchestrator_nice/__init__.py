"""The backend `nice`: builds on one buildx builder, and lets everything else on this machine go first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta, structs

from orchestrator.api import (
    BackendRegistry,
    BackendSpec,
    Capabilities,
    Invocation,
    LowerRequest,
    Outcome,
    Refusal,
    SolveFailure,
    SolveResult,
    Table,
    hookimpl,
)
from orchestrator.buildkit.argv import build_invocation
from orchestrator.buildkit.onebuilder import OneBuilder
from orchestrator.buildkit.results import read_result


class NiceConfig(Table):
    """`[backends.nice]`."""

    builder: Annotated[str, Meta(min_length=1, description="The buildx builder.")] = "default"
    priority: Annotated[int, Meta(ge=1, le=19, description="19 is the lowest.")] = 10


class NiceBackend(OneBuilder):
    """The client, which sends contexts and compresses layers, runs under `nice`, one build at a time."""

    def __init__(self, config: NiceConfig) -> None:
        super().__init__(config.builder, slots=1)
        self._prefix = ("nice", f"--adjustment={config.priority}")

    @classmethod
    def configured(cls, config: Table) -> NiceBackend:
        """Make it from its table."""
        return cls(config if isinstance(config, NiceConfig) else NiceConfig())

    def lower(self, request: LowerRequest) -> tuple[Invocation, ...] | Refusal:
        """One child for each solve: what runs is what `plan -v` shows."""
        plain = [build_invocation(solve, request.node.name) for solve in request.steps]
        return tuple(structs.replace(child, argv=(*self._prefix, *child.argv)) for child in plain)

    def results(self, request: LowerRequest, outcomes: tuple[Outcome, ...]) -> Mapping[str, SolveResult | SolveFailure]:
        """The digest of each build, or why there is none."""
        pairs = zip(request.steps, outcomes, strict=False)
        return {solve.id: read_result(solve, outcome) for solve, outcome in pairs}


@hookimpl
def orchestrator_backends(registry: BackendRegistry) -> None:
    """Register the backend."""
    registry.register(
        BackendSpec(
            name="nice",
            summary="one builder, low priority",
            factory=NiceBackend.configured,
            config=NiceConfig,
            capabilities=Capabilities(source_policy=True, emulation=True),
        )
    )
