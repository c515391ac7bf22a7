"""Runs that end in a registry: what is put there, in what order, and what is left alone."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from orchestrator.api.events import Event
from orchestrator.engine.promote import Promoter
from orchestrator.errors import InterruptedRunError, PlanBlockedError, RegistryError
from orchestrator.oci.digest import Digest, digest_bytes
from orchestrator.oci.reference import parse_reference
from orchestrator.plan.facts import TagState
from orchestrator.plan.model import Destination, PromoteStep, TagMove
from orchestrator.plan.names import note_tag
from orchestrator.state.summary import moved_tags, summarise_run, unsure_tags
from orchestrator.testing.registry import AnswerWith, FakeRegistry, Hold, LoseAnswer, Rewrite
from tests.contract.registry_sample import make_index, make_sample, opened
from tests.unit.engine.fakes import Finished, PythonBackend, Run, push_image, skipped, stores_of
from tests.unit.plan.samples import HEAD

PUT = re.compile(r"/v2/acme/(?P<image>[^/]+)/manifests/(?P<locator>.+)")
TWO = HEAD + "[images.base]\n[images.app]\n"
FILES = {"app": "FROM base\n"}
OTHER = make_index(make_sample("linux/s390x"))


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    """A registry of one's own."""
    with FakeRegistry() as running:
        yield running


def publish(
    registry: FakeRegistry,
    folder: Path,
    text: str = TWO,
    *,
    destination: Destination = Destination.PUSH,
    known: Mapping[str, TagState] | None = None,
) -> Finished:
    """Run a plan whose builds push an index that is in the registry by digest; `known` are tags that stood then."""
    it = Run(folder, PythonBackend({}))
    plan = it.plan(text, FILES, destination=destination, registry=registry.host, tags=known)
    for image in plan.images:
        if not (folder / f"{image.name}.pushed").exists():
            index = push_image(registry, f"acme/{image.name}", image.name, folder)
            (folder / f"{image.name}.pushed").write_text(index.digest)
    return it.finish(plan)


def puts(registry: FakeRegistry) -> list[tuple[str, str]]:
    """Image and locator of every manifest that was put, in order."""
    matches = [PUT.fullmatch(request.path) for request in registry.requests if request.method == "PUT"]
    return [(match["image"], match["locator"]) for match in matches if match]


def tags(registry: FakeRegistry) -> list[str]:
    """The public ones among them."""
    private = re.compile(r"sha256:|run-|in-|ok-|at-|mv-")
    return [f"{image}:{locator}" for image, locator in puts(registry) if not private.match(locator)]


def test_tags_are_put_parents_first_and_moving_ones_last(registry: FakeRegistry, tmp_path: Path) -> None:
    """All of them, on the index that was verified."""
    finished = publish(registry, tmp_path)
    assert 0 == finished.exit_code
    assert ["base:1.0", "app:1.0", "base:latest", "app:latest"] == tags(registry)
    assert [f"{registry.host}/acme/{tag}" for tag in tags(registry)] == finished.put()
    verified = finished.ended("verify:app").digest
    assert {verified} == {registry.tags("acme/app")[tag] for tag in ("1.0", "latest")}


def test_every_platform_has_a_private_name_before_any_tag(registry: FakeRegistry, tmp_path: Path) -> None:
    """`in-` for each platform, `ok-` and `at-` for the verified index."""
    publish(registry, tmp_path)
    names = [locator[:3] for image, locator in puts(registry) if image == "app" and not locator.startswith("sha256")]
    assert ["in-", "in-", "ok-", "at-", "1.0", "lat"] == names


def test_staging_puts_no_tag(registry: FakeRegistry, tmp_path: Path) -> None:
    """Only private names."""
    finished = publish(registry, tmp_path, destination=Destination.STAGE)
    assert (0, [], []) == (finished.exit_code, tags(registry), finished.put())


def test_a_tag_that_exists_is_not_overwritten(registry: FakeRegistry, tmp_path: Path) -> None:
    """It came after the plan: that image's release stops, and so does every moving tag."""
    registry.put_manifest("acme/base", "1.0", OTHER)
    finished = publish(registry, tmp_path)
    assert 3 == finished.exit_code
    assert OTHER.digest == registry.tags("acme/base")["1.0"]
    assert OTHER.digest in finished.ended("promote:base").message
    assert [] == tags(registry)
    assert {"promote:app", "gate:moving", "promote-moving:base"} <= skipped(finished)


