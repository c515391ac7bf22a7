"""What a run that is stopped while it waits for a registry begins after that: nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.plan.model import Destination
from orchestrator.testing.registry import FakeRegistry, Hold
from tests.unit.engine.fakes import Finished, PythonBackend, Run, push_image, stores_of
from tests.unit.engine.test_remembered import TWO, keyed

ASKED = {
    "before a build": ("GET", r"/v2/acme/app/manifests/in-.*", "build", 0),
    "before a push again": ("HEAD", r"/v2/acme/app/manifests/run-.*", "refused", 1),
}


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    """A registry of one's own."""
    with FakeRegistry() as running:
        yield running


def interrupt(registry: FakeRegistry, folder: Path, behaviour: str, method: str, path: str) -> Finished:
    """Stop a run while a request that fits waits for its answer, and have it answered then."""
    it = Run(folder, PythonBackend({"app": behaviour}))
    for image in ("base", "app"):
        (folder / f"{image}.pushed").write_text(push_image(registry, f"acme/{image}", image, folder).digest)
    plan = keyed(it.plan(TWO, {"app": "FROM base\n"}, destination=Destination.STAGE, registry=registry.host))
    registry.fail(method, path, Hold())

    async def stop() -> None:
        with stores_of(folder) as stores:
            work = asyncio.ensure_future(it.engine(plan, stores).run(it.workspace()))
            while not registry.count(method, path) and not work.done():  # noqa: ASYNC110 (the registry is in another thread)
                await asyncio.sleep(0.001)
            work.cancel()
            await asyncio.sleep(0)
            registry.release()
            with pytest.raises(asyncio.CancelledError):
                await work

    asyncio.run(stop())
    return Finished(plan=plan, exit_code=130, events=tuple(it.events))


@pytest.mark.parametrize(("method", "path", "behaviour", "children"), ASKED.values(), ids=ASKED)
def test_who_is_stopped_while_it_asks_begins_nothing(
    registry: FakeRegistry, tmp_path: Path, method: str, path: str, behaviour: str, children: int
) -> None:
    """It has asked whether to begin, and the answer does not matter any more."""
    finished = interrupt(registry, tmp_path, behaviour, method, path)
    assert (children, "cancelled") == (len(finished.argv("solve:app")), finished.states()["solve:app"])
