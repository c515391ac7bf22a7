"""What it costs to find out that nothing has changed: requests, counted at the registry."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from orchestrator.cli.registries import OpenStore, open_asked
from orchestrator.oci.assemble import assemble
from orchestrator.oci.digest import Digest, digest_bytes
from orchestrator.oci.manifest import OCI_MANIFEST, Descriptor, Manifest, PlatformField
from orchestrator.oci.note import render_note
from orchestrator.oci.platform import parse_platform
from orchestrator.oci.record import render_index, seal
from orchestrator.oci.reference import Reference, Repository, parse_repository
from orchestrator.plan.facts import TagState
from orchestrator.plan.memory import Memory, Wanted
from orchestrator.plan.model import Home, RegistryHome
from orchestrator.plan.names import final_tag, note_tag, part_key
from orchestrator.probe.cached import CachedStore
from orchestrator.probe.facts import read_tags
from orchestrator.probe.memory import recall
from orchestrator.testing.registry import AnswerWith, Bearer, FakeRegistry, Hold, Rewrite
from tests.contract.registry_sample import USERS, login_to

PLATFORMS = (parse_platform("linux/amd64"), parse_platform("linux/arm64"))
IMAGES = 60
_CHILDREN = 4
_KINDS = {"ok": r"ok-[0-9a-f]{64}", "note": r"mv-[0-9a-f]{64}", "tag": r"1\.0|latest", "digest": "sha256:.*"}


class Standing:
    """60 images that stand on one another in a registry, each with a fixed tag, a moving one and its note."""

    def __init__(self, registry: FakeRegistry) -> None:
        self.registry = registry
        self.wanted: list[Wanted] = []
        self.tags: dict[Reference, bool] = {}
        records: dict[str, Digest] = {}
        for number in range(IMAGES):
            image = self.want(number)
            self.wanted.append(image)
            self.put(image, records)

    def want(self, number: int) -> Wanted:
        """An image as it is looked for."""
        builds = {platform: f"i{number}@{platform}" for platform in PLATFORMS}
        parent = f"i{(number - 1) // _CHILDREN}"
        return Wanted(
            name=f"i{number}",
            home=RegistryHome(repository=parse_repository(f"{self.registry.host}/acme/i{number}")),
            builds=builds,
            inputs={platform: digest_bytes(build.encode()) for platform, build in builds.items()},
            parents={platform: (f"{parent}@{platform}",) if number else () for platform in PLATFORMS},
            extra=b"",
        )

    def put(self, image: Wanted, records: dict[str, Digest]) -> None:
        """Put the verified index of an image under its private name and its tags."""
        parts, keys = [], []
        for platform, build in image.builds.items():
            inputs = digest_bytes(build.encode())
            parents = tuple(records[parent] for parent in image.parents[platform])
            field = PlatformField(architecture=platform.architecture, os=platform.os)
            child = Descriptor(media_type=OCI_MANIFEST, digest=digest_bytes(b"1"), size=1, platform=field)
            parts.append(seal(render_index((child,), {}), inputs=inputs, scope="main", parents=parents))
            keys.append(part_key(inputs, parents))
            records[build] = parts[-1].digest
        index = assemble(tuple(parts), {})
        repository = repository_of(image)
        for name in (final_tag("main", keys, image.extra), "1.0", "latest"):
            self.registry.put_manifest(repository.path, name, index)
        self.registry.put_manifest(repository.path, note_tag("latest"), render_note(index.digest, "1.0"))
        self.tags |= {repository.tag("1.0"): False, repository.tag("latest"): True}

    def look(self, root: Path, environment: Mapping[str, str] | None = None) -> tuple[dict[str, TagState], Memory]:
        """What a plan looks up."""
        with open_asked(root, environment or {}) as open_store:
            states = read_tags(self.tags, open_store)
            memory, found = recall(self.wanted, ("main",), open_homes(open_store))
        assert () == found
        return states, memory

    def requests(self, root: Path, environment: Mapping[str, str] | None = None) -> dict[tuple[str, str], int]:
        """How many requests of each kind it costs."""
        before = len(self.registry.requests)
        states, memory = self.look(root, environment)
        assert IMAGES == len(memory.images)
        assert {"1.0"} == {state.version for tag, state in states.items() if tag.endswith(":latest")}
        asked = Counter((logged.method, kind_of(logged.path)) for logged in self.registry.requests[before:])
        return dict(asked)


def repository_of(image: Wanted) -> Repository:
    """Where an image stands."""
    assert isinstance(image.home, RegistryHome)
    return image.home.repository


def open_homes(open_store: OpenStore) -> Callable[[Home], CachedStore]:
    """What opens the homes of these images."""

    def open_home(home: Home) -> CachedStore:
        assert isinstance(home, RegistryHome)
        return open_store(home.repository)

    return open_home


def kind_of(path: str) -> str:
    """What a request asks for."""
    name = path.rpartition("/")[2]
    return next((kind for kind, pattern in _KINDS.items() if re.fullmatch(pattern, name)), path)


@pytest.fixture
def standing() -> Iterator[Standing]:
    """The images, in a registry of their own."""
    with FakeRegistry() as registry:
        yield Standing(registry)


def test_a_second_run_is_one_head_an_image_one_a_tag_and_one_a_note(standing: Standing, tmp_path: Path) -> None:
    """And nothing besides: no body is fetched."""
    standing.look(tmp_path)
    assert {("HEAD", "ok"): 60, ("HEAD", "tag"): 120, ("HEAD", "note"): 60} == standing.requests(tmp_path)


def test_a_first_run_has_as_many_requests(standing: Standing, tmp_path: Path) -> None:
    """Nothing is kept, so what is needed is fetched at once rather than asked for first."""
    assert {("GET", "ok"): 60, ("HEAD", "tag"): 120, ("GET", "note"): 60} == standing.requests(tmp_path)


def test_what_is_not_kept_is_fetched_by_the_digest_that_was_told(standing: Standing, tmp_path: Path) -> None:
    """One more request for each manifest that has changed."""
    standing.look(tmp_path)
    last = repository_of(standing.wanted[-1])
    index = Digest(standing.registry.tags(last.path)["latest"])
    note = render_note(index, "1.0")
    moved = Manifest(media_type=note.media_type, content=note.content + b"\n")
    standing.registry.put_manifest(last.path, note_tag("latest"), moved)
    assert 1 == standing.requests(tmp_path)["GET", "digest"]
    assert ("GET", "digest") not in standing.requests(tmp_path)


def test_a_cache_that_was_lost_costs_requests_only(standing: Standing, tmp_path: Path) -> None:
    """The answers are the same."""
    first = standing.look(tmp_path)
    for file in (tmp_path / ".orchestrate/cache").iterdir():
        file.write_bytes(b"damaged")
    assert first == standing.look(tmp_path)
    assert first == standing.look(tmp_path)


def test_a_registry_that_tells_no_digest_is_asked_by_get(standing: Standing, tmp_path: Path) -> None:
    """As some do; what they answer is believed by its bytes."""
    first = standing.look(tmp_path)
    standing.registry.fail("HEAD", ".*", Rewrite(headers={"Docker-Content-Digest": None}), times=0)
    assert first == standing.look(tmp_path)


def test_what_is_gone_is_not_taken_from_the_cache(standing: Standing, tmp_path: Path) -> None:
    """What is kept says what a manifest says, never that it is there."""
    standing.look(tmp_path)
    repository = repository_of(standing.wanted[-1])
    standing.registry.content.tags(repository.path).clear()
    states, memory = standing.look(tmp_path)
    assert "i59" not in memory.images
    assert TagState() == states[str(repository.tag("latest"))]
    with open_asked(tmp_path, {}) as open_store:
        assert None is open_store(repository).fetch_manifest("latest")


def test_one_token_a_repository_serves_the_whole_plan(tmp_path: Path) -> None:
    """The registry is asked once who gives tokens; tags and names of earlier runs share them."""
    with FakeRegistry(access=Bearer(users=USERS)) as registry:
        asked = Standing(registry).requests(tmp_path, login_to(registry, tmp_path))
        tokens = sum(count for (_, path), count in asked.items() if path.startswith("/token"))
        assert (60, 241 + 60) == (tokens, sum(asked.values()))


def test_tokens_of_many_repositories_are_fetched_at_once(tmp_path: Path) -> None:
    """A token server that takes its time is waited for once, not once for each repository."""
    with (
        FakeRegistry(access=Bearer(users=USERS)) as registry,
        open_asked(tmp_path, login_to(registry, tmp_path)) as open_store,
        ThreadPoolExecutor(8) as threads,
    ):
        first, *others = (open_store(parse_repository(f"{registry.host}/acme/i{number}")) for number in range(9))
        assert None is first.find("1.0")
        registry.fail("GET", "/token.*", Hold(), times=0)
        found = [threads.submit(store.find, "1.0") for store in others]
        end = time.monotonic() + 60
        while registry.count("GET", "/token.*") < 9 and time.monotonic() < end:
            time.sleep(0.01)
        waiting = registry.count("GET", "/token.*") - 1
        registry.release()
        assert (8, [None] * 8) == (waiting, [each.result() for each in found])


def test_a_registry_that_fails_is_told_of(standing: Standing, tmp_path: Path) -> None:
    """The cache does not hide it: what cannot be asked is not known."""
    standing.look(tmp_path)
    standing.registry.fail("HEAD", r".*/ok-.*", AnswerWith(status=403), times=0)
    with open_asked(tmp_path, {}) as open_store:
        memory, found = recall(standing.wanted, ("main",), open_homes(open_store))
    assert ({}, ["state-unknown"]) == (dict(memory.images), [each.code for each in found])