def test_a_tag_that_is_right_already_stands(registry: FakeRegistry, tmp_path: Path) -> None:
    """A second run of the same builds puts nothing again."""
    publish(registry, tmp_path)
    before = len(tags(registry))
    second = publish(registry, tmp_path)
    assert (0, before) == (second.exit_code, len(tags(registry)))
    assert 4 == len(second.put())


def test_a_registry_that_dies_before_the_tags_leaves_none(registry: FakeRegistry, tmp_path: Path) -> None:
    """The exit code is the registry's, and nothing public has changed."""
    registry.fail("PUT", r".*/manifests/ok-.*", AnswerWith(status=503), times=0)
    finished = publish(registry, tmp_path)
    assert (5, []) == (finished.exit_code, tags(registry))
    assert not set(registry.tags("acme/base")) & {"1.0", "latest"}
    assert "gate:release" in skipped(finished)


COPY = HEAD.replace('tags = ["1.0", ', 'tags = ["1.0", "{host}/acme/mirror:1.0", ') + "[images.base]\n"


def test_another_repository_gets_a_copy_before_any_tag(registry: FakeRegistry, tmp_path: Path) -> None:
    """Manifests before the index, by digest; then its private name, and the tag like all others."""
    finished = publish(registry, tmp_path, COPY.replace("{host}", registry.host))
    assert 0 == finished.exit_code
    mirrored = [locator for image, locator in puts(registry) if image == "mirror"]
    digest = finished.ended("verify:base").digest
    assert digest is not None
    children = mirrored[: mirrored.index(digest)]
    assert 2 == len(children)
    assert ["ok-", "1.0"] == [locator[:3] for locator in mirrored[len(children) + 1 :]]
    last_copied = puts(registry).index(("mirror", digest))
    assert last_copied < puts(registry).index(("base", "1.0"))
    assert digest == registry.tags("acme/mirror")["1.0"]


def test_a_registry_that_changes_a_copy_is_found_out(registry: FakeRegistry, tmp_path: Path) -> None:
    """It is read back: nothing is published anywhere then."""
    wrong = {"Docker-Content-Digest": OTHER.digest}
    registry.fail("HEAD", r".*/mirror/manifests/ok-.*", Rewrite(headers=wrong), times=0)
    finished = publish(registry, tmp_path, COPY.replace("{host}", registry.host))
    assert (6, []) == (finished.exit_code, tags(registry))
    assert ["copy"] == [step.partition(":")[0] for step, state in finished.states().items() if state == "failed"]


def test_the_summary_tells_what_stands(registry: FakeRegistry, tmp_path: Path) -> None:
    """Each tag with what it pointed at before."""
    registry.put_manifest("acme/base", "latest", OTHER)
    known = {f"{registry.host}/acme/base:latest": TagState(digest=OTHER.digest)}
    finished = publish(registry, tmp_path, known=known)
    result = summarise_run(finished.plan, finished.events, now="x")
    assert {"base": "released", "app": "released"} == {image.name: image.state for image in result.images}
    base = result.images[0]
    assert [("1.0", True, None), ("latest", True, OTHER.digest)] == [
        (tag.ref.rpartition(":")[2], tag.put, tag.previous) for tag in base.tags
    ]
    assert f"{registry.host}/acme/base" == base.home


def test_the_summary_of_a_run_of_later_steps_alone(registry: FakeRegistry, tmp_path: Path) -> None:
    """Its builds are those that were staged, not builds that failed."""
    finished = publish(registry, tmp_path)
    earlier = ("solve:", "record:", "assemble:")
    kept = tuple(step for step in finished.plan.steps if not step.id.startswith(earlier))
    later = msgspec.structs.replace(finished.plan, steps=kept)
    names = {step.id for step in kept}
    events = [event for event in finished.events if getattr(event, "step", "gate:release") in names]
    result = summarise_run(later, events, now="x")
    states = {(image.state, build.state) for image in result.images for build in image.platforms}
    assert {("released", "staged")} == states


def moves(
    registry: FakeRegistry,
    *names: str,
    replace: bool = False,
    expected: Digest | None = None,
    version: str | None = None,
    repository: str = "acme/x",
) -> PromoteStep:
    """A step that puts these tags of one image, which pointed at `expected` when it was planned."""
    references = [parse_reference(f"{registry.host}/{repository}:{name}") for name in names]
    found = tuple(
        TagMove(reference=reference, moving=replace, replace=replace, expected=expected, version=version)
        for reference in references
    )
    return PromoteStep(id="promote:x", image="x", needs=(), index="assemble:x", moves=found)


