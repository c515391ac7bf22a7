"""What a run ends with: one exit code in result and process, and words that are true of the tags."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from orchestrator import errors
from orchestrator.api.events import RunFinished
from orchestrator.api.invocation import Invocation
from orchestrator.cli.ending import what_now, write_down
from orchestrator.cli.execute import execute
from orchestrator.cli.options import PlanOptions, ProjectOptions
from orchestrator.cli.prepare import Preparation, Prepared
from orchestrator.cli.run_options import RunOptions
from orchestrator.errors import (
    BuildError,
    InterruptedRunError,
    OrchestratorError,
    RegistryError,
    UsageError,
    VerificationError,
)
from orchestrator.plan.model import Destination
from orchestrator.plan.saved import parse_saved
from orchestrator.state.journal import open_journal
from orchestrator.state.result_file import ResultFile
from orchestrator.state.summary import RunResult, StepFailure, parse_result
from orchestrator.testing.registry import AnswerWith, FakeRegistry
from tests.cli.conftest import Program
from tests.cli.fake_buildx import install
from tests.unit.plan.samples import EMULATED, HEAD, write_project
from tests.unit.ui.test_result import DIGEST, image, result

BODY = EMULATED + "[images.base]\nretries = 0\n[images.app]\nretries = 0\n"
FILES = {"base": "FROM scratch\n", "app": "FROM base\n"}
FULL = "`/dev/full`: no space left on device"


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    """A registry of one's own."""
    with FakeRegistry() as running:
        yield running


