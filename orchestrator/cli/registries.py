"""The registries that a plan asks: opened once, so that connections and tokens serve all of its questions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeAlias

from orchestrator.cli.insecure import insecure_registries
from orchestrator.oci.reference import Repository
from orchestrator.probe.cached import CachedStore
from orchestrator.process.capture import capture
from orchestrator.registry import open_stores
from orchestrator.registry.patience import Patience
from orchestrator.state.manifests import open_manifest_cache

PATIENCE: Final = Patience(attempts=3, connect_timeout=5.0, read_timeout=20.0)
"""A plan that has to wait for a registry that is down is worse than one that says so."""

OpenStore: TypeAlias = Callable[[Repository], CachedStore]


@contextmanager
def open_asked(root: Path, environment: Mapping[str, str]) -> Iterator[OpenStore]:
    """What opens repositories, with the user's logins and what the project in `root` keeps of their manifests."""
    insecure = insecure_registries(environment)
    with (
        open_stores(environment, insecure=insecure, capture=capture, patience=PATIENCE) as stores,
        open_manifest_cache(root) as cache,
    ):
        yield lambda repository: CachedStore(stores.repository(repository), cache)