def put_tags(step: PromoteStep, digest: Digest, *, stop_after: int = 99) -> list[str]:
    """Promote; the tags of which it was told."""
    told: list[str] = []

    def tell(move: TagMove, previous: Digest | None) -> None:
        del previous
        told.append(move.reference.tag)

    with opened() as stores:
        Promoter(stores.repository, lambda: len(told) >= stop_after).promote(step, digest, tell)
    return told


@pytest.fixture
def index(registry: FakeRegistry, tmp_path: Path) -> Digest:
    """An index that is there, without a tag."""
    return push_image(registry, "acme/x", "x", tmp_path).digest


def test_a_lost_answer_is_looked_up(registry: FakeRegistry, index: Digest) -> None:
    """The tag stands though nobody said so, and is told."""
    registry.fail("PUT", r".*/manifests/1", LoseAnswer(), times=0)
    assert ["1"] == put_tags(moves(registry, "1"), index)
    assert index == registry.tags("acme/x")["1"]


def test_a_tag_that_cannot_be_put_is_an_error(registry: FakeRegistry, index: Digest) -> None:
    """Those before it stand."""
    registry.fail("PUT", r".*/manifests/2", AnswerWith(status=403), times=0)
    with pytest.raises(RegistryError):
        put_tags(moves(registry, "1", "2", "3"), index)
    assert {"1"} == set(registry.tags("acme/x"))


def test_a_tag_of_which_nobody_knows_is_said_so(registry: FakeRegistry, index: Digest) -> None:
    """The registry is gone in the moment between."""
    registry.fail("PUT", r".*/manifests/1", LoseAnswer(), times=0)
    registry.fail("HEAD", r".*/manifests/1", AnswerWith(status=404), times=1)
    registry.fail("GET|HEAD", r".*/manifests/1", AnswerWith(status=503), times=0)
    with pytest.raises(RegistryError, match="is not known"):
        put_tags(moves(registry, "1"), index)


def test_a_tag_of_which_nobody_knows_is_in_the_summary(registry: FakeRegistry, tmp_path: Path) -> None:
    """That tag alone; the others of the release were not asked for."""
    registry.fail("PUT", r".*/base/manifests/1\.0", LoseAnswer(), times=0)
    registry.fail("HEAD", r".*/base/manifests/1\.0", AnswerWith(status=404), times=1)
    registry.fail("GET|HEAD", r".*/base/manifests/1\.0", AnswerWith(status=503), times=0)
    finished = publish(registry, tmp_path)
    result = summarise_run(finished.plan, finished.events, now="x")
    assert (5, ()) == (result.exit_code, moved_tags(result))
    assert (f"{registry.host}/acme/base:1.0",) == unsure_tags(result)


def test_a_tag_that_nobody_waits_for_any_more_is_not_known(registry: FakeRegistry, tmp_path: Path) -> None:
    """At a second Ctrl-C: what was asked for may stand or not."""
    it = Run(tmp_path, PythonBackend({}))
    plan = it.plan(HEAD + "[images.base]\n", destination=Destination.PUSH, registry=registry.host)
    (tmp_path / "base.pushed").write_text(push_image(registry, "acme/base", "base", tmp_path).digest)
    registry.fail("PUT", r".*/base/manifests/1\.0", Hold(), times=1)

    def await_request() -> None:
        while "base:1.0" not in tags(registry):
            threading.Event().wait(0.01)

    async def interrupt_twice() -> tuple[Event, ...]:
        with stores_of(tmp_path) as stores:
            work = asyncio.ensure_future(it.engine(plan, stores).run(it.workspace()))
            await asyncio.to_thread(await_request)
            work.cancel()
            for _ in range(10):
                await asyncio.sleep(0)
            for task in asyncio.all_tasks() - {work, asyncio.current_task()}:
                task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await work
            told = tuple(it.events)
            registry.release()
        return told

    result = summarise_run(plan, asyncio.run(interrupt_twice()), now="x")
    assert (130, (f"{registry.host}/acme/base:1.0",)) == (result.exit_code, unsure_tags(result))


def test_an_index_that_is_gone_gets_no_tag(registry: FakeRegistry) -> None:
    """Somebody cleaned up meanwhile."""
    with pytest.raises(RegistryError, match="is gone"):
        put_tags(moves(registry, "1"), digest_bytes(b"nobody has this"))


def test_a_run_that_is_to_stop_puts_no_further_tag(registry: FakeRegistry, index: Digest) -> None:
    """It stops between two."""
    with pytest.raises(InterruptedRunError, match="stopped before"):
        put_tags(moves(registry, "1", "2"), index, stop_after=1)
    assert {"1"} == set(registry.tags("acme/x"))


