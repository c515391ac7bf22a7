"""Tags that are undone: put back where they were kept, removed where a registry removes them alone, else told."""

from __future__ import annotations

import pytest

from orchestrator.api.outline import TagOutline
from orchestrator.engine.restore import Undoing, keep_old
from orchestrator.errors import RegistryError
from orchestrator.oci.digest import Digest
from orchestrator.oci.note import read_note
from orchestrator.oci.reference import Reference, parse_reference
from orchestrator.plan.names import note_tag, old_tag
from orchestrator.plan.undo import Restored
from orchestrator.registry.stores import RegistryStores
from orchestrator.testing.registry import AnswerWith, Deletes, FakeRegistry
from tests.contract.registry_sample import make_index, make_sample, opened, put_sample

AMD64, ARM64 = make_sample("linux/amd64"), make_sample("linux/arm64")
OLD, NEW = make_index(AMD64).digest, make_index(ARM64).digest
OTHER = make_index(AMD64, ARM64).digest


def reference_of(registry: FakeRegistry, tag: str = "latest") -> Reference:
    """A tag of its one repository."""
    return parse_reference(f"{registry.host}/acme/api:{tag}")


def begin(registry: FakeRegistry, stores: RegistryStores) -> Reference:
    """Have three indexes in a registry, and `latest` at the old one; its place was kept."""
    reference = reference_of(registry)
    store = stores.repository(reference.repository)
    for samples in ((AMD64,), (ARM64,), (AMD64, ARM64)):
        put_sample(store, *samples)
    point(stores, reference, OLD)
    keep_old(store, reference, OLD)
    return reference


def point(stores: RegistryStores, reference: Reference, digest: Digest) -> None:
    """Point a tag at an index."""
    store = stores.repository(reference.repository)
    index = store.fetch_manifest(digest)
    assert index is not None
    store.put_manifest(reference.tag, index)


def move(reference: Reference, before: Digest | None = OLD) -> TagOutline:
    """What the journal says of it."""
    return TagOutline(
        reference=str(reference), before=before, after=NEW, moving=True, version="1.0" if before else None
    )


@pytest.mark.parametrize(
    ("stands", "fate", "after"),
    [(NEW, Restored.BACK, OLD), (OLD, Restored.STOOD, OLD), (OTHER, Restored.FOREIGN, OTHER)],
)
def test_a_tag_that_the_release_moved_is_put_back(stands: Digest, fate: Restored, after: Digest) -> None:
    """One that had not moved, or that somebody else has moved since, is left alone."""
    with FakeRegistry() as registry, opened() as stores:
        reference = begin(registry, stores)
        point(stores, reference, stands)
        assert fate is Undoing(stores.repository).restore(reference, move(reference))
        assert after == registry.tags("acme/api")["latest"]


def test_its_version_is_noted_again() -> None:
    """Else the next release would not know whether it goes up or down."""
    with FakeRegistry() as registry, opened() as stores:
        reference = begin(registry, stores)
        point(stores, reference, NEW)
        Undoing(stores.repository).restore(reference, move(reference))
        note = stores.repository(reference.repository).fetch_manifest(note_tag("latest"))
        assert note is not None
        assert "1.0" == read_note(note, OLD)


def test_what_was_not_kept_is_not_believed() -> None:
    """A journal that somebody else wrote could name any index as the one before."""
    with FakeRegistry() as registry, opened() as stores:
        reference = begin(registry, stores)
        point(stores, reference, NEW)
        assert Restored.LOST is Undoing(stores.repository).restore(reference, move(reference, OTHER))
        assert NEW == registry.tags("acme/api")["latest"]


@pytest.mark.parametrize(
    ("deletes", "fate"),
    [
        (Deletes.ALL, Restored.REMOVED),
        (Deletes.DIGESTS, Restored.STAYS),
        (Deletes.NOTHING, Restored.STAYS),
        (Deletes.WITH_MANIFEST, Restored.STAYS),
    ],
)
def test_a_new_tag_goes_where_a_registry_removes_tags_alone(deletes: Deletes, fate: Restored) -> None:
    """Where it takes the index along with all its tags nothing is deleted; other tags stay in any case."""
    with FakeRegistry(deletes=deletes) as registry, opened() as stores:
        latest = begin(registry, stores)
        new, other = reference_of(registry, "2.0"), reference_of(registry, "other")
        point(stores, new, NEW)
        point(stores, other, NEW)
        assert fate is Undoing(stores.repository).restore(new, move(new, None))
        tags = registry.tags("acme/api")
        assert (OLD, NEW) == (tags[latest.tag], tags["other"])
        assert (fate is Restored.STAYS) is ("2.0" in tags)


def test_a_tag_that_never_came_was_not_moved() -> None:
    """It was about to be put when the run was cut off."""
    with FakeRegistry() as registry, opened() as stores:
        begin(registry, stores)
        reference = reference_of(registry, "2.0")
        assert Restored.STOOD is Undoing(stores.repository).restore(reference, move(reference, None))


def test_a_broken_index_is_not_kept_and_stops_nobody() -> None:
    """A registry refuses an index of which something is missing; any other failure is one."""
    with FakeRegistry() as registry, opened(attempts=1) as stores:
        reference = begin(registry, stores)
        store = stores.repository(reference.repository)
        kept = f".*/manifests/{old_tag('latest')}"
        registry.fail("PUT", kept, AnswerWith(status=400))
        keep_old(store, reference, OLD)
        registry.fail("PUT", kept, AnswerWith(status=403))
        with pytest.raises(RegistryError):
            keep_old(store, reference, OLD)
