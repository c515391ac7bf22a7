"""Platform tests in a run: when they run, what a failure comes to, and what is noted of one that has passed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from orchestrator.api.backend import LowerRequest, SolveFailure, SolveResult
from orchestrator.api.events import StepFinished, StepStarted
from orchestrator.api.invocation import Outcome
from orchestrator.oci.digest import Digest
from orchestrator.plan import names
from orchestrator.plan.model import Destination
from orchestrator.state.summary import summarise_run
from orchestrator.testing.registry import FakeRegistry
from tests.unit.engine.fakes import Finished, PythonBackend, Run, push_image, skipped
from tests.unit.engine.test_remembered import keyed
from tests.unit.plan.samples import HEAD

COMMAND = ("/app", "--password=hunter2")
TEXT = HEAD + '[images.base]\ntest = { run = ["/app", "--password=hunter2"] }\n[images.app]\n'
FILES = {"app": "FROM base\n"}
TESTS = ("test:base@linux/amd64", "test:base@linux/arm64")
BROKEN = 7


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    """A registry of one's own."""
    with FakeRegistry() as running:
        yield running


def run(folder: Path, behaviour: str = "build", *, text: str = TEXT, timeout: float | None = None) -> Finished:
    """Build into layouts; `behaviour` is that of the tests."""
    it = Run(folder, PythonBackend({"test:base": behaviour}, timeout=timeout))
    return it.finish(it.plan(text, FILES))


def publish(registry: FakeRegistry, folder: Path, behaviour: str = "build", *, text: str = TEXT) -> Finished:
    """The same into a registry, where others may have recorded what is built."""
    it = Run(folder, PythonBackend({"test:base": behaviour}))
    for image in ("base", "app"):
        if not (folder / f"{image}.pushed").exists():
            (folder / f"{image}.pushed").write_text(push_image(registry, f"acme/{image}", image, folder).digest)
    return it.finish(keyed(it.plan(text, FILES, destination=Destination.PUSH, registry=registry.host)))


def test_tests_run_after_the_build_and_before_the_verification(tmp_path: Path) -> None:
    """One a platform."""
    finished = run(tmp_path)
    assert 0 == finished.exit_code
    assert ["done", "done"] == [finished.states()[name] for name in TESTS]
    order = [event.step for event in finished.events if isinstance(event, StepStarted | StepFinished)]
    for name in TESTS:
        assert order.index(f"record:{name.removeprefix('test:')}") < order.index(name) < order.index("verify:base")


def test_a_test_gets_the_record_of_its_platform(tmp_path: Path) -> None:
    """By its digest, which nobody knew before."""
    finished = run(tmp_path)
    (argv,) = finished.argv(TESTS[0])
    assert argv[-1].startswith("oci-layout://.orchestrate/state/base@sha256:")


def test_a_failed_test_keeps_its_image_from_being_verified(tmp_path: Path) -> None:
    """Exit 7, with the command, how it ended and its last lines; what was built on the image is built."""
    finished = run(tmp_path, "fail")
    assert BROKEN == finished.exit_code
    assert {"verify:base", "export:base"} == skipped(finished)
    assert "done" == finished.states()["verify:app"]
    expected = "`/app '--password=***'` failed in `base@linux/amd64`: exit code: 2"
    assert [expected, "plain line"] == finished.ended(TESTS[0]).message.splitlines()[:2]
    assert "hunter2" not in finished.ended(TESTS[0]).message
    assert 1 == len(finished.argv(TESTS[0]))


def test_a_failed_test_is_a_state_of_its_own(tmp_path: Path) -> None:
    """Of the platform build and of its image; what was built has its digest."""
    finished = run(tmp_path, "fail")
    result = summarise_run(finished.plan, finished.events, now="x")
    base, app = result.images
    assert ("test failed", ["test failed", "test failed"]) == (base.state, [build.state for build in base.platforms])
    assert all(build.digest for build in base.platforms)
    assert "verified" == app.state
    assert (BROKEN, list(TESTS)) == (result.exit_code, [failure.step for failure in result.failures])
    assert "plain line" in result.failures[0].lines


