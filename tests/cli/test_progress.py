"""`--progress`: what is chosen, and what stderr holds then."""

from __future__ import annotations

import threading
from pathlib import Path

import msgspec
import pytest

from orchestrator.api.events import LogLine, RunFinished, RunStarted, StepFinished
from orchestrator.cli.again import alone_commands, as_planned
from orchestrator.cli.options import ProjectOptions
from orchestrator.cli.progress import choose_mode, folder_in, follow_run
from orchestrator.plan.frozen import Overrides
from orchestrator.plan.model import Destination
from orchestrator.ui.jsonl import Head, Note, Problem, StreamLine
from tests.cli.conftest import Program
from tests.cli.fake_docker import FakeDocker
from tests.unit.plan.samples import EMULATED, HEAD, Asked, compile_text, write_project

LINE = msgspec.json.Decoder(StreamLine)
TEXT = HEAD + EMULATED + "[images.base]\nretries = 0\n[images.app]\n"
FILES = {"base": "FROM scratch\n", "app": "FROM base\n"}
MANY = "'--file=a b.toml' --var=go=1.24 '--set=api.args.A=b c' --registry=r/x --backend=qemu --allow=read=.. --offline"
SURROUNDINGS = ("CI", "GITHUB_ACTIONS", "GITHUB_WORKSPACE", "GITHUB_STEP_SUMMARY", "ORCHESTRATE_PROGRESS")


@pytest.fixture
def project(program: Program, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Program:
    """A project of two images, with a docker that builds nothing."""
    write_project(program.folder, TEXT, FILES)
    monkeypatch.setenv("PATH", FakeDocker(tmp_path_factory.mktemp("docker")).path)
    for name in SURROUNDINGS:
        monkeypatch.delenv(name, raising=False)
    return program


@pytest.mark.parametrize(
    ("asked", "environment", "is_terminal", "mode"),
    [
        ("auto", {"TERM": "xterm"}, True, "tty"),
        ("auto", {"TERM": "xterm"}, False, "plain"),
        ("auto", {"TERM": "dumb"}, True, "plain"),
        ("auto", {}, True, "plain"),
        ("auto", {"TERM": "xterm", "CI": "1"}, True, "plain"),
        ("auto", {"GITHUB_ACTIONS": "true", "CI": "true"}, False, "github"),
        ("auto", {"GITHUB_ACTIONS": "false"}, False, "plain"),
        ("plain", {"GITHUB_ACTIONS": "true", "TERM": "xterm"}, True, "plain"),
        ("json", {}, False, "json"),
        ("github", {}, False, "github"),
        ("tty", {"TERM": "dumb", "CI": "1"}, True, "tty"),
    ],
)
def test_auto_takes_what_fits(asked: str, environment: dict[str, str], is_terminal: bool, mode: str) -> None:  # noqa: FBT001 (a column of a table)
    """What is asked for is taken."""
    assert mode == choose_mode(asked, environment, is_terminal=is_terminal)


def test_every_line_is_json(project: Program) -> None:
    """Of a run that fails: the events, the notes, and the error at its end; the table goes to stdout as ever."""
    ran = project("build", "--progress=json")
    lines = [LINE.decode(line) for line in ran.err.splitlines()]
    assert 4 == ran.code
    assert "base   index        failed" in ran.out
    kinds = [type(line) for line in lines]
    assert kinds.index(Head) + 1 == kinds.index(RunStarted)
    assert {StepFinished, RunFinished, Note} < set(kinds)
    last = lines[-1]
    assert isinstance(last, Problem)
    assert (4, "step `solve:base` failed") == (last.exit_code, last.message)


@pytest.mark.parametrize(("arguments", "code"), [(("nobody",), 2), (("--push", "--load"), 2), (("--pusch",), 2)])
def test_an_error_before_the_run_is_json_too(
    project: Program, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], code: int
) -> None:
    """As soon as `--progress` was read, from wherever; the next command in this process is not concerned."""
    monkeypatch.setenv("ORCHESTRATE_PROGRESS", "json")
    ran = project("build", *arguments)
    if "--pusch" not in arguments:
        (line,) = map(LINE.decode, ran.err.splitlines())
        assert isinstance(line, Problem)
        assert code == line.exit_code
    monkeypatch.delenv("ORCHESTRATE_PROGRESS")
    assert project("build", *arguments).err.startswith("error: ")


def test_lines_cannot_change_in_a_file(project: Program) -> None:
    """That is told before anything is planned."""
    ran = project("build", "--progress=tty")
    assert (2, True) == (ran.code, "`--progress=tty`: stderr is no terminal" in ran.err)
    assert not (project.folder / ".orchestrate").exists()


