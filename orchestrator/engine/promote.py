"""Puts public tags, and is the only code that does."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from io import BytesIO
from threading import Lock

from orchestrator.engine.ports import ImageStore
from orchestrator.errors import InterruptedRunError, PlanBlockedError, RegistryError
from orchestrator.oci.digest import Digest
from orchestrator.oci.manifest import Manifest
from orchestrator.oci.note import EMPTY, empty_descriptor, render_note
from orchestrator.oci.reference import Reference, Repository
from orchestrator.plan.model import PromoteStep, TagMove
from orchestrator.plan.names import note_tag


class LostAnswerError(RegistryError):
    """A tag was asked for, and nothing says whether it stands: neither the answer nor the registry asked again."""

    def __init__(self, reference: Reference, cause: RegistryError) -> None:
        super().__init__(f"{cause.message}; whether `{reference}` stands is not known", hints=cause.hints)
        self.reference = reference


OnPut = Callable[[TagMove, Digest | None], None]


class Notes:
    """Notes the versions of tags; the empty blob that notes stand on is put once in each repository.

    Images that share one put the same, which registries lose where two upload it at once.
    """

    def __init__(self) -> None:
        self._locks: dict[str, Lock] = {}
        self._ready: set[str] = set()

    def put(self, store: ImageStore, tag: str, note: Manifest) -> None:
        """Note the version before a tag moves: until then the note is about another index, and counts for nobody."""
        with self._locks.setdefault(store.name, Lock()):
            if store.name not in self._ready:
                store.put_blob(empty_descriptor(), lambda: closing(BytesIO(EMPTY)))
                self._ready.add(store.name)
        store.put_manifest(note_tag(tag), note)


class Promoter:
    """Puts the tags of the steps of one run; `is_stopping` says whether the run is to stop."""

    def __init__(self, open_store: Callable[[Repository], ImageStore], is_stopping: Callable[[], bool]) -> None:
        self._open_store = open_store
        self._is_stopping = is_stopping
        self._notes = Notes()

    def promote(self, step: PromoteStep, digest: Digest, on_put: OnPut) -> None:
        """Put the tags of one step, in order; each is read again just before, and a fixed one is never overwritten.

        Raises:
            InterruptedRunError: the run is to stop; what stands was told to `on_put`.
            PlanBlockedError: a fixed tag exists with another digest, or somebody has moved a moving one since the plan.
            RegistryError: the registry failed; `on_put` was called for every tag that stands, but for the one of a
                `LostAnswerError`, of which that is not known.
        """
        manifests: dict[Repository, Manifest] = {}
        for move in step.moves:
            if self._is_stopping():
                message = f"stopped before `{move.reference}` was put"
                raise InterruptedRunError(message)
            repository = move.reference.repository
            store = self._open_store(repository)
            manifest = manifests.get(repository) or _fetch(store, digest)
            manifests[repository] = manifest
            current = _read(store, move, digest)
            if move.version:
                self._notes.put(store, move.reference.tag, render_note(digest, move.version))
                current = _read(store, move, digest)  # a registry may have taken its time over the note
            if current != digest:
                _put(store, move, manifest)
            on_put(move, current)


def _fetch(store: ImageStore, digest: Digest) -> Manifest:
    manifest = store.fetch_manifest(digest)
    if manifest is None:
        message = f"`{store.name}@{digest}` is gone before it got its tags"
        raise RegistryError(message, hints=("run `orchestrate build --push` again",))
    return manifest


def _read(store: ImageStore, move: TagMove, digest: Digest) -> Digest | None:
    """What a tag points at, if it may be put."""
    current = store.find(move.reference.tag)
    if move.moving and current not in {move.expected, digest}:
        raise _moved(move, current)
    if current is not None and current != digest and not move.replace:
        message = f"`{move.reference}` exists as `{current}`, and this release is `{digest}`"
        raise PlanBlockedError(message, hints=("give it a new version, or replace the tag with `--replace-tags`",))
    return current


def _moved(move: TagMove, current: Digest | None) -> PlanBlockedError:
    before, now = (f"at `{one}`" if one else "nowhere" for one in (move.expected, current))
    message = f"`{move.reference}` pointed {before} when this was planned, and points {now} now: somebody moved it"
    return PlanBlockedError(message, hints=("look who else releases there, then run it again",))


def _put(store: ImageStore, move: TagMove, manifest: Manifest) -> None:
    """Put one tag; where that fails, look whether it stands, since an answer may have got lost."""
    try:
        store.put_manifest(move.reference.tag, manifest)
    except RegistryError as error:
        try:
            found = store.find(move.reference.tag)
        except RegistryError:
            raise LostAnswerError(move.reference, error) from error
        if found != manifest.digest:
            raise
