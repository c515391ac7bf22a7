"""What the engine needs of the outside, as protocols; `cli` wires the real ones in.

Stores block, and the engine calls them in threads; children are awaited.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, Literal, Protocol, Self

from orchestrator.api.backend import Probe
from orchestrator.api.invocation import Outcome
from orchestrator.oci.digest import Digest
from orchestrator.oci.manifest import Descriptor, Manifest
from orchestrator.oci.reference import Repository
from orchestrator.process.ended import Ended


class ImageStore(Protocol):
    """One repository of a registry, or one OCI layout on disk.

    Every method raises `RegistryError` where the store refuses, fails or cannot be reached after its own retries.
    """

    @property
    def name(self) -> str:
        """How messages call it: `ghcr.io/acme/api` or `oci:out/api`."""

    def find(self, locator: str) -> Digest | None:
        """The digest behind a tag (or the digest itself, where it exists); None where there is none. A HEAD."""

    def fetch_manifest(self, locator: str) -> Manifest | None:
        """The manifest or index behind a tag or a digest, its bytes checked against a digest; None: none there."""

    def put_manifest(self, locator: str, manifest: Manifest) -> None:
        """Put a manifest under a tag or under its digest."""

    def has_blob(self, digest: Digest) -> bool:
        """Whether the blob is there."""

    def open_blob(self, descriptor: Descriptor) -> AbstractContextManager[BinaryIO]:
        """A stream of the blob; reading to its end raises where length or digest is not the descriptor's."""

    def put_blob(self, descriptor: Descriptor, source: Callable[[], AbstractContextManager[BinaryIO]]) -> None:
        """Upload a blob unless it is there; `source` is opened once a try."""

    def mount_blob(self, descriptor: Descriptor, origin: ImageStore) -> bool:
        """Take a blob over from another repository of the same registry (or by link); False: it has to be copied."""

    def tags(self) -> Iterator[str]:
        """All tags, in the store's order."""


class Layout(ImageStore, Protocol):
    """An OCI layout on disk."""

    def take(self, digest: Digest, origin: Self) -> None:
        """Take an index over from another layout with all that it leads to, whatever is here already."""

    def publish(self, tag: str, digest: Digest, *, owner: str) -> None:
        """Make this index the one entry of `owner`, and remove what nobody reaches any more."""

    def keep_only(self, tags: frozenset[str]) -> None:
        """Take away all other tags, and what none of these leads to."""


class Stores(Protocol):
    """Opens stores; one connection pool and one login for each registry."""

    def repository(self, repository: Repository) -> ImageStore:
        """The store of a repository."""

    def layout(self, path: Path) -> Layout:
        """The OCI layout in a folder; the folder is made where it is missing."""

    def abort(self) -> None:
        """End what registries are being asked, in any thread, with an error; nothing can be asked any more."""


class Children(Protocol):
    """Starts children and stops them in order, and asks nodes."""

    async def run(
        self,
        argv: tuple[str, ...],
        *,
        cwd: Path,
        env: Mapping[str, str],
        on_line: Callable[[Literal["stdout", "stderr"], str], None],
        timeout: float | None,  # noqa: ASYNC109 (a limit for the child, not for the caller)
    ) -> Ended:
        """Run one child; when cancelled, it is stopped before this returns."""

    def ask(self, probe: Probe) -> Outcome:
        """Ask a node; blocks, within the time limit of the probe."""
