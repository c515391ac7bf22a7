"""Builds on one buildx builder: one `docker buildx bake` for up to forty solves that may be built together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

from msgspec import Meta

from orchestrator.api import Became, Invocation, LowerRequest, Outcome, Reader, Refusal, Table, render_word
from orchestrator.buildkit.builders import BuilderName
from orchestrator.buildkit.onebuilder import OneBuilder
from orchestrator_bake.lower import bake_invocation
from orchestrator_bake.progress import BakeReader
from orchestrator_bake.results import read_results

MAX_TARGETS: Final = 40
"""Runs of more than about a hundred ended with "no such job" on the `docker` driver (docker/buildx#3486, #3810)."""


class BakeConfig(Table):
    """`[backends.bake]`."""

    builder: Annotated[BuilderName, Meta(description="The buildx builder. `default` is the engine's own.")] = "default"
    slots: Annotated[int, Meta(ge=1, le=256, description="How many bake runs there are at a time.")] = 1


class BakeBackend(OneBuilder):
    """One builder for all platforms, driven by bake; what its CPU does not run is emulated."""

    @classmethod
    def configured(cls, config: Table) -> BakeBackend:
        """Make it from its table; any other table means the defaults."""
        chosen = config if isinstance(config, BakeConfig) else BakeConfig()
        return cls(chosen.builder, slots=chosen.slots)

    def lower(self, request: LowerRequest) -> tuple[Invocation, ...] | Refusal:
        """One child for all solves."""
        lowered = self.refuse(request) or bake_invocation(request)
        return lowered if isinstance(lowered, Refusal) else (lowered,)

    def reader(self, invocation: Invocation) -> Reader:
        """Reads the progress of one child: its last words are the targets, in the order of its steps."""
        steps = invocation.steps
        targets = map(render_word, invocation.argv[len(invocation.argv) - len(steps) :])
        return BakeReader(dict(zip(targets, steps, strict=True)))

    def results(self, request: LowerRequest, outcomes: tuple[Outcome, ...]) -> Mapping[str, Became]:
        """What the metadata file says, or why there is none."""
        return read_results(request, outcomes)
