"""Plans onto one buildx builder; lowering to bake files is not in this version and is refused in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta

from orchestrator.api import Invocation, LowerRequest, Outcome, Refusal, SolveFailure, SolveResult, Table
from orchestrator.buildkit.builders import BuilderName
from orchestrator.buildkit.onebuilder import OneBuilder


class BakeConfig(Table):
    """`[backends.bake]`."""

    builder: Annotated[BuilderName, Meta(description="The buildx builder. `default` is the engine's own.")] = "default"
    slots: Annotated[int, Meta(ge=1, le=256, description="How many bake runs there are at a time.")] = 1


class BakeBackend(OneBuilder):
    """One builder for all platforms, driven by bake."""

    @classmethod
    def configured(cls, config: Table) -> BakeBackend:
        """Make it from its table; any other table means the defaults."""
        chosen = config if isinstance(config, BakeConfig) else BakeConfig()
        return cls(chosen.builder, slots=chosen.slots)

    def lower(self, request: LowerRequest) -> tuple[Invocation, ...] | Refusal:
        """Refused: this version plans for bake and does not run it."""
        del request
        return Refusal(
            code="backend-plans-only",
            message="backend `bake` plans in this version and does not build",
            hints=("build with `--backend qemu`",),
        )

    def results(self, request: LowerRequest, outcomes: tuple[Outcome, ...]) -> Mapping[str, SolveResult | SolveFailure]:
        """Nothing was run."""
        del request, outcomes
        return {}
