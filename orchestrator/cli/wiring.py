"""Joins the engine to the real world: registries, layouts, children."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from orchestrator.api.backend import Probe
from orchestrator.api.invocation import Outcome
from orchestrator.cli.insecure import insecure_registries
from orchestrator.oci.manifest import Manifest
from orchestrator.oci.reference import Repository
from orchestrator.plan.names import is_asked_first
from orchestrator.probe.facts import ask
from orchestrator.process.capture import capture
from orchestrator.process.ended import Ended
from orchestrator.process.stream import stream
from orchestrator.registry import open_stores
from orchestrator.registry.patience import Patience
from orchestrator.state.layout import OciLayout
from orchestrator.state.manifests import open_manifest_cache

if TYPE_CHECKING:
    from orchestrator.registry.client import RepositoryStore
    from orchestrator.registry.stores import RegistryStores


class RealStores:
    """Repositories over the network, layouts on disk. `engine.ports.Stores`."""

    def __init__(self, registries: RegistryStores, *, root: Path) -> None:
        self._registries = registries
        self._root = root
        self._layouts: dict[Path, OciLayout] = {}

    def repository(self, repository: Repository) -> RepositoryStore:
        """The store of a repository."""
        return self._registries.repository(repository)

    def layout(self, path: Path) -> OciLayout:
        """The layout in a folder; one object for each folder, so that its lock is shared.

        Links that lead to the project, or to a folder that the user named, are theirs; below that none is followed.
        """
        trusted = self._root if path.is_relative_to(self._root) else path.parent
        return self._layouts.setdefault(path, OciLayout(path, below=trusted))

    def abort(self) -> None:
        """End what registries are being asked."""
        self._registries.abort()


class RealChildren:
    """Children of this process. `engine.ports.Children`."""

    def __init__(self, environment: Mapping[str, str], *, root: Path) -> None:
        self._environment = environment
        self._root = root

    def ask(self, probe: Probe) -> Outcome:
        """Ask a node of the project."""
        return ask(probe, self._environment, self._root)

    async def run(
        self,
        argv: tuple[str, ...],
        *,
        cwd: Path,
        env: Mapping[str, str],
        on_line: Callable[[Literal["stdout", "stderr"], str], None],
        timeout: float | None,  # noqa: ASYNC109 (a limit for the child, not for the caller)
    ) -> Ended:
        """Run one child to its end."""
        return await stream(argv, cwd=cwd, env=env, on_line=on_line, timeout=timeout)


@contextmanager
def real_stores(environment: Mapping[str, str], *, root: Path) -> Iterator[RealStores]:
    """Stores with the user's logins, closed at the end; `root` is the project's folder.

    What the next plan asks about first is kept, so that it need not fetch it.
    """
    with open_manifest_cache(root) as cache:

        def keep(locator: str, manifest: Manifest) -> None:
            if is_asked_first(locator):
                cache.keep(manifest)

        insecure = insecure_registries(environment)
        patience = Patience(awaits_digests=True)
        with open_stores(environment, insecure=insecure, capture=capture, patience=patience, on_put=keep) as registries:
            yield RealStores(registries, root=root)
