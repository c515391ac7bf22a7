"""Keeps what public tags point at while a release moves them, and puts it back where the release is undone."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import closing
from io import BytesIO
from typing import Final

from orchestrator.api.outline import TagOutline
from orchestrator.engine.ports import ImageStore
from orchestrator.engine.promote import Notes
from orchestrator.engine.prune import PruneStore
from orchestrator.errors import RegistryError
from orchestrator.oci.digest import Digest, digest_bytes
from orchestrator.oci.note import EMPTY, empty_descriptor, render_note
from orchestrator.oci.reference import Reference, Repository
from orchestrator.plan.names import old_tag
from orchestrator.plan.undo import Restored

_BROKEN: Final = frozenset({400, 404, 422})
"""How registries refuse an index of which something is missing."""


def keep_old(store: ImageStore, reference: Reference, before: Digest) -> None:
    """Give the index that a tag points at a private name, so that nothing takes it away until the tag has moved.

    Where it is gone already there is nothing to keep: the tag has moved since it was looked at, which stops the release
    when it is read again. What is broken, so that the registry does not take it a second time, is not worth keeping.
    """
    index = store.fetch_manifest(before)
    if index is None:
        return
    try:
        store.put_manifest(old_tag(reference.tag), index)
    except RegistryError as error:
        if error.status not in _BROKEN:
            raise


class Undoing:
    """Undoes tags one by one; of each registry it finds out once whether it removes a tag and nothing with it."""

    def __init__(self, open_store: Callable[[Repository], PruneStore]) -> None:
        self._open_store = open_store
        self._removes: dict[str, bool] = {}
        self._notes = Notes()

    def restore(self, reference: Reference, move: TagOutline) -> Restored:
        """Undo one tag, if it stands where the release put it.

        That it was kept is the proof of where it stood before: a journal alone proves nothing.

        Raises:
            RegistryError: the registry failed.
        """
        store = self._open_store(reference.repository)
        current = store.find(reference.tag)
        if current == move.before:
            return Restored.STOOD
        if current != move.after:
            return Restored.FOREIGN
        if move.before is None:
            return self._remove(store, reference)
        index = store.fetch_manifest(old_tag(reference.tag))
        if index is None or index.digest != move.before:
            return Restored.LOST
        if move.version:
            self._notes.put(store, reference.tag, render_note(index.digest, move.version))
        store.put_manifest(reference.tag, index)
        return Restored.BACK

    def _remove(self, store: PruneStore, reference: Reference) -> Restored:
        registry = reference.repository.registry
        if registry not in self._removes:
            self._removes[registry] = _removes_tags_alone(store)
        if self._removes[registry]:
            store.delete(reference.tag)
        return Restored.STAYS if store.find(reference.tag) else Restored.REMOVED


def _removes_tags_alone(store: PruneStore) -> bool:
    """Whether a registry removes a tag and leaves what it named, tried on a note that nobody needs.

    Many remove no tags, and some take the manifest along with every other tag that it has.
    """
    content = secrets.token_hex(16)
    note = render_note(digest_bytes(content.encode()), content)
    one, other = old_tag(f"{content} one"), old_tag(f"{content} other")
    store.put_blob(empty_descriptor(), lambda: closing(BytesIO(EMPTY)))
    for tag in (one, other):
        store.put_manifest(tag, note)
    try:
        store.delete(one)
    except RegistryError as error:
        if not error.status:
            raise
        return False
    alone = store.find(one) is None and store.find(other) is not None
    if alone:
        store.delete(other)
    return alone
