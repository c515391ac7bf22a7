"""The `qemu` backend: one builder; foreign platforms run under QEMU, where allowed."""

from __future__ import annotations

from orchestrator.api import BackendRegistry, BackendSpec, Capabilities, hookimpl
from orchestrator_qemu.backend import QemuBackend, QemuConfig


@hookimpl
def orchestrator_backends(registry: BackendRegistry) -> None:
    """Register the backend."""
    registry.register(
        BackendSpec(
            name="qemu",
            summary="one builder, foreign platforms under QEMU",
            factory=QemuBackend.configured,
            config=QemuConfig,
            capabilities=Capabilities(source_policy=True, emulation=True),
        )
    )
