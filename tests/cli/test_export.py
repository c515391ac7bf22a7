from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Program
from tests.unit.plan.samples import HEAD, write_project

TEXT = HEAD + '[images.base]\n[images.app]\n[images.other]\n[groups]\ndefault = ["app"]\nall = ["*"]\n'
FILES = {"base": "FROM scratch\n", "app": "FROM base\n", "other": "FROM scratch\n"}
FILE = "docker-bake.json"


@pytest.fixture
def project(program: Program) -> Program:
    """The program in a project of three images."""
    write_project(program.folder, TEXT, FILES)
    return program


def written(project: Program, name: str = FILE) -> list[str]:
    """The names of the targets of a file."""
    return [*json.loads((project.folder / name).read_text(encoding="utf-8"))["target"]]


def test_a_bare_command_writes_what_a_bare_build_builds(project: Program) -> None:
    """With what it needs, beside `builds.toml`, and says what to do with it."""
    ran = project("export", "bake")
    assert (0, "") == (ran.code, ran.out)
    assert ran.err.endswith(f"{FILE}: 2 targets\nbuild it with `docker buildx bake --file {FILE}`\n")
    assert ["base", "app"] == written(project)


@pytest.mark.parametrize(
    ("names", "targets"), [(("other",), ["other"]), (("all",), ["base", "other", "app"]), (("b*",), ["base"])]
)
def test_a_selection(project: Program, names: tuple[str, ...], targets: list[str]) -> None:
    """Images, globs and groups."""
    assert 0 == project("export", "bake", *names).code
    assert targets == written(project)


def test_to_stdout(project: Program) -> None:
    """And no file."""
    ran = project("export", "bake", "--out", "-")
    assert (0, ["base", "app"]) == (ran.code, [*json.loads(ran.out)["target"]])
    assert not (project.folder / FILE).exists()


def test_the_same_input_gives_the_same_bytes(project: Program) -> None:
    """In any file, again and again."""
    texts = []
    for name in ("one.json", "other.json", "one.json"):
        assert 0 == project("export", "bake", "--out", name).code
        texts.append((project.folder / name).read_bytes())
    assert [texts[0]] * 3 == texts


def test_without_a_registry_tags_are_those_that_docker_would_have(program: Program) -> None:
    """As `--load` gives them."""
    text = TEXT.replace('registry = "r.example/acme"', 'name = "x"')
    write_project(program.folder, text, FILES)
    ran = program("export", "bake", "--out", "-", "base")
    assert ["base:1.0", "base:latest"] == json.loads(ran.out)["target"]["base"]["tags"]


def test_from_another_folder(project: Program, tmp_path: Path) -> None:
    """The file stands at the root; paths in it start there, and the command says so."""
    project.folder = tmp_path / "app"
    ran = project("export", "bake")
    assert (0, True) == (ran.code, (tmp_path / FILE).exists())
    assert f"`cd {tmp_path} && docker buildx bake --file {FILE}`" in ran.err


def test_the_file_of_somebody_else_is_left_alone(project: Program) -> None:
    """Whether it was named or not."""
    path = project.folder / FILE
    path.write_text("{}")
    for options in ((), ("--out", FILE)):
        ran = project("export", "bake", *options)
        assert 2 == ran.code
        assert "was not written by `orchestrate export bake`" in ran.err
        assert "--out FILE" in ran.err
    assert "{}" == path.read_text()


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("aap",), "did you mean `app`?"),
        (("--out", "nowhere/x.json"), "`nowhere/x.json`: no such file or directory"),
        (("--out", "app"), "`app`: not a regular file"),
        (("--out=",), "`.`: not a regular file"),
    ],
)
def test_what_cannot_be_done_is_told(project: Program, arguments: tuple[str, ...], part: str) -> None:
    """With exit code 2."""
    ran = project("export", "bake", *arguments)
    assert (2, "") == (ran.code, ran.out)
    assert part in ran.err


def test_what_bake_cannot_do_stops_it(program: Program) -> None:
    """No file is written that would build something else."""
    write_project(program.folder, TEXT, {**FILES, "app": "FROM base AS base\nRUN true\n"})
    ran = program("export", "bake")
    assert 2 == ran.code
    assert "error[stage-name]" in ran.err
    assert "app/Dockerfile:1:" in ran.err
    assert not (program.folder / FILE).exists()


def test_what_is_left_out_is_told(program: Program) -> None:
    """And the file is written."""
    write_project(program.folder, HEAD + '[images.app]\ntest = { run = ["/x"] }\n', {"app": "FROM scratch\n"})
    ran = program("export", "bake")
    assert (0, ["app"]) == (ran.code, written(program))
    assert "warning[bake-lacks]: bake runs no `test`: `app`" in ran.err


def test_a_credential_is_not_written(program: Program) -> None:
    """Nor shown."""
    text = HEAD + '[images.app]\ncache-to = [{ type = "s3", secret_access_key = "hunter2" }]\n'
    write_project(program.folder, text, {"app": "FROM scratch\n"})
    ran = program("export", "bake")
    assert (2, False) == (ran.code, (program.folder / FILE).exists())
    assert "bake-credential" in ran.err
    assert "hunter2" not in ran.err
