"""Builds on one buildx builder: one `docker buildx build` for each solve."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta

from orchestrator.api import Invocation, LowerRequest, Outcome, Refusal, SolveFailure, SolveResult, Table
from orchestrator.buildkit.argv import build_invocation
from orchestrator.buildkit.builders import BuilderName
from orchestrator.buildkit.onebuilder import OneBuilder
from orchestrator.buildkit.results import read_result


class QemuConfig(Table):
    """`[backends.qemu]`."""

    builder: Annotated[BuilderName, Meta(description="The buildx builder. `default` is the engine's own.")] = "default"
    slots: Annotated[int, Meta(ge=1, le=256, description="How many solves run at a time.")] = 8


class QemuBackend(OneBuilder):
    """One builder for all platforms; what its CPU does not run is emulated."""

    @classmethod
    def configured(cls, config: Table) -> QemuBackend:
        """Make it from its table; any other table means the defaults."""
        chosen = config if isinstance(config, QemuConfig) else QemuConfig()
        return cls(chosen.builder, slots=chosen.slots)

    def lower(self, request: LowerRequest) -> tuple[Invocation, ...] | Refusal:
        """One child for each solve."""
        return self.refuse(request) or tuple(build_invocation(solve, request.node.name) for solve in request.steps)

    def results(self, request: LowerRequest, outcomes: tuple[Outcome, ...]) -> Mapping[str, SolveResult | SolveFailure]:
        """What the metadata files say, or why there are none."""
        pairs = zip(request.steps, outcomes, strict=False)
        return {solve.id: read_result(solve, outcome) for solve, outcome in pairs}