@pytest.fixture
def project(
    program: Program, registry: FakeRegistry, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Program:
    """Two images, a registry, and a docker that builds them."""
    write_project(program.folder, (HEAD + BODY).replace("r.example", registry.host), FILES)
    folder = install(tmp_path_factory.mktemp("bin"))
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    monkeypatch.chdir(program.folder)
    return program


def stored(project: Program) -> RunResult:
    """The result of the last run."""
    return parse_result((project.folder / ".orchestrate/result.json").read_bytes())


def journalled(project: Program) -> int:
    """The exit code that the journal has of the last run."""
    with open_journal(project.folder) as events:
        return next(event.exit_code for event in events if isinstance(event, RunFinished))


def prepare(*, setup: str = "", teardown: str = "") -> Prepared:
    """The plan of a build into layouts, with a Python program as all that its backend runs first, and last."""
    preparation = Preparation(ProjectOptions(), os.environ)
    prepared = preparation.plan(preparation.load(), PlanOptions(), destination=Destination.LAYOUT)
    (backend,) = prepared.backends
    first, last = (
        {backend: (Invocation(argv=(sys.executable, "-c", text), steps=("first",)),)} for text in (setup, teardown)
    )
    return msgspec.structs.replace(
        prepared, lowered=msgspec.structs.replace(prepared.lowered, setup=first, teardown=last)
    )


def test_a_result_that_nobody_takes_does_not_hide_the_failure(project: Program) -> None:
    """The exit code and the hints are those of the build; that nothing was written is a line of its own."""
    (project.folder / "app/fails").touch()
    ran = project("build", "--result=/dev/full")
    assert (4, True) == (ran.code, f"done, but not written down: {FULL}" in ran.err)
    assert ["error: step `solve:app` failed", "hint: mend what failed and run it again"] == ran.err.splitlines()[-2:]


def test_a_run_that_ended_well_is_over_though_its_result_is_not_written(project: Program) -> None:
    """The command ends with 2, and there is nothing to resume."""
    ran = project("build", "--result=/dev/full")
    assert (2, f"error: {FULL}") == (ran.code, ran.err.splitlines()[-2])
    assert not (project.folder / ".orchestrate/begun.plan.json").exists()


def test_the_result_of_an_earlier_run_is_not_left_in_the_place_of_one_that_is_lost(tmp_path: Path) -> None:
    """CI would read it as that of this run."""
    path = tmp_path / "result.json"
    path.write_text("of an earlier run")

    def put(content: bytes) -> None:
        del content
        raise OSError(28, "No space left on device")

    unwritten: list[UsageError] = []
    assert not write_down(ResultFile(path, put, stays=True), result(), unwritten)
    assert (False, [f"`{path}`: no space left on device"]) == (path.exists(), [error.message for error in unwritten])


def test_a_journal_that_breaks_gives_the_result_the_code_of_the_command(project: Program) -> None:
    """Everything was built, and the command ends with 2: so says the result."""
    (project.folder / ".orchestrate/journal.jsonl").mkdir(parents=True)
    ran = project("build")
    assert (2, 2) == (ran.code, stored(project).exit_code)
    assert {"verified"} == {image.state for image in stored(project).images}
    assert "error: `.orchestrate/journal.jsonl`: not a regular file" in ran.err


def test_a_backend_that_cannot_be_made_ready_leaves_a_result(project: Program) -> None:
    """Not that of the run before; journal, result and command have one code."""
    assert 0 == project("build", "base").code
    prepared = prepare(setup="exit('no room')")
    with pytest.raises(BuildError, match="no room") as raised:
        execute(prepared, RunOptions())
    assert [4, 4, 4] == [raised.value.exit_code, stored(project).exit_code, journalled(project)]
    assert {"base": "reused", "app": "not built"} == {
        image.name: build.state for image in stored(project).images for build in image.platforms
    }


def test_a_disk_that_is_full_before_the_first_step_leaves_a_result(project: Program) -> None:
    """The operating system's refusal is told in words."""
    prepared = prepare(setup="pass")
    (invocation,) = next(iter(prepared.lowered.setup.values()))
    nowhere = msgspec.structs.replace(invocation, folders=("a/b",))
    lowered = msgspec.structs.replace(prepared.lowered, setup={next(iter(prepared.backends)): (nowhere,)})
    with pytest.raises(UsageError, match="no such file or directory"):
        execute(msgspec.structs.replace(prepared, lowered=lowered), RunOptions())
    assert [2, 2] == [stored(project).exit_code, journalled(project)]


def test_a_bug_leaves_a_result(project: Program) -> None:
    """It goes on as it is, once what was done is written down."""
    prepared = prepare(setup="pass")
    lowered = msgspec.structs.replace(prepared.lowered, setup={"nobody": next(iter(prepared.lowered.setup.values()))})
    with pytest.raises(KeyError):
        execute(msgspec.structs.replace(prepared, lowered=lowered), RunOptions())
    assert [1, 1] == [stored(project).exit_code, journalled(project)]


def test_ctrl_c_while_builders_are_put_away_does_not_undo_the_run(
    project: Program, capsys: pytest.CaptureFixture[str]
) -> None:
    """All was done by then: there is nothing to resume, and the codes agree."""
    stop = f"import os, time; os.kill({os.getpid()}, {int(signal.SIGINT)}); time.sleep(600)"
    execute(prepare(setup="pass", teardown=stop), RunOptions())
    assert [0, 0] == [stored(project).exit_code, journalled(project)]
    assert "interrupted before all that backends had set up was taken down" in capsys.readouterr().err


def test_tags_that_stood_are_not_said_to_be_put(project: Program) -> None:
    """Of what was released before, beside an image that fails: what stands is counted, and no tag was put."""
    assert 0 == project("build", "--push").code
    path = project.folder / "builds.toml"
    path.write_text(path.read_text() + "[images.new]\nretries = 0\n")
    write_project(project.folder, path.read_text(), {"new": "FROM scratch\n"})
    (project.folder / "new/fails").touch()
    ran = project("build", "--push")
    assert (4, True, True) == (ran.code, "; 4 of 6 tags stand in" in ran.out, "no tag was put" in ran.err)


@pytest.mark.parametrize("more", [(), ("--resume",)])
def test_a_release_that_fails_again_tells_all_that_it_has_put(
    project: Program, registry: FakeRegistry, more: tuple[str, ...]
) -> None:
    """By the first try too, and how to undo it."""
    registry.fail("PUT", r".*/app/manifests/latest", AnswerWith(status=403), times=0)
    assert 5 == project("build", "--push").code
    ran = project("build", "--push", *more)
    put = [f"  {registry.host}/acme/{name}" for name in ("base:1.0", "base:latest", "app:1.0")]
    assert 5 == ran.code
    assert "\n".join(["these tags were put:", *put]) in ran.err
    assert "hint: `orchestrate build --rollback` undoes those that were put" in ran.err
    assert 0 == project("build", "--rollback").code


def test_a_release_of_which_no_tag_was_put_has_nothing_to_undo(project: Program, registry: FakeRegistry) -> None:
    """Though it was about to put some."""
    registry.fail("PUT", r".*/manifests/1\.0", AnswerWith(status=403), times=0)
    ran = project("build", "--push")
    assert (5, True, False) == (ran.code, "no tag was put" in ran.err, "--rollback" in ran.err)


def test_what_was_put_beside_a_failure_can_be_undone(project: Program) -> None:
    """With `--publish=finished`, where not all images are whole."""
    (project.folder / "app/fails").touch()
    ran = project("build", "--push", "--publish=finished")
    assert (4, True, False) == (ran.code, "these tags were put:" in ran.err, "no tag was put" in ran.err)
    assert "hint: `orchestrate build --rollback` undoes those that were put" in ran.err


def test_the_last_error_is_the_first_failure(project: Program) -> None:
    """In time, not in the order of the plan: its code and its hint are told with it."""
    text = (
        (project.folder / "builds.toml")
        .read_text()
        .replace("[images.base]", "[images.last]\nretries = 0\n[images.base]")
    )
    write_project(project.folder, text, {"last": "FROM scratch\n"})
    for name in ("base", "last"):
        (project.folder / name / "fails").touch()
    ran = project("build", "--jobs=1")
    assert ["solve:last", "solve:base"] == [failure["step"] for failure in json.loads(
        (project.folder / ".orchestrate/result.json").read_text())["failures"]]  # fmt: skip
    assert "error: step `solve:base` failed, and 1 more" in ran.err


def test_a_part_of_an_applied_plan_is_run_alone_with_what_the_plan_was_made_with(project: Program) -> None:
    """`--expect` vouches for the plan, and nothing of it was said here."""
    path = project.folder / "builds.toml"
    path.write_text(path.read_text() + 'args = { GO = "{{ vars.go }}" }\n[vars]\ngo = "1"\n')
    (project.folder / "app/fails").touch()
    made = project("plan", "--stage", "--state-scope=pr-7", "--var=go=2", "--set=app.args.A=b", "--out=plan.json")
    digest, _ = parse_saved((project.folder / "plan.json").read_bytes())
    ran = project("apply", "plan.json", "--expect", digest)
    assert (0, 4) == (made.code, ran.code), ran.err
    command = "orchestrate build app --stage --state-scope=pr-7 --var=go=2 --set=app.args.A=b -v"
    assert f"alone: {command}" in ran.err.splitlines()


FAILURE = StepFailure(step="solve:x", image="x", message="m", lines=(), hints=())
LOST = msgspec.structs.replace(FAILURE, hints=("look at the node",))
UNKNOWN = msgspec.structs.replace(
    image("x", "verified", put=(False,)),
    tags=(msgspec.structs.replace(image("x", "verified", put=(False,)).tags[0], unsure=True),),
)
PUT = image("x", "released", put=(True,), digest=DIGEST)
UNDONE = image("y", "failed")


@pytest.mark.parametrize(
    ("kind", "ran", "publish", "hint"),
    [
        (errors.TestFailedError, result(UNDONE), "all",
         "no tag was put; mend the image or its test and run it again: what was built is not built again"),
        (errors.TestFailedError, result(PUT, UNDONE), "finished",
         "mend the image or its test and run it again: what was built is not built again"),
        (VerificationError, result(UNDONE), "all", "no tag was put; look at the image with `orchestrate verify`"),
        (VerificationError, result(UNKNOWN), "all", "look at the image with `orchestrate verify`"),
        (InterruptedRunError, result(UNDONE), "all",
         "the same command with `--resume` goes on; no tag moves before everything is verified"),
        (InterruptedRunError, result(UNDONE), "finished", "the same command with `--resume` goes on"),
        (BuildError, result(UNDONE, failures=(LOST, FAILURE)), "all", "mend what failed and run it again"),
        (BuildError, result(UNDONE, failures=(LOST,)), "all", None),
        (RegistryError, result(UNDONE), "all", "check the registry with `orchestrate doctor`, then run it again"),
    ],
)  # fmt: skip
def test_what_to_do_is_true_of_the_run(kind: type[OrchestratorError], ran: RunResult, publish: str, hint: str) -> None:
    """What is said of tags is said where it is so."""
    expected = (hint,) if hint else ()
    assert expected == what_now(kind, ran, publish, promote="orchestrate promote", undoes=False)
