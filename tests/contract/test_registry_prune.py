"""Deleting old state from registries that allow it, in part, or not, while others put tags there."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import NamedTuple

import pytest

from orchestrator.engine.prune import Standing, prune
from orchestrator.errors import RegistryError
from orchestrator.oci.digest import Digest, digest_bytes
from orchestrator.oci.manifest import OCI_INDEX, Manifest
from orchestrator.plan import names
from orchestrator.plan.prune import Rules, decide, protected
from orchestrator.plan.removal import Fate, Pruned, Removal
from orchestrator.probe.holdings import Holdings
from orchestrator.registry.failure import RequestError
from orchestrator.registry.stores import RegistryStores
from orchestrator.testing.registry import AnswerWith, Bearer, Deletes, FakeRegistry, LoseAnswer, Reset
from tests.contract.registry_sample import USERS, login_to, make_sample, opened, repository_of
from tests.contract.registry_state import PATH, Left, leave
from tests.unit.oci import images


class Pruning(NamedTuple):
    """What was decided, and what became of it."""

    removals: tuple[Removal, ...]
    pruned: tuple[Pruned, ...]

    @property
    def fates(self) -> dict[str, Fate]:
        """What became of each name."""
        return {name.tag: fate for one in self.pruned for name, fate in one.fates}


class Work:
    """One look at a registry, and then a deletion; tests do something in between."""

    def __init__(self, registry: FakeRegistry, stores: RegistryStores, *paths: str) -> None:
        repositories = tuple(repository_of(registry, path) for path in paths or (PATH,))
        rules = Rules(targets=frozenset(repositories), related=repositories, homes={}, declared={})
        self.stores = stores
        self.after_look: Callable[[int], object] = lambda number: number
        self.looks = 0
        self.holdings = Holdings(stores.repository, {})
        self.removals = decide(self.holdings.read(repositories), self.holdings.graph, rules)

    def run(self) -> Pruning:
        """Delete."""
        return Pruning(self.removals, tuple(prune(self.removals, self.stores.repository, self.look)))

    def look(self, removal: Removal, refused: Collection[Digest]) -> Standing:
        """As the command does it."""
        (now,) = self.holdings.read((removal.repository,))
        self.looks += 1
        self.after_look(self.looks)
        return Standing(tags=now.tags, protected=protected(now, self.holdings.graph, removal, refused))


def left_of(registry: FakeRegistry) -> tuple[set[str], set[str]]:
    """The tags and the manifests of the repository."""
    return set(registry.tags(PATH)), set(registry.manifests(PATH))


def test_delete_a_digest_or_a_tag() -> None:
    """A digest takes its tags along, a tag goes alone; what is not there is no error."""
    with FakeRegistry() as registry, opened() as stores:
        store = stores.repository(repository_of(registry))
        digest = registry.put_manifest(PATH, "1.0", make_sample().manifest)
        registry.put_manifest(PATH, "2.0", make_sample().manifest)
        assert store.delete("1.0")
        assert ({"2.0"}, {digest}) == left_of(registry)
        assert store.delete(digest)
        assert (set(), set()) == left_of(registry)
        assert not store.delete(digest)
        assert not store.delete("1.0")


@pytest.mark.parametrize(
    ("deletes", "locator", "status"),
    [(Deletes.NOTHING, "", 405), (Deletes.NOTHING, "1.0", 405), (Deletes.DIGESTS, "1.0", 400)],
)
def test_delete_that_is_refused(deletes: Deletes, locator: str, status: int) -> None:
    """The error says what was asked and what came back."""
    with FakeRegistry(deletes=deletes) as registry, opened() as stores:
        digest = registry.put_manifest(PATH, "1.0", make_sample().manifest)
        with pytest.raises(RequestError, match=f"^`DELETE http://.*: answered {status} ") as caught:
            stores.repository(repository_of(registry)).delete(locator or digest)
        assert status == caught.value.failure.status
        assert ({"1.0"}, {digest}) == left_of(registry)


def test_delete_needs_that_right(tmp_path: Path) -> None:
    """The token is asked for by the scope `delete`."""
    with (
        FakeRegistry(access=Bearer(users=USERS)) as registry,
        opened(login_to(registry, tmp_path)) as stores,
    ):
        digest = registry.put_manifest(PATH, "1.0", make_sample().manifest)
        assert stores.repository(repository_of(registry)).delete(digest)
        assert 1 == registry.count("GET", r"/token\?.*scope=repository%3Aacme%2Fapi%3Adelete.*")


def test_delete_is_tried_again() -> None:
    """A connection that breaks after the deletion leaves nothing to be done."""
    with FakeRegistry() as registry, opened() as stores:
        digest = registry.put_manifest(PATH, "1.0", make_sample().manifest)
        registry.fail("DELETE", ".*", Reset())
        registry.fail("DELETE", ".*", LoseAnswer())
        assert not stores.repository(repository_of(registry)).delete(digest)
        assert (set(), set()) == left_of(registry)


def test_an_odd_answer_is_no_deletion() -> None:
    """Whatever it means."""
    with FakeRegistry() as registry, opened() as stores:
        registry.fail("DELETE", ".*", AnswerWith(status=201))
        with pytest.raises(RequestError, match="answered 201 instead of 202"):
            stores.repository(repository_of(registry)).delete(digest_bytes(b"x"))


@pytest.mark.parametrize("deletes", [Deletes.ALL, Deletes.DIGESTS])
def test_old_state_goes(deletes: Deletes) -> None:
    """With its manifests; what a public tag reaches stays."""
    with FakeRegistry(deletes=deletes) as registry, opened() as stores:
        old = leave(registry, "old")
        new = leave(registry, "new", "1.0")
        done = Work(registry, stores).run()
        inputs = registry.tags(PATH)[new.inputs]
        assert dict.fromkeys({*old.names, new.run}, Fate.GONE) == done.fates
        assert ({new.part, new.final, new.inputs, names.last_tag("main", "api"), "1.0"}, {
            new.image, new.record, new.index, inputs,
        }) == left_of(registry)  # fmt: skip
        assert [None] == [one.refusal for one in done.pruned]


def test_a_tag_put_meanwhile_keeps_its_manifests() -> None:
    """Between what was shown and the deletion; the other names of it stay, too."""
    with FakeRegistry() as registry, opened() as stores:
        old = leave(registry, "old")
        leave(registry, "new", "1.0")
        work = Work(registry, stores)
        registry.put_manifest(PATH, "old", registry.manifests(PATH)[old.index])
        done = work.run()
        fates = {old.run: Fate.GONE, old.part: Fate.IN_USE, old.final: Fate.IN_USE, old.inputs: Fate.GONE}
        assert fates == {tag: fate for tag, fate in done.fates.items() if tag in old.names}
        assert {old.image, old.record, old.index} <= registry.manifests(PATH).keys()
        assert [None] == [one.refusal for one in done.pruned]


def test_a_name_that_moved_meanwhile_stays() -> None:
    """So does what it names now."""
    with FakeRegistry() as registry, opened() as stores:
        old = leave(registry, "old")
        leave(registry, "new", "1.0")
        work = Work(registry, stores)
        other = leave(registry, "other", "2.0")
        registry.put_manifest(PATH, old.part, registry.manifests(PATH)[other.record])
        assert Fate.IN_USE is work.run().fates[old.part]
        assert other.digests <= registry.manifests(PATH).keys()
        assert other.record == registry.tags(PATH)[old.part]


def test_a_name_that_moves_at_the_last_moment_keeps_its_manifest() -> None:
    """It is looked up once more before it is deleted: whoever moves it is at work here."""
    with FakeRegistry() as registry, opened() as stores:
        old = leave(registry, "old")
        new = leave(registry, "new", "1.0")
        work = Work(registry, stores)
        record = registry.manifests(PATH)[new.record]
        work.after_look = lambda _: registry.put_manifest(PATH, old.part, record)
        assert Fate.IN_USE is work.run().fates[old.part]
        assert {old.record, old.image} <= registry.manifests(PATH).keys()


def test_names_that_vanish_meanwhile_are_gone() -> None:
    """Somebody else prunes as well."""
    with FakeRegistry() as registry, opened() as stores:
        old = leave(registry, "old")
        leave(registry, "new", "1.0")
        work = Work(registry, stores)
        for digest in (old.index, old.record, old.solve, old.image):
            stores.repository(repository_of(registry)).delete(digest)
        assert {Fate.GONE} == set(work.run().fates.values())


def lone(registry: FakeRegistry) -> Left:
    """An image without attestations: its record reaches what the name of the run names."""
    return leave(registry, "new", "1.0", lone=True)


def test_a_name_goes_alone_where_its_manifest_stays() -> None:
    """Where registries can do that."""
    with FakeRegistry() as registry, opened() as stores:
        new = lone(registry)
        assert {new.run: Fate.GONE} == Work(registry, stores).run().fates
        assert new.run not in registry.tags(PATH)
        assert new.image in registry.manifests(PATH)


def test_a_name_that_cannot_go_alone_stays() -> None:
    """That is no failure: nothing that takes up space is left."""
    with FakeRegistry(deletes=Deletes.DIGESTS) as registry, opened() as stores:
        new = lone(registry)
        (pruned,) = Work(registry, stores).run().pruned
        assert ([Fate.NO_TAGS], None) == ([fate for _, fate in pruned.fates], pruned.refusal)
        assert new.image == registry.tags(PATH)[new.run]


def test_a_name_that_is_to_go_alone_and_moves() -> None:
    """It is another's now."""
    with FakeRegistry() as registry, opened() as stores:
        new = lone(registry)
        work = Work(registry, stores)
        index = registry.manifests(PATH)[new.index]
        work.after_look = lambda _: registry.put_manifest(PATH, new.run, index)
        assert {new.run: Fate.IN_USE} == work.run().fates
        assert new.index == registry.tags(PATH)[new.run]