def test_no_tag_moves_where_a_test_fails(registry: FakeRegistry, tmp_path: Path) -> None:
    """Neither of its image nor of any other."""
    finished = publish(registry, tmp_path, "fail")
    assert (BROKEN, []) == (finished.exit_code, finished.put())
    assert {"promote:base", "promote:app", "gate:release"} <= skipped(finished)


def test_what_passed_is_noted_of_the_record(registry: FakeRegistry, tmp_path: Path) -> None:
    """And of nothing that did not."""
    publish(registry, tmp_path)
    noted = {tag: digest for tag, digest in registry.tags("acme/base").items() if tag.startswith("te-")}
    recorded = {digest for tag, digest in registry.tags("acme/base").items() if tag.startswith("in-")}
    assert {names.test_tag("main", Digest(digest), COMMAND): digest for digest in recorded} == noted
    assert not [tag for tag in registry.tags("acme/app") if tag.startswith("te-")]


def test_a_failed_test_is_noted_nowhere(registry: FakeRegistry, tmp_path: Path) -> None:
    """So the next run tests again."""
    publish(registry, tmp_path, "fail")
    assert not [tag for tag in registry.tags("acme/base") if tag.startswith("te-")]
    assert [1, 1] == [len(publish(registry, tmp_path).argv(name)) for name in TESTS]


def test_what_another_run_has_tested_is_not_tested_again(registry: FakeRegistry, tmp_path: Path) -> None:
    """Nor is what it has built; where it has not tested that, this one does."""
    text = HEAD + '[images.base]\n[images.app]\ntest = { run = ["/app"] }\n'
    tests = ("test:app@linux/amd64", "test:app@linux/arm64")
    publish(registry, tmp_path, text=text)
    again = publish(registry, tmp_path, text=text)
    assert ["found", "found", "found"] == [again.states()[name] for name in ("solve:app", *tests)]
    for tag in [tag for tag in registry.tags("acme/app") if tag.startswith("te-")]:
        registry.content.tags("acme/app").pop(tag)
    again = publish(registry, tmp_path, text=text)
    assert ["found", "done", "done"] == [again.states()[name] for name in ("solve:app", *tests)]


def test_a_test_that_hangs_ends_by_its_time_limit(tmp_path: Path) -> None:
    """And is not tried again."""
    finished = run(tmp_path, "hang", timeout=2.0)
    assert (BROKEN, 1) == (finished.exit_code, len(finished.argv(TESTS[0])))
    assert "longer than its `timeout`" in finished.ended(TESTS[0]).message


def test_a_transient_failure_is_tried_again(tmp_path: Path) -> None:
    """As with a build."""
    text = TEXT.replace('hunter2"]', 'hunter2"], platforms = ["linux/amd64"]')
    finished = run(tmp_path, "flaky", text=text)
    assert (0, 2) == (finished.exit_code, len(finished.argv(TESTS[0])))


def test_a_registry_that_fails_is_no_fault_of_the_image(tmp_path: Path) -> None:
    """Exit 4: it could not be tested, so it is not verified either."""
    text = TEXT.replace('hunter2"]', 'hunter2"], platforms = ["linux/amd64"]').replace("test =", "retries = 0\ntest =")
    finished = run(tmp_path, "always-flaky", text=text)
    assert 4 == finished.exit_code
    assert "503" in finished.ended(TESTS[0]).message
    assert "verify:base" in skipped(finished)


class Forgetful(PythonBackend):
    """Says of what it has built that it went well, and not what it is."""

    def results(self, request: LowerRequest, outcomes: tuple[Outcome, ...]) -> Mapping[str, SolveResult | SolveFailure]:
        """No digest."""
        del outcomes
        return {solve.id: SolveResult() for solve in request.steps}


def test_only_a_test_may_succeed_without_a_digest(tmp_path: Path) -> None:
    """A build of which nobody knows what it gave has failed."""
    it = Run(tmp_path, Forgetful({}))
    finished = it.finish(it.plan(TEXT, FILES))
    assert 4 == finished.exit_code
    assert "does not say what became of the solve" in finished.ended("solve:base").message
