"""Finding and reading the files of a project."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator.diagnostics import KeyPlace
from orchestrator.errors import UsageError
from orchestrator.probe.include import expand
from orchestrator.probe.project import find_build_file, read_project

IMAGE = "format = 1\n[images.{name}]\ncontext = '.'\n"


def write(folder: Path, **files: str) -> Path:
    """Write files, `__` for `/` and the ending `.toml` in their names; the root file is `builds`."""
    for name, text in files.items():
        path = folder / (name.replace("__", "/") + ".toml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder / "builds.toml"


def include(*globs: str) -> str:
    """A root file with an image and these globs."""
    return f"format = 1\ninclude = [{', '.join(f'{glob!r}' for glob in globs)}]\n[images.root]\n"


def codes(path: Path) -> list[str]:
    """The codes of what is wrong with a project."""
    return [finding.code for finding in read_project(path)[1]]


def test_a_project_is_the_root_file_and_what_it_includes(tmp_path: Path) -> None:
    """Paths are shown relative to the root file; the project is called like its folder."""
    path = write(
        tmp_path / "acme",
        builds=include("teams/*/builds.toml", "teams/**/builds.toml", "*.toml"),
        teams__b__builds=IMAGE.format(name="b"),
        teams__a__builds=IMAGE.format(name="a"),
        teams__a__deep__builds=IMAGE.format(name="deep"),
    )
    project, findings, texts = read_project(path)
    assert project is not None
    assert findings == ()
    assert project.name == "acme"
    assert [(image.name, image.file, image.folder) for image in project.images] == [
        ("root", "builds.toml", ""),
        ("a", "teams/a/builds.toml", "teams/a"),
        ("deep", "teams/a/deep/builds.toml", "teams/a/deep"),
        ("b", "teams/b/builds.toml", "teams/b"),
    ]
    assert texts == {file.path: file.text for file in project.files}


def test_findings_of_all_parts_are_collected(tmp_path: Path) -> None:
    """What is wrong in single files and what is wrong between them is reported at once."""
    path = write(
        tmp_path,
        builds=include("a.toml", "b.toml"),
        a=IMAGE.format(name="root"),
        b="format = 1\n[images.b]\ncontxt = 'x'\n[images.c]\ntagz = []",
    )
    assert codes(path) == ["unknown-key", "unknown-key", "duplicate-name"]
    assert read_project(path)[0] is not None
    write(tmp_path, b="format = 1\n")
    assert codes(path) == ["duplicate-name"]


def test_credentials_in_included_files_are_treated_as_the_root_file_says(tmp_path: Path) -> None:
    """It speaks for the whole project."""
    team = "format = 1\n[images.a.args]\nPASSWORD = 'hunter2'\n"
    assert codes(write(tmp_path, builds=include("a.toml"), a=team)) != []
    write(tmp_path, builds=include("a.toml") + "[project]\nsecrets-in-args = 'allow'\n")
    assert codes(tmp_path / "builds.toml") == []


@pytest.mark.parametrize(
    ("glob", "code"),
    [
        ("teams/*/builds.toml", "include-nothing"),
        ("team", "include-nothing"),
        ("../x.toml", "include-pattern"),
        ("team/../../x.toml", "include-pattern"),
        ("/etc/*.toml", "include-pattern"),
        ("team\\\\x.toml", "include-pattern"),
        ("team/pipe", "unreadable-file"),
        ("team/broken.toml", "unreadable-file"),
        ("team/outside.toml", "include-outside"),
        ("team/latin.toml", "not-utf8"),
    ],
)
def test_what_cannot_be_included_is_an_error_at_its_glob(tmp_path: Path, glob: str, code: str) -> None:
    """Nothing outside of the repository is read, and nothing is waited for."""
    path = write(tmp_path / "root", builds=include(glob))
    team = tmp_path / "root/team"
    team.mkdir()
    os.mkfifo(team / "pipe")
    (team / "broken.toml").symlink_to("nowhere")
    (tmp_path / "x.toml").write_text(IMAGE.format(name="x"), encoding="utf-8")
    (team / "outside.toml").symlink_to(tmp_path / "x.toml")
    (team / "latin.toml").write_bytes("format = 1 # ä".encode("latin-1"))
    _, (finding,), texts = read_project(path)
    assert code == finding.code
    assert finding.hints
    assert list(texts) == ["builds.toml"]
    if code != "not-utf8":
        assert KeyPlace(file="builds.toml", keys=("include", 0)) == finding.place


def test_a_link_to_elsewhere_in_the_repository_may_be_included_once(tmp_path: Path) -> None:
    """The repository is the nearest folder above with `.git`, and one file is one file under all its names."""
    (tmp_path / ".git").mkdir()
    path = write(tmp_path / "root", builds=include("*.toml"))
    (tmp_path / "x.toml").write_text(IMAGE.format(name="x"), encoding="utf-8")
    for name in ("a.toml", "b.toml"):
        (tmp_path / "root" / name).symlink_to("../x.toml")
    project, findings, _ = read_project(path)
    assert findings == ()
    assert project is not None
    assert [file.path for file in project.files] == ["builds.toml", "a.toml"]


def test_a_file_whose_name_cannot_be_shown_is_an_error(tmp_path: Path) -> None:
    """It is no UTF-8, or would write to the terminal."""
    path = write(tmp_path, builds=include("x/*"))
    (tmp_path / "x").mkdir()
    Path(os.fsdecode(os.fsencode(tmp_path / "x") + b"/\xff.toml")).write_text("format = 1", encoding="utf-8")
    (finding,) = read_project(path)[1]
    assert finding.message == "the name of a file cannot be shown: 'x/\\udcff.toml'"


@pytest.mark.parametrize("name", ["missing.toml", "folder", "pipe"])
def test_a_root_file_that_cannot_be_read_is_an_error_without_a_place(tmp_path: Path, name: str) -> None:
    """There is nothing to point at."""
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    project, (finding,), texts = read_project(tmp_path / name)
    assert (project, finding.code, finding.place, texts) == (None, "unreadable-file", None, {})


def test_a_root_file_that_does_not_decode_is_the_end(tmp_path: Path) -> None:
    """What it includes is not known; its text is, for showing the line."""
    project, (finding,), texts = read_project(write(tmp_path, builds="format = 1\nformat = 2"))
    assert (project, finding.code, list(texts)) == (None, "duplicate-key", ["builds.toml"])


def test_a_file_without_end_is_not_read_to_its_end(tmp_path: Path) -> None:
    """64 MiB are enough for everybody."""
    with (tmp_path / "builds.toml").open("wb") as file:
        file.truncate(2**40)
    _, (finding,), _ = read_project(tmp_path / "builds.toml")
    assert finding.message == "`builds.toml` brings the project to more than 64 MiB"


def test_a_glob_does_not_follow_links_in_circles_and_skips_what_is_hidden(tmp_path: Path) -> None:
    """Otherwise one link to its own folder would never end."""
    write(tmp_path, builds="", a__builds="", a__b__builds="", _hidden__builds="")
    (tmp_path / "_hidden").rename(tmp_path / ".hidden")
    (tmp_path / "a/loop").symlink_to(".")
    (tmp_path / "a/other").symlink_to("..")
    assert expand(tmp_path, "**/builds.toml") == ("a/b/builds.toml", "a/builds.toml", "builds.toml")
    assert expand(tmp_path, "**/**/a/**/b/./*.toml") == ("a/b/builds.toml",)
    assert expand(tmp_path, ".h*/*") == (".hidden/builds.toml",)
    assert expand(tmp_path, "builds.toml/*") == ()


def test_the_nearest_file_up_to_the_repository_is_found(tmp_path: Path) -> None:
    """As git finds its repository."""
    below = tmp_path / "repository/a/b"
    below.mkdir(parents=True)
    (tmp_path / "repository/.git").mkdir()
    write(tmp_path, builds="")
    with pytest.raises(UsageError) as caught:
        find_build_file(below)
    assert caught.value.hints == ("change to the folder of your `builds.toml`, or name it with `--file PATH`",)
    expected = write(tmp_path / "repository", builds="")
    assert expected == find_build_file(below)
