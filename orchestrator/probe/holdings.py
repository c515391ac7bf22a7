"""Looks at what repositories hold: every tag with its digest, and what manifests name; many at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol

from orchestrator.errors import RegistryError
from orchestrator.oci.digest import Digest
from orchestrator.oci.links import Links, read_links
from orchestrator.oci.manifest import Manifest
from orchestrator.oci.reference import Reference, Repository
from orchestrator.plan.prune import Contents, Graph

_THREADS: Final = 32
_MAX_DEPTH: Final = 8
"""Indexes within indexes; nobody builds them so deep, and a hostile one is not followed for ever."""


class TaggedStore(Protocol):
    """What looking at a repository needs of a store."""

    @property
    def name(self) -> str:
        """How messages call it."""

    def find(self, locator: str) -> Digest | None:
        """The digest behind a tag."""

    def fetch_manifest(self, locator: str) -> Manifest | None:
        """The manifest behind a digest."""

    def tags(self) -> Iterable[str]:
        """All tags."""


class Holdings:
    """Lists repositories, as often as one likes; a manifest is fetched once, for its digest says what is in it.

    Args:
        open_store: opens the store of a repository.
        declared: tags that are looked up though a registry does not list them.
    """

    def __init__(
        self, open_store: Callable[[Repository], TaggedStore], declared: Mapping[Repository, frozenset[str]]
    ) -> None:
        self._open_store = open_store
        self._declared = declared
        self._links: dict[Digest, Links] = {}

    @property
    def graph(self) -> Graph:
        """What all manifests name that were seen so far."""
        return self._links

    def read(self, repositories: Iterable[Repository]) -> tuple[Contents, ...]:
        """The tags of these repositories as they are now.

        Raises:
            RegistryError: one cannot be listed, or it cannot be told what a tag reaches.
        """
        with ThreadPoolExecutor(_THREADS) as threads:
            wanted = tuple(repositories)
            listed = threads.map(self._list, wanted)
            names = [one.tag(tag) for one, tags in zip(wanted, listed, strict=True) for tag in tags]
            found: dict[Repository, dict[str, Digest]] = {one: {} for one in wanted}
            for name, digest in zip(names, threads.map(self._find, names), strict=True):
                if digest:
                    found[name.repository][name.tag] = digest
            holders: dict[Digest, tuple[Repository, ...]] = {}
            for one, tags in found.items():
                for digest in frozenset(tags.values()):
                    holders[digest] = (*holders.get(digest, ()), one)
            self._follow(threads, holders)
        return tuple(Contents(repository=one, tags=tags) for one, tags in found.items())

    def _list(self, repository: Repository) -> list[str]:
        listed = self._open_store(repository).tags()
        return list(dict.fromkeys((*listed, *sorted(self._declared.get(repository, ())))))

    def _find(self, name: Reference) -> Digest | None:
        return self._open_store(name.repository).find(name.tag)

    def _follow(self, threads: ThreadPoolExecutor, pending: Mapping[Digest, tuple[Repository, ...]]) -> None:
        """Fetch what is not known yet, then the indexes beneath it."""
        for _ in range(_MAX_DEPTH):
            pending = {digest: holders for digest, holders in pending.items() if digest not in self._links}
            fetched = dict(zip(pending, threads.map(lambda item: self._fetch(*item), pending.items()), strict=True))
            self._links.update({digest: links for digest, links in fetched.items() if links})
            pending = {index: pending[digest] for digest, links in fetched.items() if links for index in links.indexes}
            if not pending:
                return
        digest, (repository, *_) = next(iter(pending.items()))
        message = f"indexes within indexes, more than {_MAX_DEPTH} deep: `{repository}@{digest}`"
        raise RegistryError(message, hints=("nothing that is built here is so: delete what names it",))

    def _fetch(self, digest: Digest, holders: tuple[Repository, ...]) -> Links | None:
        """What a manifest names; None, if it is gone by now."""
        for repository in holders:
            manifest = self._open_store(repository).fetch_manifest(digest)
            if manifest is None:
                continue
            try:
                return read_links(manifest)
            except ValueError as error:
                message = f"it cannot be told what `{repository}@{digest}` reaches: {error}"
                hint = "delete it, or name images that have nothing to do with that repository"
                raise RegistryError(message, hints=(hint,)) from error
        return None
