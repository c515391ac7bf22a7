"""Deletes what a `Removal` says, and nothing that anybody reaches by then; what a registry refuses is told, not lost.

Before each wave the repository is listed again. A manifest goes before what is beneath it, and where one stays, for
whatever reason, everything beneath it stays as well.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Final, Protocol

from orchestrator.engine.ports import ImageStore
from orchestrator.errors import RegistryError
from orchestrator.model import Model
from orchestrator.oci.digest import Digest
from orchestrator.oci.reference import Repository
from orchestrator.plan.removal import Fate, Name, Pruned, Removal

_THREADS: Final = 16
_NOT_ALLOWED: Final = 405
_REFUSES_ONE: Final = frozenset({400, 404, 409, 412, 422, 423})
"""Answers about one manifest, such as one with a lock on it; others would be the same for the next."""

_NO_TAGS: Final = frozenset({400, 405, 501})
"""Answers of registries that do not delete a tag alone (distribution-spec, "Deleting tags")."""

_TAGGED: Final = frozenset({400, 409})
"""Answers to the deletion of a digest that has tags, by registries that want those to go first."""


class Standing(Model):
    """A repository as it is now: its tags, and the digests that must not be deleted."""

    tags: Mapping[str, Digest]
    protected: frozenset[Digest]


class PruneStore(ImageStore, Protocol):
    """A repository from which something can be deleted."""

    def delete(self, locator: str) -> bool:
        """Delete a manifest by its digest, with every tag that it has, or a tag alone; False: it was not there."""


Look = Callable[[Removal, Collection[Digest]], Standing]
"""Looks at the repository of a removal again; the digests were refused, so all beneath them is needed."""


def prune(
    removals: tuple[Removal, ...], open_store: Callable[[Repository], PruneStore], look: Look
) -> Iterator[Pruned]:
    """Carry removals out, one repository after the other; a registry that deletes nothing is asked once."""
    unable: dict[str, RegistryError] = {}
    with ThreadPoolExecutor(_THREADS) as threads:
        for removal in removals:
            registry = removal.repository.registry
            pruning = _Pruning(removal, open_store(removal.repository), look, threads)
            pruned = pruning.give_up(unable[registry]) if registry in unable else pruning.run()
            if pruned.refusal and deletes_nothing(pruned.refusal):
                unable[registry] = pruned.refusal
            yield pruned


def deletes_nothing(error: RegistryError) -> bool:
    """Whether the registry says that it deletes nothing at all, for nobody."""
    return error.status == _NOT_ALLOWED or "UNSUPPORTED" in error.codes


def _is_final(error: RegistryError) -> bool:
    """Whether to ask for more is of no use: it refuses whatever we ask, or does not answer."""
    return deletes_nothing(error) or error.status not in _REFUSES_ONE


class _Pruning:
    """One repository."""

    def __init__(self, removal: Removal, store: PruneStore, look: Look, threads: Executor) -> None:
        self._removal = removal
        self._store = store
        self._look = look
        self._threads = threads
        self._names: dict[Digest, list[Name]] = {}
        for name in removal.names:
            self._names.setdefault(name.digest, []).append(name)
        self._manifests: dict[Digest, Fate] = {}
        self._refusal: RegistryError | None = None
        self._stopped = False
        self._deletes_tags = True

    def run(self) -> Pruned:
        """Delete wave by wave, then the names that are to go alone."""
        try:
            for wave in self._removal.waves:
                standing = self._look(self._removal, self._left())
                wanted = [digest for digest in wave if digest not in standing.protected]
                self._manifests.update(dict.fromkeys(wave, Fate.IN_USE))
                self._manifests.update(zip(wanted, self._threads.map(self._delete, wanted), strict=True))
            tags = self._look(self._removal, self._left()).tags
            fates = tuple((name, self._finish(name, tags)) for name in self._removal.names)
        except RegistryError as error:
            return self.give_up(error)
        return self._report(fates)

    def give_up(self, error: RegistryError) -> Pruned:
        """What was done until an error that ends everything."""
        self._refusal = self._refusal or error
        return self._report(
            tuple((name, self._manifests.get(name.digest, Fate.REFUSED)) for name in self._removal.names)
        )

    def _report(self, fates: tuple[tuple[Name, Fate], ...]) -> Pruned:
        deleted = tuple(digest for digest, fate in self._manifests.items() if fate is Fate.GONE)
        return Pruned(removal=self._removal, fates=fates, deleted=deleted, refusal=self._refusal)

    def _left(self) -> tuple[Digest, ...]:
        return tuple(digest for digest, fate in self._manifests.items() if fate is not Fate.GONE)

    def _refuse(self, error: RegistryError) -> Fate:
        self._refusal = self._refusal or error
        self._stopped = self._stopped or _is_final(error)
        return Fate.REFUSED

    def _delete(self, digest: Digest) -> Fate:
        """Delete one manifest, unless a name of it stands for another by now: then a run is at work here."""
        if self._stopped:
            return Fate.REFUSED
        names = self._names.get(digest, [])
        try:
            if any(self._store.find(name.tag) not in {None, digest} for name in names):
                return Fate.IN_USE
            self._delete_tagged(digest, names)
        except RegistryError as error:
            return self._refuse(error)
        return Fate.GONE

    def _delete_tagged(self, digest: Digest, names: list[Name]) -> None:
        """Delete one manifest; where the registry wants its tags to go first, those."""
        try:
            self._store.delete(digest)
        except RegistryError as error:
            if error.status not in _TAGGED or not names or deletes_nothing(error):
                raise
            try:
                for name in names:
                    self._store.delete(name.tag)
            except RegistryError:
                raise error from None
            self._store.delete(digest)

    def _finish(self, name: Name, tags: Mapping[str, Digest]) -> Fate:
        """What became of a name; one whose manifest is needed, or went without it, is deleted alone."""
        if name.tag not in tags:
            return Fate.GONE
        if tags[name.tag] != name.digest:
            return Fate.IN_USE
        fate = self._manifests.get(name.digest, Fate.GONE)
        if fate is not Fate.GONE:
            return fate
        if self._stopped:
            return Fate.REFUSED
        return self._delete_alone(name, tags) if self._deletes_tags else Fate.NO_TAGS

    def _delete_alone(self, name: Name, tags: Mapping[str, Digest]) -> Fate:
        """Delete a tag, and see to it that what it named is still there: some registries take that along."""
        manifest = self._store.fetch_manifest(name.digest)
        if self._store.find(name.tag) not in {None, name.digest}:
            return Fate.IN_USE
        try:
            self._store.delete(name.tag)
        except RegistryError as error:
            if error.status not in _NO_TAGS:
                return self._refuse(error)
            self._deletes_tags = False
            return Fate.NO_TAGS
        if manifest and self._store.find(name.digest) is None:
            self._deletes_tags = False
            self._store.put_manifest(name.digest, manifest)
            for tag, digest in tags.items():
                if digest == name.digest and tag != name.tag:
                    self._store.put_manifest(tag, manifest)
        if self._store.find(name.tag) is not None:
            self._deletes_tags = False
            return Fate.NO_TAGS
        return Fate.GONE