def test_in_github_actions_failures_are_annotations(
    project: Program, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """And the summary of the job has the table."""
    summary = tmp_path_factory.mktemp("job") / "summary.md"
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    ran = project("build")
    assert "\n::error title=base@linux/amd64%2Clinux/arm64 failed::" in ran.err
    assert "| base | failed |" in summary.read_text()


def test_a_summary_that_cannot_be_written_is_a_note(
    project: Program, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The run is what it was."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path))
    ran = project("build")
    assert (4, True) == (ran.code, "the summary of the job was not written: is a directory" in ran.err)


@pytest.mark.parametrize(
    ("destination", "project", "step", "command"),
    [
        (Destination.LAYOUT, ProjectOptions(), "solve:api", "orchestrate build api -v"),
        (Destination.PUSH, ProjectOptions(), "solve:api", "orchestrate build api --stage -v"),
        (Destination.LAYOUT, ProjectOptions(), "test:api@linux/arm64",
         "orchestrate build api --platform=linux/arm64 -v"),
        (Destination.LAYOUT, ProjectOptions(
            file=Path("a b.toml"), variables={"go": "1.24"}, assignments=("api.args.A=b c",), registry="r/x",
            backend="qemu", allow=("read=..",), offline=True), "solve:api",
         f"orchestrate build api {MANY} -v"),
        (Destination.LAYOUT, ProjectOptions(variables={"token": "hush"}), "solve:api",
         "orchestrate build api '--var=token=***' -v"),
    ],
)  # fmt: skip
def test_a_build_can_be_run_alone(destination: Destination, project: ProjectOptions, step: str, command: str) -> None:
    """By a command that can be pasted, with what the user gave, but for what looks like a credential."""
    plan = compile_text(
        HEAD + EMULATED + '[images.api]\ntest = { run = ["true"] }\n', asked=Asked(destination=destination)
    )
    assert {step: command} == alone_commands(plan, project, [step, "assemble:api"])


def test_a_build_of_one_platform_is_run_for_it() -> None:
    """Where the others are a solve of their own."""
    text = HEAD + EMULATED + '[images.api]\non."linux/arm64".args = { A = "1" }\n'
    plan = compile_text(text)
    step = next(step.id for step in plan.steps if step.id.startswith("solve:") and step.id.endswith("arm64"))
    assert {step: "orchestrate build api --platform=linux/arm64 --stage -v"} == alone_commands(
        plan, ProjectOptions(), [step]
    )


def test_a_build_alone_is_of_the_same_state_scope() -> None:
    """Elsewhere it would find nothing of what its image stands on."""
    plan = compile_text(HEAD + EMULATED + "[images.api]\n")
    assert {"solve:api": "orchestrate build api --stage --state-scope=pr-7 -v"} == alone_commands(
        plan, ProjectOptions(), ["solve:api"], scope="pr-7"
    )


def test_a_build_alone_has_what_its_plan_was_made_with() -> None:
    """What was said then need not be said to `apply --expect`; files and grants are those of here."""
    overrides = Overrides(variables={"GO_VERSION": "1.24", "GONE": "x"}, assignments=("api.args.A=b",), registry="r/y")
    here = ProjectOptions(file=Path("b.toml"), allow=("network.host",))
    assert ProjectOptions(
        file=Path("b.toml"), allow=("network.host",), variables={"go-version": "1.24"},
        assignments=("api.args.A=b",), registry="r/y",
    ) == as_planned(here, overrides, ("go-version", "other"))  # fmt: skip


def test_logs_that_cannot_be_kept_are_told_at_the_end(project: Program) -> None:
    """The run goes on without them."""
    (project.folder / ".orchestrate").mkdir()
    (project.folder / ".orchestrate/logs").write_text("a file")
    ran = project("build")
    assert (4, True) == (ran.code, "what steps print is not kept: not a directory" in ran.err)


def test_a_run_that_raises_leaves_nothing_open(tmp_path: Path) -> None:
    """Neither a thread nor a file."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    begin = RunStarted(run="r", time=0.0, project="p", destination="oci", steps=(), images=())

    def interrupted() -> None:
        with follow_run(tmp_path, "plain", {}, verbose=False) as following:
            following(begin)
            following(LogLine(step="solve:a", vertex="v", stream="stdout", text="x"))
            assert {"solve:a": ".orchestrate/logs/solve-a.log"} == following.logs
            raise KeyError

    with pytest.raises(KeyError):
        interrupted()
    assert before == len(list(Path("/proc/self/fd").iterdir()))
    assert "progress" not in [thread.name for thread in threading.enumerate()]


@pytest.mark.parametrize(
    ("workspace", "file"),
    [
        ("", "base/Dockerfile"),
        (".", "base/Dockerfile"),
        ("..", "project/base/Dockerfile"),
        ("elsewhere", "base/Dockerfile"),
    ],
)
def test_annotations_name_files_from_the_checkout(tmp_path: Path, workspace: str, file: str) -> None:
    """A project may be in a folder of it."""
    root = tmp_path / "project"
    root.mkdir()
    assert file.removesuffix("base/Dockerfile") == folder_in(str(root / workspace) if workspace else "", root)
