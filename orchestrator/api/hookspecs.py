"""The hooks of the entry point group `orchestrator`."""

from __future__ import annotations

from typing import Protocol

import pluggy

from orchestrator.api.backend import BackendSpec

hookspec = pluggy.HookspecMarker("orchestrator")
hookimpl = pluggy.HookimplMarker("orchestrator")


class BackendRegistry(Protocol):
    """What a plugin registers its backends with."""

    def register(self, spec: BackendSpec) -> None:
        """Add a backend; a name that is taken is an error that names both plugins."""


@hookspec
def orchestrator_backends(registry: BackendRegistry) -> None:
    """Register backends. Called once, before `builds.toml` is decoded; it must be cheap and change nothing."""
