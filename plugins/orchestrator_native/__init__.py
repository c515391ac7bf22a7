"""The `native` backend: every node builds its own platforms."""

from __future__ import annotations

from orchestrator.api import BackendRegistry, BackendSpec, Capabilities, hookimpl
from orchestrator_native.backend import NativeBackend
from orchestrator_native.config import NativeConfig, find_problems


@hookimpl
def orchestrator_backends(registry: BackendRegistry) -> None:
    """Register the backend."""
    registry.register(
        BackendSpec(
            name="native",
            summary="every node builds its own platforms",
            factory=NativeBackend.configured,
            config=NativeConfig,
            check=find_problems,
            capabilities=Capabilities(source_policy=True),
        )
    )
