from __future__ import annotations

import asyncio
import json
import os
import sys
import tarfile
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from orchestrator.api.events import (
    ChildStarted,
    Event,
    LogLine,
    Retried,
    RunFinished,
    RunStarted,
    StepFinished,
    StepStarted,
)
from orchestrator.api.invocation import Invocation
from orchestrator.cli.wiring import RealChildren
from orchestrator.engine.invoke import Invoker
from orchestrator.engine.load import Loader
from orchestrator.engine.results import Results, StepResult
from orchestrator.errors import BuildError, InterruptedRunError
from orchestrator.oci.digest import Digest
from orchestrator.plan.model import Destination, LayoutHome, LoadStep
from orchestrator.state.layout import OciLayout
from orchestrator.state.summary import summarise_run
from tests.contract.registry_sample import make_sample, put_sample
from tests.unit.engine.fakes import NODE, Finished, PythonBackend, Run, skipped, stores_of
from tests.unit.plan.samples import AMD64, HEAD

TWO = HEAD + "[images.base]\n[images.app]\n[images.other]\n"
FILES = {"app": "FROM base\n"}


def run(folder: Path, behaviours: dict[str, str] | None = None, text: str = TWO) -> Finished:
    """Build into layouts."""
    it = Run(folder, PythonBackend(behaviours or {}))
    return it.finish(it.plan(text, FILES))


def test_a_plan_is_built_into_layouts(tmp_path: Path) -> None:
    """Each image an index of exactly its platforms, under its first tag."""
    finished = run(tmp_path)
    assert (0, {"done"}) == (finished.exit_code, set(finished.states().values()))
    for name in ("base", "app", "other"):
        layout = OciLayout(tmp_path / ".orchestrate" / "oci" / name)
        (root,) = layout.roots()
        index = layout.fetch_manifest("1.0")
        assert index is not None
        assert index.digest == root.digest == finished.ended(f"verify:{name}").digest
        found = [entry["platform"]["architecture"] for entry in json.loads(index.content)["manifests"]]
        assert ["amd64", "arm64"] == found


def test_a_child_names_the_digest_of_its_parent(tmp_path: Path) -> None:
    """Which nobody knew when the plan was made: the late value is filled in, and nothing else."""
    finished = run(tmp_path)
    (argv,) = finished.argv("solve:app")
    digest = finished.ended("assemble:base").digest
    assert f"oci-layout://.orchestrate/state/base@{digest}" == argv[-1]
    assert (sys.executable, "-I") == argv[:2]


def test_a_run_is_told_from_its_start_to_its_end(tmp_path: Path) -> None:
    """Every step starts once and ends once, in the order of its needs."""
    finished = run(tmp_path)
    assert isinstance(finished.events[0], RunStarted)
    assert [step.id for step in finished.events[0].steps] == [step.id for step in finished.plan.steps]
    assert NODE.slots == finished.events[0].at_once
    started = [event.step for event in finished.events if isinstance(event, StepStarted)]
    assert sorted(started) == sorted(step.id for step in finished.plan.steps)
    over: set[str] = set()
    for event in finished.events:
        if isinstance(event, StepStarted):
            needs = next(step.needs for step in finished.plan.steps if step.id == event.step)
            assert set(needs) <= over
        if isinstance(event, StepFinished):
            assert event.step not in over
            over.add(event.step)


def test_what_was_verified_is_told_with_its_sizes(tmp_path: Path) -> None:
    """Of every platform; steps that verify nothing have none."""
    finished = run(tmp_path)
    sizes = {each.platform: each.size for each in finished.ended("verify:base").sizes}
    assert {"linux/amd64", "linux/arm64"} == set(sizes)
    assert all(size > 0 for size in sizes.values())
    assert () == finished.ended("assemble:base").sizes


