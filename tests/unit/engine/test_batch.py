"""Requests of several solves in a run: who runs them, what a failure leaves, and what of it is taken."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from msgspec.structs import replace

from orchestrator.api.backend import (
    Became,
    FailureKind,
    LowerRequest,
    Refusal,
    SolveFailure,
    SolveResult,
    SolveUnknown,
)
from orchestrator.api.events import LoweredAgain, Retried
from orchestrator.api.invocation import Invocation, Outcome
from orchestrator.buildkit.results import read_result
from orchestrator.engine.jobs import Publish, make_jobs
from orchestrator.plan.grouping import group_steps
from orchestrator.plan.model import Destination
from orchestrator.testing.registry import FakeRegistry
from tests.unit.engine.fakes import Finished, PythonBackend, Run, push_image, skipped
from tests.unit.engine.test_remembered import keyed, private_names
from tests.unit.plan.samples import HEAD
from tests.unit.plan.test_grouping import Sample, plan_of

FAMILY = HEAD + "".join(f"[images.{name}]\n" for name in ("base", "left", "right", "below"))
FILES = {"left": "FROM base\n", "right": "FROM base\n", "below": "FROM right\n"}
TWO = HEAD + "[images.base]\n[images.app]\n"
LINKED = "linked"


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    """A registry of one's own."""
    with FakeRegistry() as running:
        yield running


class Together(PythonBackend):
    """Does the solves of a request one after the other; after a failure nobody knows what became of the others."""

    def __init__(self, behaviours: Mapping[str, str], *, tells: bool = False) -> None:
        super().__init__(behaviours)
        self.requests: list[tuple[str, ...]] = []
        self._tells = tells

    def lower(self, request: LowerRequest) -> tuple[Invocation, ...] | Refusal:
        """A child for each solve, in which links are words of their own."""
        self.requests.append(tuple(solve.image for solve in request.steps))
        linked = {(link.step, link.context) for link in request.links}
        steps = tuple(
            replace(
                solve,
                contexts=tuple(
                    replace(each, value=LINKED) if (solve.id, each.name) in linked else each for each in solve.contexts
                ),
            )
            for solve in request.steps
        )
        return super().lower(replace(request, steps=steps))

    def results(self, request: LowerRequest, outcomes: tuple[Outcome, ...]) -> Mapping[str, Became]:
        """Results where all went well."""
        found: dict[str, Became] = {solve.id: SolveUnknown() for solve in request.steps}
        for solve, outcome in zip(request.steps, outcomes, strict=False):
            result = read_result(solve, outcome)
            failed = len(outcomes) < len(request.steps) or not outcomes[-1].succeeded
            found[solve.id] = (
                SolveUnknown(digest=result.digest if self._tells else None)
                if isinstance(result, SolveResult) and failed
                else result
            )
        return found


def run(folder: Path, backend: Together) -> Finished:
    """Build a family into layouts."""
    it = Run(folder, backend, max_steps=40)
    return it.finish(it.plan(FAMILY, FILES))


def again(finished: Finished) -> list[tuple[str, ...]]:
    """The steps that were lowered once more."""
    return [event.steps for event in finished.events if isinstance(event, LoweredAgain)]


def test_one_request_does_them_all(tmp_path: Path) -> None:
    """As the plan lowered it; each step is done in its turn."""
    backend = Together({})
    finished = run(tmp_path, backend)
    assert (0, [("base", "left", "right", "below")]) == (finished.exit_code, backend.requests)
    assert {"done"} == {state for step, state in finished.states().items() if step.startswith("solve:")}
    assert [] == again(finished)


def test_after_a_failure_the_rest_is_lowered_and_run_again(tmp_path: Path) -> None:
    """Without what failed and what stands on it."""
    backend = Together({"right": "fail"})
    finished = run(tmp_path, backend)
    assert [("base", "left", "right", "below"), ("base", "left")] == backend.requests
    assert (4, "done", "done", "failed") == (
        finished.exit_code, *(finished.states()[f"solve:{name}"] for name in ("base", "left", "right")),
    )  # fmt: skip
    assert "solve:below" in skipped(finished)
    assert [("solve:base", "solve:left")] == again(finished)
    assert "exit code: 2" in finished.ended("solve:right").message


def test_a_later_request_is_done_without_what_is_skipped(tmp_path: Path) -> None:
    """What failed in one request takes down only what needs it of the next."""
    backend = Together({"right": "fail"})
    it = Run(tmp_path, backend, max_steps=3)
    finished = it.finish(it.plan(FAMILY + "[images.other]\n", {**FILES, "other": "FROM left\n"}))
    assert [("base", "left", "right"), ("below", "other"), ("base", "left"), ("other",)] == backend.requests
    assert ("skipped", "done") == (finished.states()["solve:below"], finished.states()["solve:other"])
    assert [("solve:base", "solve:left"), ("solve:other",)] == again(finished)


def test_a_failure_that_passes_is_tried_again_with_the_rest(tmp_path: Path) -> None:
    """As often as its image may be."""
    backend = Together({"left": "flaky"})
    finished = run(tmp_path, backend)
    assert 0 == finished.exit_code
    assert [("base", "left", "right", "below")] * 2 == backend.requests
    assert ["solve:left"] == [event.step for event in finished.events if isinstance(event, Retried)]


