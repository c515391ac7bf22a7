"""What goes on after a failure, what stops, and what gets its tags."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from orchestrator.api.events import Retried
from orchestrator.engine.jobs import Publish
from orchestrator.plan.facts import TagState
from orchestrator.plan.model import Destination
from orchestrator.testing.registry import FakeRegistry
from tests.contract.registry_sample import make_index, make_sample
from tests.unit.engine.fakes import Finished, PythonBackend, Run, push_image
from tests.unit.plan.samples import HEAD

FOUR = HEAD + "[images.base]\n[images.app]\n[images.other]\n[images.leaf]\n"
FILES = {"app": "FROM base\n", "leaf": "FROM other\n"}


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    """A registry of one's own."""
    with FakeRegistry() as running:
        yield running


def release(
    registry: FakeRegistry,
    folder: Path,
    behaviours: Mapping[str, str],
    *,
    fail_fast: bool = False,
    known: Mapping[str, TagState] | None = None,
) -> Finished:
    """Publish what is finished of four images, of which some fail."""
    it = Run(folder, PythonBackend(behaviours), jobs=1)
    it.publish, it.fail_fast = Publish.FINISHED, fail_fast
    plan = it.plan(FOUR, FILES, destination=Destination.PUSH, registry=registry.host, tags=known)
    for image in plan.images:
        index = push_image(registry, f"acme/{image.name}", image.name, folder)
        (folder / f"{image.name}.pushed").write_text(index.digest)
    return it.finish(plan)


def test_what_is_finished_is_published(registry: FakeRegistry, tmp_path: Path) -> None:
    """Parents first, moving tags last; nothing of what failed, nor of what stands on it."""
    finished = release(registry, tmp_path, {"base": "fail"})
    tags = [f"{registry.host}/acme/{tag}" for tag in ("other:1.0", "leaf:1.0", "other:latest", "leaf:latest")]
    assert (4, tags) == (finished.exit_code, finished.put())
    assert "skipped" == finished.states()["promote:app"] == finished.states()["promote-moving:base"]


def test_moving_tags_wait_for_the_fixed_ones_of_their_image(registry: FakeRegistry, tmp_path: Path) -> None:
    """A fixed tag that stands with another digest is not replaced; `latest` does not go past it."""
    registry.put_manifest("acme/other", "1.0", make_index(make_sample("linux/s390x")))
    finished = release(registry, tmp_path, {"base": "fail"})
    assert ("failed", "skipped") == (finished.states()["promote:other"], finished.states()["promote-moving:other"])
    assert f"{registry.host}/acme/other:latest" not in finished.put()


def test_fail_fast_begins_nothing_any_more(registry: FakeRegistry, tmp_path: Path) -> None:
    """And says of everything that is left which failure it was."""
    finished = release(registry, tmp_path, {"base": "fail"}, fail_fast=True)
    assert (4, []) == (finished.exit_code, finished.put())
    assert "skipped" == finished.states()["solve:other"]
    assert "stopped after solve:base" == finished.ended("solve:other").message
    assert "needs solve:base" == finished.ended("record:base@linux/amd64").message


def test_fail_fast_ends_what_builds(tmp_path: Path) -> None:
    """It would wait for the others for nothing."""
    it = Run(tmp_path, PythonBackend({"base": "hang", "other": "fail"}))
    it.fail_fast = True
    finished = it.finish(it.plan(FOUR, FILES))
    states = finished.states()
    assert (4, "cancelled", "failed") == (finished.exit_code, states["solve:base"], states["solve:other"])
    assert len(states) == len(finished.plan.steps)


def test_a_tag_that_is_refused_stops_the_release(registry: FakeRegistry, tmp_path: Path) -> None:
    """No moving tag is put after it, of no image; without `--publish=finished` as well as with it."""
    for name in ("base", "other"):
        registry.put_manifest(f"acme/{name}", "1.0", make_index(make_sample("linux/s390x")))
    finished = release(registry, tmp_path, {})
    assert 3 == finished.exit_code
    assert not any(tag.endswith(":latest") for tag in finished.put())


def test_a_child_that_was_killed_is_begun_again(tmp_path: Path) -> None:
    """Nobody's build is at fault where something else ends its client."""
    it = Run(tmp_path, PythonBackend({"other": "killed"}))
    finished = it.finish(it.plan(FOUR, FILES))
    assert 0 == finished.exit_code
    (retried,) = [event for event in finished.events if isinstance(event, Retried)]
    assert ("solve:other", 1) == (retried.step, retried.attempt)
    assert "signal 9" in retried.message