def test_names_that_may_not_go_alone() -> None:
    """The first is refused, so the second is not asked for."""
    with FakeRegistry() as registry, opened() as stores:
        first, second = lone(registry), leave(registry, "other", "2.0", lone=True)
        registry.fail("DELETE", ".*", AnswerWith(status=403), times=0)
        done = Work(registry, stores).run()
        assert dict.fromkeys((first.run, second.run), Fate.REFUSED) == done.fates
        assert done.pruned[0].refusal
        assert 1 == registry.count("DELETE", ".*")


def test_a_registry_that_says_that_a_tag_is_gone() -> None:
    """It is not: that registry deletes no tags."""
    with FakeRegistry() as registry, opened() as stores:
        new = lone(registry)
        registry.fail("DELETE", ".*", AnswerWith(status=202))
        assert {new.run: Fate.NO_TAGS} == Work(registry, stores).run().fates


def test_a_registry_that_takes_the_manifest_along_gets_it_back() -> None:
    """Deleted was a tag; the manifest and its other tags are as they were, and no more tags are deleted."""
    with FakeRegistry(deletes=Deletes.WITH_MANIFEST) as registry, opened() as stores:
        new = lone(registry)
        registry.put_blob(PATH, images.image("linux/amd64", runtime={"Cmd": ["new"]}).config)
        manifest = registry.manifests(PATH)[new.image]
        registry.put_manifest(PATH, "amd64", manifest)
        second = names.solve_tag(names.run_id(b"second"), "solve", "api")
        registry.put_manifest(PATH, second, manifest)
        before = registry.tags(PATH)
        first, *_ = sorted((new.run, second))
        fates = Work(registry, stores).run().fates
        assert {Fate.GONE, Fate.NO_TAGS} == set(fates.values())
        assert {tag: digest for tag, digest in before.items() if tag != first} == registry.tags(PATH)
        assert manifest == registry.manifests(PATH)[new.image]