def test_a_moving_tag_is_moved(registry: FakeRegistry, index: Digest) -> None:
    """From where the plan saw it."""
    registry.put_manifest("acme/x", "1", OTHER)
    assert ["1"] == put_tags(moves(registry, "1", replace=True, expected=OTHER.digest), index)
    assert index == registry.tags("acme/x")["1"]
    assert ["1"] == put_tags(moves(registry, "1", replace=True, expected=OTHER.digest), index)


@pytest.mark.parametrize("expected", [None, digest_bytes(b"what stood there then")])
def test_a_moving_tag_that_somebody_moved_stops_the_rest(
    registry: FakeRegistry, index: Digest, expected: Digest | None
) -> None:
    """Another release may have gone on meanwhile: what it put is not overwritten, nor is what comes after."""
    registry.put_manifest("acme/x", "2", OTHER)
    with pytest.raises(PlanBlockedError, match=f"points at `{OTHER.digest}` now: somebody moved it"):
        put_tags(moves(registry, "2", "3", replace=True, expected=expected), index)
    assert {"2": OTHER.digest} == {tag: digest for tag, digest in registry.tags("acme/x").items() if tag in "23"}


def test_a_fixed_tag_is_never_moved(registry: FakeRegistry, index: Digest) -> None:
    """Both digests are named."""
    registry.put_manifest("acme/x", "1", OTHER)
    with pytest.raises(PlanBlockedError, match=f"{OTHER.digest}.*{index}"):
        put_tags(moves(registry, "1"), index)
    assert OTHER.digest == registry.tags("acme/x")["1"]


@pytest.mark.parametrize("version", [None, "1.2"])
def test_a_tag_is_read_just_before_it_is_put(registry: FakeRegistry, index: Digest, version: str | None) -> None:
    """There is nothing between in which a registry could take its time."""
    put_tags(moves(registry, "1", "2", replace=True, version=version), index)
    asked = [(request.method, request.path.rpartition("/")[2]) for request in registry.requests]
    assert [("HEAD", "1"), ("HEAD", "2")] == [asked[asked.index(("PUT", tag)) - 1] for tag in "12"]


def test_a_tag_that_is_moved_while_its_version_is_noted_stays(registry: FakeRegistry, index: Digest) -> None:
    """It is another release's by then."""
    note = f"/v2/acme/x/manifests/{note_tag('1')}"
    registry.fail("PUT", note, Hold())
    with ThreadPoolExecutor(1) as threads:
        work = threads.submit(put_tags, moves(registry, "1", replace=True, version="1.2"), index)
        while not registry.count("PUT", note) and not work.done():
            threading.Event().wait(0.001)
        registry.put_manifest("acme/x", "1", OTHER)
        registry.release()
        with pytest.raises(PlanBlockedError, match="somebody moved it"):
            work.result()
    assert OTHER.digest == registry.tags("acme/x")["1"]


def test_the_blob_of_notes_is_put_once_in_a_repository(registry: FakeRegistry, index: Digest) -> None:
    """Nobody asks again whether it stands."""
    put_tags(moves(registry, "1", "2", "3", replace=True, version="1.2"), index)
    assert (1, 1) == (registry.count("HEAD", ".*/blobs/.*"), registry.count("POST", ".*/blobs/.*"))


def test_repositories_do_not_wait_for_each_other(registry: FakeRegistry, index: Digest, tmp_path: Path) -> None:
    """One whose registry takes its time over a note stops no other."""
    other = push_image(registry, "acme/y", "y", tmp_path).digest
    registry.fail("HEAD", "/v2/acme/x/blobs/.*", Hold())

    def put(promoter: Promoter, repository: str, digest: Digest) -> None:
        step = moves(registry, "1", replace=True, version="1.2", repository=repository)
        promoter.promote(step, digest, lambda _, __: None)

    with opened() as stores, ThreadPoolExecutor(2) as threads:
        promoter = Promoter(stores.repository, lambda: False)
        held = threads.submit(put, promoter, "acme/x", index)
        while not registry.count("HEAD", "/v2/acme/x/blobs/.*"):
            threading.Event().wait(0.001)
        try:
            threads.submit(put, promoter, "acme/y", other).result(timeout=60)
            assert not held.done()
        finally:
            registry.release()
        held.result()
    assert (index, other) == tuple(registry.tags(f"acme/{name}")["1"] for name in "xy")