def test_a_failure_takes_down_only_what_needs_it(tmp_path: Path) -> None:
    """The rest is built and verified; the exit code is that of the failure, its lines are kept."""
    finished = run(tmp_path, {"base": "fail"})
    assert 4 == finished.exit_code
    ended = finished.ended("solve:base")
    expected = 'process "/bin/sh -c make" did not complete successfully: exit code: 2'
    assert [expected, "plain line"] == ended.message.splitlines()[:2]
    assert {"solve:app", "verify:app", "record:base@linux/amd64"} <= skipped(finished)
    assert "done" == finished.states()["verify:other"]
    assert "needs assemble:base" == finished.ended("solve:app").message
    assert 1 == len(finished.argv("solve:base"))


def test_a_transient_failure_is_tried_again(tmp_path: Path) -> None:
    """And told."""
    finished = run(tmp_path, {"other": "flaky"}, HEAD + "[images.other]\n")
    assert (0, 2) == (finished.exit_code, len(finished.argv("solve:other")))
    (retried,) = [event for event in finished.events if isinstance(event, Retried)]
    assert ("solve:other", 1) == (retried.step, retried.attempt)
    assert "503" in retried.message


def test_patience_ends(tmp_path: Path) -> None:
    """After as many tries as `retries` says."""
    finished = run(tmp_path, {"other": "always-flaky"}, HEAD + "[images.other]\nretries = 1\n")
    assert (4, 2) == (finished.exit_code, len(finished.argv("solve:other")))


def test_an_image_that_lacks_a_platform_is_not_what_was_declared(tmp_path: Path) -> None:
    """It is found when it is cut, and never tagged."""
    finished = run(tmp_path, {"other": "half"}, HEAD + "[images.other]\n")
    assert (6, "failed") == (finished.exit_code, finished.states()["record:other@linux/arm64"])
    assert "no image for `linux/arm64`" in finished.ended("record:other@linux/arm64").message
    assert "verify:other" in skipped(finished)


def test_a_lone_manifest_is_wrapped(tmp_path: Path) -> None:
    """As some builders push it; its config says for which platform it is."""
    text = HEAD + '[images.other]\nplatforms = ["linux/amd64"]\n'
    finished = run(tmp_path, {"other": "lone"}, text)
    assert (0, "done") == (finished.exit_code, finished.states()["verify:other"])


@pytest.mark.parametrize(
    ("behaviour", "message"),
    [
        ("no-metadata", "wrote no metadata file"),
        ("too-much", "larger than 4096 bytes"),
        ("forget", "does not say what became of the solve"),
    ],
)
def test_a_build_without_a_result_has_failed(tmp_path: Path, behaviour: str, message: str) -> None:
    """Whatever the child's exit code was."""
    finished = run(tmp_path, {"other": behaviour}, HEAD + "[images.other]\nretries = 0\n")
    assert 4 == finished.exit_code
    assert message in finished.ended("solve:other").message


def test_a_time_limit_ends_a_build(tmp_path: Path) -> None:
    """And it is not tried again."""
    it = Run(tmp_path, PythonBackend({"other": "hang"}, timeout=0.5))
    finished = it.finish(it.plan(HEAD + "[images.other]\n"))
    assert (4, 1) == (finished.exit_code, len(finished.argv("solve:other")))
    assert "longer than its `timeout`" in finished.ended("solve:other").message


SECRET = HEAD + '[images.other]\nsecrets = [{ id = "t", env = "TOKEN" }]\n'


def test_a_secret_travels_in_the_environment(tmp_path: Path) -> None:
    """Its value is in no event."""
    it = Run(tmp_path, PythonBackend({"other": "secret"}))
    it.environment["TOKEN"] = "s3cr3t"  # noqa: S105 (it is what must not be seen)
    finished = it.finish(it.plan(SECRET))
    assert (0, "s3cr3t") == (finished.exit_code, (tmp_path / "other.secret").read_text())
    assert not any("s3cr3t" in repr(event) for event in finished.events)


def test_a_secret_that_is_not_there_is_named(tmp_path: Path) -> None:
    """No child is started without it."""
    it = Run(tmp_path)
    finished = it.finish(it.plan(SECRET))
    assert (2, []) == (finished.exit_code, finished.argv("solve:other"))
    assert "`TOKEN`" in finished.ended("solve:other").message