def test_tags_that_outlive_their_manifest_are_deleted() -> None:
    """Some registries keep them."""
    with FakeRegistry() as registry, opened() as stores:
        old = leave(registry, "old")
        leave(registry, "new", "1.0")
        work = Work(registry, stores)
        kept = registry.manifests(PATH)[old.solve]
        registry.fail("DELETE", f".*{old.solve}", AnswerWith(status=202))
        assert {Fate.GONE} == set(work.run().fates.values())
        assert old.run not in registry.tags(PATH)
        assert kept.digest in registry.manifests(PATH)


def test_a_registry_that_wants_tags_to_go_first() -> None:
    """They go, then the digest."""
    with FakeRegistry() as registry, opened() as stores:
        old = leave(registry, "old")
        leave(registry, "new", "1.0")
        registry.fail("DELETE", f".*{old.solve}", AnswerWith(status=409))
        done = Work(registry, stores).run()
        assert (Fate.GONE, None) == (done.fates[old.run], done.pruned[0].refusal)
        assert old.solve not in registry.manifests(PATH)


def test_a_registry_that_wants_tags_to_go_and_keeps_them() -> None:
    """The answer about the digest is told: that was asked for."""
    with FakeRegistry(deletes=Deletes.DIGESTS) as registry, opened() as stores:
        old = leave(registry, "old")
        leave(registry, "new", "1.0")
        registry.fail("DELETE", f".*{old.solve}", AnswerWith(status=409), times=0)
        done = Work(registry, stores).run()
        assert Fate.REFUSED is done.fates[old.run]
        assert done.pruned[0].refusal
        assert 409 == done.pruned[0].refusal.status


