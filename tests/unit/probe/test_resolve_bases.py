"""What external images stand for in a plan: by the lock, by what is kept, by registries, or unknown."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.config.lock import Lock, LockedBase
from orchestrator.diagnostics import Diagnostic, Severity, Span
from orchestrator.oci.digest import Digest, digest_bytes
from orchestrator.oci.platform import Platform, parse_platform
from orchestrator.oci.reference import Reference, parse_reference
from orchestrator.plan.bases import Base, BaseFacts, BaseKind, BaseUse
from orchestrator.probe.bases import resolve_bases
from orchestrator.registry import open_stores
from orchestrator.registry.patience import Patience
from orchestrator.registry.stores import RegistryStores
from orchestrator.testing.registry import FakeRegistry
from tests.unit.oci import images

HASTY = Patience(attempts=1, connect_timeout=2.0, read_timeout=2.0)
AMD64, ARM64 = parse_platform("linux/amd64"), parse_platform("linux/arm64")
DEBIAN = "mirror/debian"
ONE = digest_bytes(b"one")


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    """A registry of one's own."""
    with FakeRegistry() as running:
        yield running


@pytest.fixture
def stores() -> Iterator[RegistryStores]:
    """Registries as the program opens them, without much patience."""
    with open_stores({}, patience=HASTY) as opened:
        yield opened


def put(registry: FakeRegistry, tag: str, *triggers: str) -> Digest:
    """Put an image for amd64 with these triggers."""
    built = images.image("linux/amd64", runtime={"OnBuild": list(triggers)})
    registry.put_blob(DEBIAN, built.config)
    registry.put_manifest(DEBIAN, "", built.manifest)
    return registry.put_manifest(DEBIAN, tag, images.index(images.entry("linux/amd64", built)))


def base(reference: Reference, *needed: Platform, kind: BaseKind = BaseKind.FROM, line: int = 1) -> Base:
    """An external image with one use."""
    use = BaseUse(
        reference=reference,
        image="app",
        platform=AMD64,
        kind=kind,
        place=Span(file="Dockerfile", line=line),
        needed=needed or (AMD64,),
    )
    return Base(reference=reference, uses=(use,))


def tag(registry: FakeRegistry, name: str = "12") -> Reference:
    """A tag in the registry."""
    return parse_reference(f"{registry.host}/{DEBIAN}:{name}")


def methods(registry: FakeRegistry) -> list[str]:
    """What was asked."""
    return [request.method for request in registry.requests]


def shown(found: tuple[Diagnostic, ...]) -> list[tuple[str, Severity, Span]]:
    """What was found; a use is its place."""
    assert [finding for finding in found if not finding.hints] == []
    return [(finding.code, finding.severity, finding.place) for finding in found if isinstance(finding.place, Span)]


def test_tag_is_resolved_and_its_triggers_are_kept(
    registry: FakeRegistry, stores: RegistryStores, tmp_path: Path
) -> None:
    """The second time one HEAD is enough."""
    digest = put(registry, "12", "COPY . /src")
    expected = {tag(registry): BaseFacts(digest=digest, platforms=(AMD64,), triggers={AMD64: ("COPY . /src",)})}
    wanted = (base(tag(registry)),)
    assert (expected, ()) == resolve_bases(wanted, None, root=tmp_path, open_store=stores.repository)
    asked = len(registry.requests)
    assert (expected, ()) == resolve_bases(wanted, None, root=tmp_path, open_store=stores.repository)
    assert ["HEAD"] == methods(registry)[asked:]


def test_lock_wins(registry: FakeRegistry, stores: RegistryStores, tmp_path: Path) -> None:
    """The tag may have moved on since."""
    locked = put(registry, "12")
    put(registry, "12", "RUN true")
    lock = Lock(bases={tag(registry): LockedBase(digest=locked, platforms=(AMD64,))})
    facts, found = resolve_bases((base(tag(registry)),), lock, root=tmp_path, open_store=stores.repository)
    assert {tag(registry): BaseFacts(digest=locked, platforms=(AMD64,), triggers={AMD64: ()})} == facts
    assert () == found
    assert "HEAD" not in methods(registry)


def test_digest_stands_for_itself(registry: FakeRegistry, stores: RegistryStores, tmp_path: Path) -> None:
    """Only its triggers are asked for."""
    digest = put(registry, "12")
    pinned = tag(registry).repository.at(digest)
    facts, _ = resolve_bases((base(pinned),), None, root=tmp_path, open_store=stores.repository)
    assert {pinned: BaseFacts(digest=digest, platforms=(AMD64,), triggers={AMD64: ()})} == facts


def test_triggers_matter_where_a_stage_starts(registry: FakeRegistry, stores: RegistryStores, tmp_path: Path) -> None:
    """What is only copied from executes none."""
    digest = put(registry, "12")
    facts, _ = resolve_bases(
        (base(tag(registry), kind=BaseKind.COPY),), None, root=tmp_path, open_store=stores.repository
    )
    assert {tag(registry): BaseFacts(digest=digest)} == facts
    assert ["HEAD"] == methods(registry)


def test_platforms_are_asked_for_once_each(registry: FakeRegistry, stores: RegistryStores, tmp_path: Path) -> None:
    """What is known of one stays known when another one is needed."""
    put(registry, "12", "RUN true")
    resolve_bases((base(tag(registry)),), None, root=tmp_path, open_store=stores.repository)
    facts, _ = resolve_bases((base(tag(registry), ARM64),), None, root=tmp_path, open_store=stores.repository)
    assert {AMD64: ("RUN true",), ARM64: ()} == facts[tag(registry)].triggers


def test_offline_knows_what_is_locked_and_kept(registry: FakeRegistry, stores: RegistryStores, tmp_path: Path) -> None:
    """And says nothing of the rest: nobody was to be asked."""
    digest = put(registry, "12")
    lock = Lock(bases={tag(registry): LockedBase(digest=digest, platforms=(AMD64,))})
    wanted = (base(tag(registry)), base(tag(registry, "11")))
    assert ({tag(registry): BaseFacts(digest=digest)}, ()) == resolve_bases(
        wanted, lock, root=tmp_path, open_store=None
    )
    before, _ = resolve_bases(wanted[:1], lock, root=tmp_path, open_store=stores.repository)
    assert (before, ()) == resolve_bases(wanted, lock, root=tmp_path, open_store=None)


def test_one_warning_for_each_reason(registry: FakeRegistry, stores: RegistryStores, tmp_path: Path) -> None:
    """However many images it is about; it says where the first one is used."""
    digest = put(registry, "12")
    gone = tag(registry).repository.at(ONE)
    wanted = tuple(
        base(reference, line=line)
        for line, reference in enumerate(
            (tag(registry), tag(registry, "a"), tag(registry, "b"), parse_reference("127.0.0.1:1/x:1"), gone), 1
        )
    )
    facts, found = resolve_bases(wanted, None, root=tmp_path, open_store=stores.repository)
    assert {tag(registry), gone} == set(facts)
    assert (digest, BaseFacts(digest=ONE)) == (facts[tag(registry)].digest, facts[gone])
    assert [("base-unknown", Severity.WARNING, Span(file="Dockerfile", line=line)) for line in (2, 4, 5)] == shown(
        found
    )
    assert f"`{tag(registry, 'a')}` and 1 more" in found[0].message


def test_nothing_is_asked_where_nothing_is_needed(tmp_path: Path) -> None:
    """Not even a folder is made."""
    assert ({}, ()) == resolve_bases((), None, root=tmp_path, open_store=None)
    assert [] == list(tmp_path.iterdir())