def test_what_an_earlier_run_gave_is_remembered(tmp_path: Path) -> None:
    """A plan of later steps alone goes on with it."""
    first = run(tmp_path, text=HEAD + "[images.other]\n")
    it = Run(tmp_path)
    it.remembered["assemble:other"] = StepResult(digest=Digest(first.ended("assemble:other").digest or ""))
    verify = tuple(step for step in first.plan.steps if step.id == "verify:other")
    finished = it.finish(msgspec.structs.replace(first.plan, steps=verify))
    assert (0, {"verify:other": "done"}) == (finished.exit_code, finished.states())


def test_a_backend_is_set_up_first(tmp_path: Path) -> None:
    """Before any step starts."""
    setup = Invocation(argv=(sys.executable, "-c", "open('ready', 'w')"))
    it = Run(tmp_path, PythonBackend({}, (setup,)))
    finished = it.finish(it.plan(HEAD + "[images.other]\n"))
    assert (0, True) == (finished.exit_code, (tmp_path / "ready").exists())
    kinds = [type(event).__name__ for event in finished.events]
    assert kinds.index("ChildStarted") < kinds.index("StepStarted")


@pytest.mark.parametrize(
    ("program", "said"), [("import sys; sys.exit('no room')", "no room"), ("exit(3)", "exit code 3")]
)
def test_a_backend_that_cannot_be_set_up_ends_the_run(tmp_path: Path, program: str, said: str) -> None:
    """Nothing is built, and its last line says why."""
    it = Run(tmp_path, PythonBackend({}, (Invocation(argv=(sys.executable, "-c", program)),)))
    with pytest.raises(BuildError, match=said):
        it.finish(it.plan(HEAD + "[images.other]\n"))
    assert not any(isinstance(event, StepStarted) for event in it.events)


@pytest.mark.parametrize("program", ["", "exit(3)"])
def test_what_was_set_up_is_taken_down(tmp_path: Path, program: str) -> None:
    """However the run ended; that it cannot be is no failure of the run."""
    setup = Invocation(argv=(sys.executable, "-c", program))
    teardown = (
        Invocation(argv=(sys.executable, "-c", "exit(3)")),
        Invocation(argv=(sys.executable, "-c", "open('gone', 'w')")),
    )
    it = Run(tmp_path, PythonBackend({"other": "fail"}, (setup,), teardown=teardown))
    with suppress(BuildError):
        it.finish(it.plan(HEAD + "[images.other]\n"))
    assert (tmp_path / "gone").exists()


@pytest.mark.parametrize(
    ("program", "code"), [("exit(3)", BuildError.exit_code), ("import time; time.sleep(600)", 130)]
)
def test_the_last_event_has_the_code_of_what_could_not_be_set_up(tmp_path: Path, program: str, code: int) -> None:
    """Or of the interruption, where it took too long."""
    it = Run(tmp_path, PythonBackend({}, (Invocation(argv=(sys.executable, "-c", program)),)))
    plan = it.plan(HEAD + "[images.other]\n")

    async def interrupt_at_130() -> None:
        with stores_of(tmp_path) as stores:
            begun = asyncio.Event()

            def emit(event: Event) -> None:
                it.events.append(event)
                if isinstance(event, ChildStarted):
                    begun.set()

            work = asyncio.ensure_future(it.engine(plan, stores, emit).run(it.workspace()))
            await begun.wait()
            if code == InterruptedRunError.exit_code:
                work.cancel()
            await work

    with pytest.raises((BuildError, asyncio.CancelledError)):
        asyncio.run(interrupt_at_130())
    last = it.events[-1]
    assert isinstance(last, RunFinished)
    assert code == last.exit_code


def test_what_cannot_be_taken_down_changes_no_result(tmp_path: Path) -> None:
    """It is told, and the rest is taken down."""
    setup = Invocation(argv=(sys.executable, "-c", ""))
    teardown = (
        Invocation(argv=(sys.executable, "-c", ""), inherits=("NOBODY_SETS_THIS",)),
        Invocation(argv=(sys.executable, "-c", ""), folders=("a/b",)),
        Invocation(argv=(sys.executable, "-c", "open('gone', 'w')")),
    )
    it = Run(tmp_path, PythonBackend({"other": "fail"}, (setup,), teardown=teardown))
    plan = it.plan(HEAD + "[images.other]\n")
    with stores_of(tmp_path) as stores:
        engine = it.engine(plan, stores)
        assert 4 == asyncio.run(engine.run(it.workspace()))
    last = it.events[-1]
    assert isinstance(last, RunFinished)
    assert (4, 2, True) == (last.exit_code, len(engine.left), (tmp_path / "gone").exists())
    assert all(line.startswith("backend `python` could not be taken down: ") for line in engine.left)


