"""Where a build writes: never through what a repository brought, and wherever the user says."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.cli.ending import shown_path
from tests.cli.conftest import Program, Ran
from tests.cli.fake_buildx import install
from tests.unit.plan.samples import EMULATED, HEAD, write_project

TEXT = HEAD + EMULATED + "[images.base]\nretries = 0\n[images.app]\nretries = 0\n"
FILES = {"base": "FROM scratch\n", "app": "FROM base\n"}
BUILD = (sys.executable, "-m", "orchestrator", "build", "base")


@pytest.fixture
def project(program: Program, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Program:
    """Two images, and a docker that builds them."""
    write_project(program.folder, TEXT, FILES)
    folder = install(tmp_path_factory.mktemp("bin"))
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    return program


@pytest.fixture
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that is none of the project's business."""
    return tmp_path_factory.mktemp("elsewhere")


def refused(ran: Ran, code: int, *parts: str) -> None:
    """It ended so before anything was built, and said so."""
    assert (code, "") == (ran.code, ran.out), ran.err
    assert "solve:" not in ran.err
    for part in parts:
        assert part in ran.err, ran.err


def in_shell(project: Program, redirection: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A build of one image, as a shell starts it."""
    command = ("sh", "-c", f'"$0" "$@" {redirection}', *BUILD, *arguments)
    return subprocess.run(command, cwd=project.folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("arguments", [("build",), ("build", "--load"), ("promote",)])
def test_a_link_called_orchestrate_is_refused(project: Program, elsewhere: Path, arguments: tuple[str, ...]) -> None:
    """Nothing is written where it leads."""
    (project.folder / ".orchestrate").symlink_to(elsewhere)
    refused(project(*arguments), 2, ".orchestrate` is a symbolic link", "hint: remove it")
    assert [] == list(elsewhere.iterdir())


@pytest.mark.parametrize("arguments", [(), ("--result", "mine.json"), ("--oci", "out")])
def test_a_file_called_orchestrate_is_refused(project: Program, arguments: tuple[str, ...]) -> None:
    """It is somebody's; a project that cannot have its folder is told how it could."""
    (project.folder / ".orchestrate").write_text("mine")
    refused(project("build", *arguments), 2, ".orchestrate` is a file", "hint: move it away")


@pytest.mark.parametrize("name", ["oci", "oci/app", "lock"])
def test_a_link_in_the_folder_is_refused(project: Program, elsewhere: Path, name: str) -> None:
    """Whether what it leads to exists or not."""
    link = project.folder / ".orchestrate" / name
    link.parent.mkdir(parents=True)
    for target in (elsewhere, elsewhere / "new"):
        link.symlink_to(target)
        refused(project("build"), 2, f"{name}` is a symbolic link", "hint: remove it")
        link.unlink()
    assert [] == list(elsewhere.iterdir())


@pytest.mark.parametrize("name", ["result.json", ".gitignore"])
def test_a_link_in_the_place_of_a_file_is_replaced(project: Program, elsewhere: Path, name: str) -> None:
    """What it leads to stays as it is."""
    link = project.folder / ".orchestrate" / name
    link.parent.mkdir()
    (elsewhere / "file").write_text("precious")
    link.symlink_to(elsewhere / "file")
    assert 0 == project("build").code
    assert (False, "precious") == (link.is_symlink(), (elsewhere / "file").read_text())


def test_a_link_among_the_layouts_of_the_user_is_refused(project: Program, elsewhere: Path) -> None:
    """The folder is theirs, be it a link; what is in it came with the repository."""
    (project.folder / "out").symlink_to(elsewhere)
    assert 0 == project("build", "--oci", "out", "base").code
    (elsewhere / "app").symlink_to(project.folder / "base")
    refused(project("build", "--oci", "out"), 2, "app` is a symbolic link")


def test_a_file_on_the_way_to_layouts_is_refused(project: Program) -> None:
    """Before anything is built for them."""
    (project.folder / "out").touch()
    refused(project("build", "--oci", "out"), 3, "`out` holds something else", "--oci DIR")


@pytest.mark.parametrize("option", ["--result", "--oci"])
def test_an_empty_name_is_no_name(project: Program, option: str) -> None:
    """It is what is left of a variable that was never set."""
    refused(project("build", f"{option}="), 2, f"`{option}=`: expected")


def test_a_file_that_is_no_result_is_not_replaced(project: Program) -> None:
    """It is found out before anything is built."""
    refused(project("build", "--result", "builds.toml"), 2, "`builds.toml` exists, and is no result of a run")
    assert TEXT == (project.folder / "builds.toml").read_text()


def test_a_result_is_replaced_by_the_next(project: Program) -> None:
    """Any earlier one, and an empty file."""
    path = project.folder / "mine.json"
    path.touch()
    assert 0 == project("build", "--result", "mine.json", "base").code
    assert 0 == project("build", "--result", "mine.json").code
    assert ["base", "app"] == [image["name"] for image in json.loads(path.read_text())["images"]]


def test_a_pipe_that_nobody_reads_is_refused(project: Program) -> None:
    """Instead of a wait without end."""
    os.mkfifo(project.folder / "pipe")
    refused(project("build", "--result", "pipe"), 2, "`pipe` is a pipe that nobody reads")


@pytest.mark.parametrize("redirection", ["", "> out.txt", "| cat"])
def test_a_result_may_go_to_stdout(project: Program, redirection: str) -> None:
    """After the table, whatever stdout is: a pipe, or a file that the shell opened."""
    ran = in_shell(project, redirection, "--result=/dev/stdout")
    out = (project.folder / "out.txt").read_text() if ">" in redirection else ran.stdout
    table, brace, result = out.partition("{")
    assert "1 of 1 image verified" in table, ran.stderr
    assert "1.0" == json.loads(brace + result)["format_version"]


@pytest.mark.parametrize("redirection", ["2>&-", ">&-", "<&-", "<&- >&- 2>&-"])
def test_a_build_needs_no_streams(project: Program, redirection: str) -> None:
    """Nobody has to listen, and no file takes the place of what is closed."""
    ran = in_shell(project, redirection, "--result=mine.json")
    assert 0 == ran.returncode, ran.stderr
    result = json.loads((project.folder / "mine.json").read_text())
    assert (0, "verified") == (result["exit_code"], result["images"][0]["state"])


def test_a_closed_stdout_is_nowhere(project: Program) -> None:
    """The result is lost, as the user wanted; no file of ours has its number."""
    ran = in_shell(project, ">&-", "--result=/dev/stdout")
    assert (0, "") == (ran.returncode, ran.stdout), ran.stderr
    layout = project.folder / ".orchestrate/oci/base/index.json"
    assert 1 == len(json.loads(layout.read_text())["manifests"])


def test_it_is_said_where_layouts_are(project: Program) -> None:
    """A line for each, on stderr, with the result's."""
    ran = project("build")
    folder = project.folder / ".orchestrate"
    expected = [f"layout: {folder}/oci/base", f"layout: {folder}/oci/app", f"result: {folder}/result.json"]
    assert expected == ran.err.splitlines()[-3:]


def test_it_is_said_what_was_loaded(project: Program) -> None:
    """By the names that Docker knows it by."""
    lines = project("build", "--load", "app").err.splitlines()
    assert "loaded: r.example/acme/app:1.0, r.example/acme/app:latest" == lines[-2]


class _Terminal(io.StringIO):
    """A stderr that somebody looks at."""

    def isatty(self) -> bool:
        """It is one."""
        return True


def test_paths_are_short_on_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From where one stands, unless that is longer; whole where nobody stands anywhere."""
    monkeypatch.chdir(tmp_path)
    assert str(tmp_path / "a/b") == shown_path(Path("a/b"))
    monkeypatch.setattr(sys, "stderr", _Terminal())
    assert ["a/b", "/dev/stdout"] == [shown_path(tmp_path / "a/b"), shown_path(Path("/dev/stdout"))]
