"""Requests of several solves of which another run has done one meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from orchestrator.api.events import ChildStarted, Event
from orchestrator.plan.model import Destination
from orchestrator.testing.registry import FakeRegistry, Hold
from tests.unit.engine.fakes import Finished, Run, push_image, stores_of
from tests.unit.engine.test_batch import LINKED, Together, again
from tests.unit.engine.test_remembered import keyed, private_names
from tests.unit.plan.samples import HEAD

IMAGES: Final = ("base", "found", "beside", "below")
TEXT: Final = HEAD + '[images.base]\ntimeout = "1h"\n' + "".join(f"[images.{name}]\n" for name in IMAGES[1:])
"""What has a time limit is built apart from the others."""
FILES: Final = {"found": "FROM base\n", "beside": "FROM base\n", "below": "FROM found\n"}
PARENTS: Final = {"base": (), "found": ("base",), "beside": ("base",), "below": ("found",)}


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[FakeRegistry]:
    """A registry in which another run has put a parent, and one of its children."""
    with FakeRegistry() as running:
        for image in IMAGES:
            (tmp_path / f"{image}.pushed").write_text(push_image(running, f"acme/{image}", image, tmp_path).digest)
        assert 0 == push(running, tmp_path, Together({})).exit_code
        for image in ("beside", "below"):
            for tag in private_names(running, image, "in-"):
                running.content.tags(f"acme/{image}").pop(tag)
        yield running


def push(
    registry: FakeRegistry,
    folder: Path,
    backend: Together,
    *,
    jobs: int = 1,
    on_event: Callable[[Event], None] = lambda _: None,
) -> Finished:
    """Build and push them all, of a plan that knows of none."""
    it = Run(folder, backend, jobs=jobs, max_steps=40)
    plan = keyed(it.plan(TEXT, FILES, destination=Destination.STAGE, registry=registry.host), PARENTS)

    def emit(event: Event) -> None:
        it.events.append(event)
        on_event(event)

    with stores_of(folder) as stores:
        exit_code = asyncio.run(it.engine(plan, stores, emit).run(it.workspace()))
    return Finished(plan=plan, exit_code=exit_code, events=tuple(it.events))


def test_what_another_run_has_done_is_built_with_nobody(registry: FakeRegistry, tmp_path: Path) -> None:
    """What is linked to it is built once, alone, on what the other run has recorded."""
    backend = Together({})
    finished = push(registry, tmp_path, backend)
    assert (0, "found", []) == (finished.exit_code, finished.states()["solve:found"], finished.argv("solve:found"))
    assert [("base",), ("found", "beside", "below"), ("beside",), ("below",)] == backend.requests
    assert [("solve:beside",), ("solve:below",)] == again(finished)
    (argv,) = finished.argv("solve:below")
    assert argv[-1].startswith(f"docker-image://{registry.host}/acme/found@sha256:")


def test_a_registry_that_refused_what_is_built_alone_is_asked_before_the_next(
    registry: FakeRegistry, tmp_path: Path
) -> None:
    """As for everything that is pushed."""
    finished = push(registry, tmp_path, Together({"below": "refused"}))
    assert (0, 2) == (finished.exit_code, len(finished.argv("solve:below")))
    assert 1 == registry.count("HEAD", "/v2/acme/below/manifests/run-.*")


@pytest.mark.parametrize("behaviour", ["build", "fail"])
def test_what_is_found_while_it_is_built_is_taken(registry: FakeRegistry, tmp_path: Path, behaviour: str) -> None:
    """Whatever becomes of it here; what is linked to it is built on that."""
    registry.fail("GET", "/v2/acme/found/manifests/in-.*", Hold(), times=0)

    def go_on(event: Event) -> None:
        if isinstance(event, ChildStarted) and event.steps == ("solve:found",):
            registry.release()

    finished = push(registry, tmp_path, Together({"found": behaviour}), jobs=2, on_event=go_on)
    states = finished.states()
    assert (0, "found", "done", "done") == (
        finished.exit_code, states["solve:found"], states["solve:beside"], states["solve:below"],
    )  # fmt: skip
    assert 1 == len(finished.argv("solve:found"))
    *_, last = finished.argv("solve:below")
    assert last[-1] != LINKED