def test_what_was_not_set_up_is_not_taken_down(tmp_path: Path) -> None:
    """A backend that has nothing to do first has nothing to do last."""
    teardown = Invocation(argv=(sys.executable, "-c", "open('gone', 'w')"))
    it = Run(tmp_path, PythonBackend({}, teardown=(teardown,)))
    assert 0 == it.finish(it.plan(HEAD + "[images.other]\n")).exit_code
    assert not (tmp_path / "gone").exists()


def test_a_disk_that_is_full_is_told_in_words(tmp_path: Path) -> None:
    """A step that cannot write fails, and the run goes on."""
    it = Run(tmp_path)
    plan = it.plan(HEAD + "[images.a]\n[images.b]\n")
    (it.workspace() / "1-solve-a").write_text("a file where a folder should be")
    finished = it.finish(plan)
    assert ("failed", "done") == (finished.states()["solve:a"], finished.states()["verify:b"])
    assert finished.exit_code


def test_an_interrupted_run_stops_its_children(tmp_path: Path) -> None:
    """Every step that was under way is cancelled, no process is left, and the exit code says so."""
    it = Run(tmp_path, PythonBackend({"base": "hang", "other": "hang"}))
    plan = it.plan(TWO, FILES)

    async def interrupt() -> None:
        with stores_of(tmp_path) as stores:
            both = asyncio.Event()

            def emit(event: Event) -> None:
                it.events.append(event)
                if sum(isinstance(one, LogLine) for one in it.events) > 1:
                    both.set()

            work = asyncio.ensure_future(it.engine(plan, stores, emit).run(it.workspace()))
            await both.wait()
            work.cancel()
            with pytest.raises(asyncio.CancelledError):
                await work

    asyncio.run(interrupt())
    last = it.events[-1]
    assert isinstance(last, RunFinished)
    states = Finished(plan=plan, exit_code=last.exit_code, events=tuple(it.events)).states()
    assert (130, {"solve:base": "cancelled", "solve:other": "cancelled"}) == (last.exit_code, states)
    for name in ("base", "other"):
        with pytest.raises(ProcessLookupError):
            os.kill(int((tmp_path / f"{name}.pid").read_text()), 0)


def test_no_more_solves_than_slots_and_jobs(tmp_path: Path) -> None:
    """Two slots on the node: a third build waits."""
    text = HEAD + "".join(f"[images.i{number}]\n" for number in range(5))
    for jobs, most in ((8, 2), (1, 1)):
        it = Run(tmp_path / str(jobs), jobs=jobs)
        (tmp_path / str(jobs)).mkdir()
        finished = it.finish(it.plan(text))
        running = highest = 0
        for event in finished.events:
            if isinstance(event, StepStarted) and event.step.startswith("solve:"):
                running += 1
                highest = max(highest, running)
            if isinstance(event, StepFinished) and event.step.startswith("solve:"):
                running -= 1
        assert (0, most) == (finished.exit_code, highest)


def test_a_loaded_image_goes_through_docker(tmp_path: Path) -> None:
    """An archive with this machine's platform and its names; a program that stands for docker reads it."""
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    program = "import sys, shutil\nshutil.copy(sys.argv[3].partition('=')[2], 'loaded.tar')\n"
    docker.write_text(f"#!{sys.executable}\n{program}")
    docker.chmod(0o755)
    it = Run(tmp_path)
    it.environment["PATH"] = f"{docker.parent}:/usr/bin:/bin"
    finished = it.finish(it.plan(HEAD + "[images.a]\n", destination=Destination.LOAD))
    assert (0, [("docker", "image", "load")]) == (finished.exit_code, [argv[:3] for argv in finished.argv("load:a")])
    with tarfile.open(tmp_path / "loaded.tar") as archive:
        names = archive.getnames()
        index = archive.extractfile("index.json")
        assert index is not None
        entries = json.loads(index.read())["manifests"]
    assert {"oci-layout", "index.json"} <= set(names)
    assert ["r.example/acme/a:1.0", "r.example/acme/a:latest"] == [
        entry["annotations"]["io.containerd.image.name"] for entry in entries
    ]
    assert 5 == len(names)


