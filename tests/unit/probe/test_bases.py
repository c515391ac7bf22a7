"""Looking up external images: on disk, and in registries that are right, wrong, slow or hostile."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import pytest

from orchestrator.config.lock import Lock, LockedBase, render_lock
from orchestrator.oci.digest import Digest, digest_bytes
from orchestrator.oci.manifest import OCI_INDEX, Descriptor, Manifest
from orchestrator.oci.platform import Platform, parse_platform
from orchestrator.oci.reference import Reference, parse_reference
from orchestrator.plan.bases import BaseFacts
from orchestrator.probe.bases import Unresolved, fetch_bases, fetch_digests, read_lock
from orchestrator.registry import open_stores
from orchestrator.registry.patience import Patience
from orchestrator.registry.stores import RegistryStores
from orchestrator.testing.registry import AnswerWith, FakeRegistry, Rewrite
from tests.unit.oci import images
from tests.unit.oci.images import Built

HASTY = Patience(attempts=1, connect_timeout=2.0, read_timeout=2.0)
AMD64, ARM64 = parse_platform("linux/amd64"), parse_platform("linux/arm64")
DEBIAN = "mirror/debian"


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


def put(registry: FakeRegistry, built: Built, tag: str = "") -> Built:
    """Put an image without its layers."""
    registry.put_blob(DEBIAN, built.config)
    registry.put_manifest(DEBIAN, tag, built.manifest)
    return built


def put_index(registry: FakeRegistry, *entries: Descriptor) -> Digest:
    """Put an index as `12`."""
    return registry.put_manifest(DEBIAN, "12", images.index(*entries))


def named(registry: FakeRegistry, tag: str = "12") -> Reference:
    """A tag in the registry."""
    return parse_reference(f"{registry.host}/{DEBIAN}:{tag}")


def fetch(registry: FakeRegistry, stores: RegistryStores, *platforms: Platform) -> BaseFacts | Unresolved:
    """What `12` stands for."""
    reference = named(registry)
    return fetch_bases({reference: platforms}, stores.repository)[reference]


def reason_of(answer: BaseFacts | Unresolved) -> str:
    """Why an image cannot be looked up."""
    assert isinstance(answer, Unresolved)
    assert answer.hints
    return answer.reason


def test_index_costs_one_request(registry: FakeRegistry, stores: RegistryStores) -> None:
    """Its own bytes say which platforms it has; an attestation is none of them."""
    amd64 = put(registry, images.image("linux/amd64"))
    entries = [images.entry("linux/arm64/v8", images.image("linux/arm64")), images.entry("linux/amd64", amd64)]
    digest = put_index(registry, *entries, images.attestation_entry(amd64.manifest.digest, amd64))
    assert BaseFacts(digest=digest, platforms=(AMD64, ARM64)) == fetch(registry, stores)
    assert ["GET"] == [request.method for request in registry.requests]
    assert (
        LockedBase(digest=digest, platforms=(AMD64, ARM64)) == BaseFacts(digest=digest, platforms=(AMD64, ARM64)).locked
    )


def test_platforms_that_nobody_builds_for_are_left_out(registry: FakeRegistry, stores: RegistryStores) -> None:
    """They could not be needed, and the lock could not be read back."""
    built = images.image("linux/amd64")
    put_index(registry, *(images.entry(each, built) for each in ("linux/vax", "linux/amd64", "plan9/mips")))
    facts = fetch(registry, stores)
    assert isinstance(facts, BaseFacts)
    assert (AMD64,) == facts.platforms


def test_lone_manifest_is_of_its_config_s_platform(registry: FakeRegistry, stores: RegistryStores) -> None:
    """There is no index to say it."""
    built = put(registry, images.image("linux/arm64"), "12")
    assert BaseFacts(digest=built.manifest.digest, platforms=(ARM64,)) == fetch(registry, stores)


def test_entry_without_a_platform_is_of_its_config_s(registry: FakeRegistry, stores: RegistryStores) -> None:
    """An index need not say it."""
    built = put(registry, images.image("linux/arm64"))
    nameless = msgspec.structs.replace(images.entry("linux/arm64", built), platform=None)
    facts = fetch_after(put_index(registry, nameless), registry, stores)
    assert (ARM64,) == facts.platforms


def fetch_after(digest: Digest, registry: FakeRegistry, stores: RegistryStores) -> BaseFacts:
    """What `12` stands for: this digest."""
    facts = fetch(registry, stores)
    assert isinstance(facts, BaseFacts)
    assert digest == facts.digest
    return facts


def test_triggers_are_read_where_they_are_asked_for(registry: FakeRegistry, stores: RegistryStores) -> None:
    """`ONBUILD` stands in the config of each platform; the nearest variant is the one that is looked into."""
    onbuild = put(registry, images.image("linux/arm64", runtime={"OnBuild": ["COPY . /src"]}))
    plain = put(registry, images.image("linux/amd64", runtime={"OnBuild": None}))
    put_index(registry, images.entry("linux/amd64", plain), images.entry("linux/arm64", onbuild))
    v9, s390x = parse_platform("linux/arm64/v9"), parse_platform("linux/s390x")
    facts = fetch(registry, stores, AMD64, v9, s390x)
    assert isinstance(facts, BaseFacts)
    assert {AMD64: (), v9: ("COPY . /src",), s390x: ()} == facts.triggers


def test_triggers_of_a_lone_manifest(registry: FakeRegistry, stores: RegistryStores) -> None:
    """It is at hand already."""
    put(registry, images.image("linux/amd64", runtime={"OnBuild": ["RUN true"]}), "12")
    facts = fetch(registry, stores, AMD64)
    assert isinstance(facts, BaseFacts)
    assert {AMD64: ("RUN true",)} == facts.triggers


def test_tag_that_is_not_there(registry: FakeRegistry, stores: RegistryStores) -> None:
    """It is said by its whole name."""
    assert f"there is no `{named(registry)}` in its registry" == reason_of(fetch(registry, stores))


def test_digest_is_never_believed(registry: FakeRegistry, stores: RegistryStores) -> None:
    """A header that says something else than the bytes is no digest."""
    put(registry, images.image("linux/amd64"), "12")
    registry.fail("GET", ".*/manifests/.*", Rewrite(headers={"Docker-Content-Digest": digest_bytes(b"other")}), times=0)
    assert "another digest" in reason_of(fetch(registry, stores))


def test_config_that_is_not_what_its_digest_says(registry: FakeRegistry, stores: RegistryStores) -> None:
    """Nothing of it is used."""
    built = put(registry, images.image("linux/amd64"), "12")
    forged = built.config.replace(b"amd64", b"arm64")
    registry.fail("GET", ".*/blobs/.*", Rewrite(headers={}, body=forged), times=0)
    assert "has another digest" in reason_of(fetch(registry, stores))


@pytest.mark.parametrize(
    ("manifest", "reason"),
    [
        (images.index(), "no platform of it"),
        (Manifest(media_type=OCI_INDEX, content=b"{}"), "cannot be read"),
        (images.manifest(b"{}", (), (), "application/vnd.cncf.helm.config.v1+json").manifest, "it is no image"),
    ],
)
def test_what_is_no_image(registry: FakeRegistry, stores: RegistryStores, manifest: Manifest, reason: str) -> None:
    """Charts, empty indexes and nonsense are reasons, not tracebacks."""
    registry.put_manifest(DEBIAN, "12", manifest)
    assert reason in reason_of(fetch(registry, stores))


def test_config_that_is_too_large(registry: FakeRegistry, stores: RegistryStores) -> None:
    """Its descriptor is enough to refuse it."""
    value = images.image("linux/amd64").manifest
    size = msgspec.json.decode(value.content, type=dict[str, object])
    config = size["config"]
    assert isinstance(config, dict)
    config["size"] = 2**40
    registry.put_manifest(DEBIAN, "12", Manifest(media_type=value.media_type, content=msgspec.json.encode(size)))
    assert "bytes, at most" in reason_of(fetch(registry, stores))


def test_index_whose_image_is_gone(registry: FakeRegistry, stores: RegistryStores) -> None:
    """Its platforms are known, its triggers are not."""
    put_index(registry, images.entry("linux/amd64", images.image("linux/amd64")))
    assert isinstance(fetch(registry, stores), BaseFacts)
    assert "an image that is not there" in reason_of(fetch(registry, stores, AMD64))


def test_registry_that_is_down_is_asked_once(registry: FakeRegistry, stores: RegistryStores) -> None:
    """However many images it has; the others hear why."""
    registry.fail(".*", ".*", AnswerWith(status=503), times=0)
    answers = fetch_bases({named(registry, f"t{number}"): () for number in range(40)}, stores.repository)
    assert {True} == {isinstance(answer, Unresolved) and answer.of_registry for answer in answers.values()}
    assert 40 == len(answers)
    assert 1 == len(registry.requests)


def test_image_that_is_refused_does_not_speak_for_its_registry(registry: FakeRegistry, stores: RegistryStores) -> None:
    """Registries answer 401 for repositories that do not exist."""
    put(registry, images.image("linux/amd64"), "12")
    registry.fail("GET", ".*/manifests/private", AnswerWith(status=401), times=0)
    private = named(registry, "private")
    answers = fetch_bases({private: (), named(registry): ()}, stores.repository)
    assert isinstance(answers[named(registry)], BaseFacts)
    assert "answered 401" in reason_of(answers[private])


def test_digests_of_tags_cost_a_head_each(registry: FakeRegistry, stores: RegistryStores) -> None:
    """None where there is no such tag."""
    built = put(registry, images.image("linux/amd64"), "12")
    answers: Mapping[Reference, object] = fetch_digests((named(registry), named(registry, "13")), stores.repository)
    assert {named(registry): built.manifest.digest, named(registry, "13"): None} == answers
    assert {"HEAD"} == {request.method for request in registry.requests}


def test_project_without_a_lock(tmp_path: Path) -> None:
    """Nothing to say."""
    assert (None, (), {}) == read_lock(tmp_path)
    assert (None, (), {}) == read_lock(tmp_path / "gone")


def test_lock_is_read_with_its_text(tmp_path: Path) -> None:
    """Findings about it can show its lines."""
    lock = Lock(
        bases={parse_reference("docker.io/library/a:1"): LockedBase(digest=digest_bytes(b""), platforms=(AMD64,))}
    )
    (tmp_path / "builds.lock").write_text(render_lock(lock), encoding="utf-8")
    assert (lock, (), {"builds.lock": render_lock(lock)}) == read_lock(tmp_path)


def test_lock_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    """What it leads to is shown to nobody."""
    (tmp_path / "secret").write_text("password", encoding="utf-8")
    (tmp_path / "builds.lock").symlink_to("secret")
    lock, found, texts = read_lock(tmp_path)
    assert (None, ["unreadable-file"], {}) == (lock, [finding.code for finding in found], texts)


def test_lock_that_is_a_pipe_does_not_make_us_wait(tmp_path: Path) -> None:
    """Nor is a folder read."""
    os.mkfifo(tmp_path / "builds.lock")
    assert ["unreadable-file"] == [finding.code for finding in read_lock(tmp_path)[1]]


@pytest.mark.parametrize(("content", "code"), [(b"\xff\xfe\x00", "not-utf8"), (b"#" * 9_000_000, "file-too-large")])
def test_lock_that_is_no_text(tmp_path: Path, content: bytes, code: str) -> None:
    """It is read up to a limit, as UTF-8."""
    (tmp_path / "builds.lock").write_bytes(content)
    assert [code] == [finding.code for finding in read_lock(tmp_path)[1]]


def test_config_whose_triggers_are_none(registry: FakeRegistry, stores: RegistryStores) -> None:
    """What stands in a config was written by others."""
    put(registry, images.image("linux/amd64", runtime={"OnBuild": 7}), "12")
    assert "its config cannot be read" in reason_of(fetch(registry, stores, AMD64))