def test_a_backend_that_does_not_know_is_not_asked_for_ever(tmp_path: Path) -> None:
    """A round without a failure is the last."""

    class Silent(Together):
        def results(self, request: LowerRequest, outcomes: tuple[Outcome, ...]) -> Mapping[str, Became]:
            del outcomes
            return {solve.id: SolveUnknown() for solve in request.steps}

    backend = Silent({})
    finished = run(tmp_path, backend)
    assert (4, 1) == (finished.exit_code, len(backend.requests))
    assert "does not say what became" in finished.ended("solve:base").message


def test_a_failure_of_what_was_not_asked_for_is_none(tmp_path: Path) -> None:
    """It leaves nothing to be tried again."""

    class Wandering(Together):
        def results(self, request: LowerRequest, outcomes: tuple[Outcome, ...]) -> Mapping[str, Became]:
            del outcomes
            found: dict[str, Became] = {solve.id: SolveUnknown() for solve in request.steps}
            return found | {"solve:nobody": SolveFailure(kind=FailureKind.USER, message="x")}

    backend = Wandering({})
    assert (4, 1) == (run(tmp_path, backend).exit_code, len(backend.requests))


def push(
    registry: FakeRegistry, folder: Path, backend: Together, *, base: str = "base", stands: bool = True
) -> Finished:
    """Push a parent and its child; `base` is what the parent is built to, `stands` whether it gets there."""
    it = Run(folder, backend, max_steps=40)
    for image, content in (("base", base), ("app", "app")):
        if not (folder / "pushed" / f"acme/{image}" / content).exists():
            (folder / f"{image}.pushed").write_text(push_image(registry, f"acme/{image}", content, folder).digest)
    if not stands:
        (folder / "base.pushed").write_text("sha256:" + 64 * "0")
    plan = it.plan(TWO, {"app": "FROM base\n"}, destination=Destination.STAGE, registry=registry.host)
    return it.finish(keyed(plan))


def test_what_was_pushed_before_a_failure_is_not_built_again(registry: FakeRegistry, tmp_path: Path) -> None:
    """Its child takes it by the digest that the registry has of it."""
    backend = Together({"app": "flaky"}, tells=True)
    finished = push(registry, tmp_path, backend)
    assert (0, [("base", "app"), ("app",)]) == (finished.exit_code, backend.requests)
    digest = (tmp_path / "base.pushed").read_text()
    assert f"docker-image://{registry.host}/acme/base@{digest}" == finished.argv("solve:app")[-1][-1]


def test_a_registry_that_refused_a_push_is_asked_before_the_next(registry: FakeRegistry, tmp_path: Path) -> None:
    """A builder does not tell for how long it wants to be left alone."""
    finished = push(registry, tmp_path, Together({"app": "refused"}, tells=True))
    assert (0, 2) == (finished.exit_code, len(finished.argv("solve:app")))
    assert (0, 1) == tuple(registry.count("HEAD", f"/v2/acme/{image}/manifests/run-.*") for image in ("base", "app"))


def test_what_does_not_stand_is_built_again(registry: FakeRegistry, tmp_path: Path) -> None:
    """Whatever the child said of it; until it does not stand any more when it has to be recorded."""
    backend = Together({"app": "flaky"}, tells=True)
    finished = push(registry, tmp_path, backend, stands=False)
    assert [("base", "app"), ("base", "app")] == backend.requests
    assert "done" != finished.states()["record:base@linux/amd64"]


def test_a_child_is_built_again_where_another_parent_is_recorded(registry: FakeRegistry, tmp_path: Path) -> None:
    """It was linked to what this run built of it, which nobody will ever see."""
    push(registry, tmp_path, Together({}))
    for tag in private_names(registry, "app", "in-"):
        registry.content.tags("acme/app").pop(tag)
    backend = Together({})
    finished = push(registry, tmp_path, backend, base="base again")
    assert (0, [("base", "app"), ("app",)]) == (finished.exit_code, backend.requests)
    assert [("solve:app",)] == again(finished)
    first, second = finished.argv("solve:app")
    assert (LINKED, True) == (first[-1], second[-1].startswith(f"docker-image://{registry.host}/acme/base@sha256:"))


def test_a_child_of_the_same_parent_is_not(registry: FakeRegistry, tmp_path: Path) -> None:
    """Two runs may build the same bytes."""
    push(registry, tmp_path, Together({}))
    for tag in private_names(registry, "app", "in-"):
        registry.content.tags("acme/app").pop(tag)
    finished = push(registry, tmp_path, Together({}))
    assert (0, []) == (finished.exit_code, again(finished))


def test_a_failure_is_of_its_step_alone(tmp_path: Path) -> None:
    """All of them have their own."""
    finished = run(tmp_path, Together({"left": "fail", "right": "fail"}))
    assert ("failed", "failed", "done") == tuple(
        finished.states()[f"solve:{name}"] for name in ("left", "right", "base")
    )


def test_all_of_a_group_wait_for_what_any_of_them_needs() -> None:
    """Whichever begins first does them all, and the digests of parents stand in its files."""
    far, near = Sample(name="far", backend="qemu"), Sample(name="near", linked=("far",))
    plan = plan_of(far, near, Sample(name="child", linked=("near",)))
    groups = group_steps(plan, {"bake": 40, "qemu": 1})
    jobs = {job.id: (job.needs, job.after) for job in make_jobs(plan.steps, (), {}, Publish.ALL, groups=groups)}
    assert [("solve:near", "solve:child")] == [group.steps for group in groups]
    far_alone = ("assemble:far",)
    assert (far_alone, far_alone) == jobs["solve:near"]
    assert (("assemble:near",), far_alone) == jobs["solve:child"]