def test_a_registry_that_deletes_nothing_is_asked_once() -> None:
    """Whatever the number of repositories; nothing is lost."""
    with FakeRegistry(deletes=Deletes.NOTHING) as registry, opened() as stores:
        for path in (PATH, "acme/web"):
            leave(registry, "old", path=path)
            leave(registry, "new", "1.0", path=path)
        before = left_of(registry)
        done = Work(registry, stores, PATH, "acme/web").run()
        assert {Fate.REFUSED} == set(done.fates.values())
        assert before == left_of(registry)
        assert 0 == registry.count("DELETE", ".*/acme/web/.*")
        assert all(one.refusal and "answered 405" in one.refusal.message for one in done.pruned)


@pytest.mark.parametrize("status", [403, 412])
def test_what_is_beneath_something_refused_stays(status: int) -> None:
    """Or a name would be left that names nothing."""
    with FakeRegistry() as registry, opened() as stores:
        old = leave(registry, "old")
        leave(registry, "new", "1.0")
        registry.fail("DELETE", f".*{old.index}", AnswerWith(status=status), times=0)
        done = Work(registry, stores).run()
        assert Fate.REFUSED is done.fates[old.final]
        assert {old.index, old.image} <= registry.manifests(PATH).keys()
        assert done.pruned[0].refusal


def test_other_manifests_go_where_one_is_refused() -> None:
    """As one that has a lock on it."""
    with FakeRegistry() as registry, opened() as stores:
        old = leave(registry, "old")
        new = leave(registry, "new", "1.0")
        registry.fail("DELETE", f".*{old.index}", AnswerWith(status=412), times=0)
        fates = Work(registry, stores).run().fates
        assert fates == {
            **dict.fromkeys((old.run, old.part, old.inputs, new.run), Fate.GONE),
            old.final: Fate.REFUSED,
        }


def test_a_registry_that_goes_away() -> None:
    """What was deleted until then is told."""
    with FakeRegistry() as registry, opened(attempts=1) as stores:
        leave(registry, "old")
        leave(registry, "new", "1.0")
        work = Work(registry, stores)
        registry.fail("GET", ".*/tags/list.*", AnswerWith(status=503), times=0)
        (pruned,) = work.run().pruned
        assert {Fate.REFUSED} == {fate for _, fate in pruned.fates}
        assert pruned.refusal
        assert () == pruned.deleted


def test_each_manifest_is_fetched_once() -> None:
    """Its digest says what is in it; tags are looked up as often as anybody asks."""
    with FakeRegistry() as registry, opened() as stores:
        leave(registry, "new", "1.0")
        work = Work(registry, stores)
        fetched = registry.count("GET", ".*/manifests/.*")
        work.look(work.removals[0], ())
        assert fetched == registry.count("GET", ".*/manifests/.*") == len(set(registry.tags(PATH).values()))


def test_tags_that_are_declared_are_seen_though_they_are_not_listed() -> None:
    """Some registries list a part."""
    with FakeRegistry() as registry, opened() as stores:
        new = leave(registry, "new", "1.0")
        repository = repository_of(registry)
        registry.fail("GET", ".*/tags/list.*", AnswerWith(status=200, body=b'{"tags":[]}'))
        (contents,) = Holdings(stores.repository, {repository: frozenset({"1.0", "absent"})}).read((repository,))
        assert {"1.0": new.index} == contents.tags


def test_what_cannot_be_told_stops_everything() -> None:
    """An index that is none might reach anything."""
    with FakeRegistry() as registry, opened() as stores:
        broken = images.index().content.replace(b"[]", b'[{"digest":"x"}]')
        registry.put_manifest(PATH, "broken", Manifest(media_type=OCI_INDEX, content=broken))
        with pytest.raises(RegistryError, match=r"it cannot be told what .* reaches"):
            Work(registry, stores)


def test_indexes_within_indexes() -> None:
    """They are followed, and not for ever."""
    with FakeRegistry() as registry, opened() as stores:
        inner = images.index(images.entry("linux/amd64", images.image("linux/amd64")))
        registry.put_manifest(PATH, "", inner)
        outer = images.index(images.descriptor(inner.content, OCI_INDEX))
        registry.put_manifest(PATH, "outer", outer)
        work = Work(registry, stores)
        assert {outer.digest, inner.digest} == work.holdings.graph.keys()
        for _ in range(9):
            outer = images.index(images.descriptor(outer.content, OCI_INDEX))
            registry.put_manifest(PATH, "", outer)
        registry.put_manifest(PATH, "outer", outer)
        with pytest.raises(RegistryError, match="more than 8 deep"):
            Work(registry, stores)


def test_an_index_without_all_of_its_children() -> None:
    """Nothing is beneath what is not there."""
    with FakeRegistry() as registry, opened() as stores:
        registry.put_manifest(PATH, "sparse", images.index(images.descriptor(images.index().content, OCI_INDEX)))
        assert () == Work(registry, stores).removals[0].names