def docker_that(folder: Path, program: str) -> str:
    """A program that stands for docker; the path on which it is found."""
    docker = folder / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text(f"#!/bin/sh\n{program}\n")
    docker.chmod(0o755)
    return f"{docker.parent}:/usr/bin:/bin"


def test_images_are_loaded_as_jobs_allow(tmp_path: Path) -> None:
    """One after the other here; no archive is left of any."""
    it = Run(tmp_path, jobs=1)
    it.environment["PATH"] = docker_that(tmp_path, "ls .orchestrate/*/*/image.tar >> archives; sleep 0.1")
    names = ("a", "b", "c")
    text = HEAD + "".join(f"[images.{name}]\n" for name in names)
    finished = it.finish(it.plan(text, destination=Destination.LOAD))
    assert (0, len(names)) == (finished.exit_code, len((tmp_path / "archives").read_text().splitlines()))
    assert [] == list(tmp_path.rglob("image.tar"))


def test_docker_may_come_to_no_end(tmp_path: Path) -> None:
    """It is stopped, and the archive goes."""
    store = OciLayout(tmp_path / "out")
    index = put_sample(store, make_sample("linux/amd64"))
    environment = {"PATH": docker_that(tmp_path, "exec sleep 600")}
    step = LoadStep(
        id="load:x", image="x", needs=(), index="assemble", platform=AMD64, home=LayoutHome(path="out"), names=("x:1",)
    )
    children = RealChildren(environment, root=tmp_path)
    invoker = Invoker(root=tmp_path, environment=environment, children=children, results=Results(), emit=print)
    loader = Loader(invoker, limit=1, timeout=0.5)
    with pytest.raises(BuildError, match=r"has not read `x` within 0.5 seconds"):
        asyncio.run(loader.load(step, store=store, digest=index.digest, folder=tmp_path / "run"))
    assert [] == list(tmp_path.rglob("image.tar"))


@pytest.mark.parametrize(("program", "said"), [("echo no space >&2; exit 1", "no space"), ("exit 7", "exit code 7")])
def test_docker_may_refuse_an_image(tmp_path: Path, program: str, said: str) -> None:
    """Its last line says why."""
    it = Run(tmp_path)
    it.environment["PATH"] = docker_that(tmp_path, program)
    finished = it.finish(it.plan(HEAD + "[images.a]\n", destination=Destination.LOAD))
    assert 4 == finished.exit_code
    assert said in finished.ended("load:a").message


def test_the_summary_of_a_run_is_a_fold_of_its_events(tmp_path: Path) -> None:
    """States, digests and failures; images in the order of the plan."""
    finished = run(tmp_path, {"base": "fail"})
    result = summarise_run(finished.plan, finished.events, now="2026-01-01T00:00:00+00:00")
    states = {image.name: (image.state, [build.state for build in image.platforms]) for image in result.images}
    assert {
        "base": ("failed", ["failed", "failed"]),
        "other": ("verified", ["built", "built"]),
        "app": ("skipped", ["skipped", "skipped"]),
    } == states
    assert (4, ["solve:base"]) == (result.exit_code, [failure.step for failure in result.failures])
    assert "plain line" in result.failures[0].lines


def test_a_blocked_image_is_told_as_such(tmp_path: Path) -> None:
    """Nothing of it ran."""
    it = Run(tmp_path)
    plan = it.plan(HEAD + '[images.far]\nplatforms = ["linux/s390x"]\n')
    (image,) = summarise_run(plan, (), now="x").images
    assert ("blocked", ["blocked"], "") == (image.state, [build.state for build in image.platforms], image.home)
