"""The registries that the user, and never a repository, allows plain HTTP for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

INSECURE: Final = "ORCHESTRATE_INSECURE_REGISTRIES"


def insecure_registries(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The hosts in the environment variable, separated by commas."""
    return tuple(host.strip() for host in environment.get(INSECURE, "").split(",") if host.strip())
