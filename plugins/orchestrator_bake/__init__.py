"""The `bake` backend: the graph as runs of `docker buildx bake`."""

from __future__ import annotations

from orchestrator.api import BackendRegistry, BackendSpec, Capabilities, hookimpl
from orchestrator_bake.backend import MAX_TARGETS, BakeBackend, BakeConfig


@hookimpl
def orchestrator_backends(registry: BackendRegistry) -> None:
    """Register the backend."""
    registry.register(
        BackendSpec(
            name="bake",
            summary="the graph as runs of `docker buildx bake`",
            factory=BakeBackend.configured,
            config=BakeConfig,
            capabilities=Capabilities(emulation=True, source_policy=True, max_steps=MAX_TARGETS),
        )
    )
