from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from orchestrator.probe.oldtree import OldTree
from orchestrator.probe.revision import GitReader, Revision
from tests.unit.probe.gitsamples import ENVIRONMENT, commit, git, write

ROOT = "format = 1\ninclude = ['teams/*/builds.toml', 'more.toml']\n"


def lay_out(source: Path, target: Path, sha: str = "") -> OldTree:
    """The tree of a commit, or of HEAD."""
    target.mkdir()
    revision = Revision(ref="x", commit=sha or git(source, "rev-parse", "HEAD"), top=str(source.resolve()))
    return OldTree(GitReader(source, ENVIRONMENT), revision, target)


def there(target: Path) -> dict[str, str]:
    """All files that were laid out, and where links lead."""
    paths = (path for path in target.rglob("*") if path.is_symlink() or path.is_file())
    return {
        str(path.relative_to(target)): f"-> {path.readlink()}" if path.is_symlink() else path.read_text()
        for path in paths
    }


def test_a_project_is_laid_out_with_what_it_may_include(tmp_path: Path) -> None:
    """And nothing else; as it was committed, whatever stands there now."""
    names = ("teams/a/builds.toml", "teams/a/other.toml", "more.toml", "app", "builds.lock")
    commit(tmp_path / "x", {"builds.toml": ROOT, **dict.fromkeys(names, "1")})
    write(tmp_path / "x", {"builds.toml": "", "more.toml": "2"})
    tree = lay_out(tmp_path / "x", tmp_path / "y")
    assert tree.lay_out_project("builds.toml", "builds.lock", "missing")
    kept = ("teams/a/builds.toml", "more.toml", "builds.lock")
    assert {"builds.toml": ROOT, **dict.fromkeys(kept, "1")} == there(tmp_path / "y")


def test_a_commit_without_a_project_says_so(tmp_path: Path) -> None:
    """Also where a link in its place leads out of the commit."""
    commit(tmp_path / "x", {"a": "1"})
    assert not lay_out(tmp_path / "x", tmp_path / "y").lay_out_project("builds.toml")
    (tmp_path / "x" / "builds.toml").symlink_to("/etc/passwd")
    commit(tmp_path / "x")
    assert not lay_out(tmp_path / "x", tmp_path / "z").lay_out_project("builds.toml")


@pytest.mark.parametrize("text", ["\udcff", "[", "include = 1"])
def test_a_project_that_cannot_be_read_includes_nothing(tmp_path: Path, text: str) -> None:
    """What is wrong with it is told by whoever reads it."""
    commit(tmp_path / "x", {"more.toml": "1"})
    (tmp_path / "x" / "builds.toml").write_bytes(text.encode("utf-8", "surrogateescape"))
    commit(tmp_path / "x")
    assert lay_out(tmp_path / "x", tmp_path / "y").lay_out_project("builds.toml")
    assert ["builds.toml"] == [path.name for path in (tmp_path / "y").iterdir() if path.is_file()]


def test_links_are_followed_within_the_commit(tmp_path: Path) -> None:
    """What they lead to is laid out, where it stands; those that lead out lead nowhere."""
    commit(tmp_path / "x", {"real/Dockerfile": "FROM x", "up/a": "1"})
    for name, target in {
        "link": "real",
        "up/back": "../link/Dockerfile",
        "loop": "loop",
        "out": "../..",
        "abs": "/",
    }.items():
        (tmp_path / "x" / name).symlink_to(target)
    commit(tmp_path / "x")
    tree = lay_out(tmp_path / "x", tmp_path / "y")
    tree.lay_out(("up/back", "loop/x", "out/x", "abs/etc/passwd", "/etc/passwd", "../x", "link", "./up/../up/a"))
    assert {
        "abs": "-> /", "link": "-> real", "loop": "-> loop", "out": "-> ../..", "up/back": "-> ../link/Dockerfile",
        "real/Dockerfile": "FROM x", "up/a": "1",
    } == there(tmp_path / "y")  # fmt: skip


def test_folders_are_made_as_they_are_asked_for(tmp_path: Path) -> None:
    """Git knows of none without files; where a file stood none is made, and none outside."""
    commit(tmp_path / "x", {"a/b": "1", "file": "1"})
    (tmp_path / "x" / "link").symlink_to("a")
    commit(tmp_path / "x")
    tree = lay_out(tmp_path / "x", tmp_path / "y")
    tree.lay_out(("file",))
    tree.lay_out_folders((".", "link/c", "new/d", "file", "../z", "/z", ".git/x"))
    made = {str(path.relative_to(tmp_path / "y")) for path in (tmp_path / "y").rglob("*") if path.is_dir()}
    assert {".git", "a", "a/c", "new", "new/d", "link"} == made
    assert not (tmp_path / "z").exists()


def test_names_of_any_bytes_are_laid_out(tmp_path: Path) -> None:
    """As git has them."""
    names = ["a\nb", 'q"', os.fsdecode(b"\xff"), "-x"]
    commit(tmp_path / "x", {f"d\n/{name}": "1" for name in names})
    lay_out(tmp_path / "x", tmp_path / "y").lay_out(f"d\n/{name}" for name in names)
    assert {f"d\n/{name}": "1" for name in names} == there(tmp_path / "y")


def test_what_is_in_a_submodule_is_as_it_is_now(tmp_path: Path) -> None:
    """Its commits are not in this repository; nor are files that somebody else makes."""
    commit(tmp_path / "inner", {"Dockerfile": "FROM x"})
    commit(tmp_path / "x")
    git(tmp_path / "x", "submodule", "--quiet", "add", f"file://{tmp_path}/inner", "sub")
    commit(tmp_path / "x")
    lay_out(tmp_path / "x", tmp_path / "y").lay_out_known(("sub/Dockerfile", "sub/missing", "sub"))
    assert {"sub/Dockerfile": "FROM x"} == there(tmp_path / "y")


def test_a_commit_made_by_hand_writes_nothing_elsewhere(tmp_path: Path) -> None:
    """Git takes names that no file system should get, and a link where a folder stands."""
    commit(tmp_path / "x", {"a": "evil"})
    blob = git(tmp_path / "x", "rev-parse", "HEAD:a")
    (tmp_path / "target").write_text("../../away")
    link = git(tmp_path / "x", "hash-object", "-w", str(tmp_path / "target"))

    def tree(*entries: tuple[str, str, str]) -> str:
        content = b"".join(f"{mode} {name}\0".encode() + bytes.fromhex(sha) for mode, name, sha in entries)
        command = ["git", "hash-object", "-t", "tree", "-w", "--stdin", "--literally"]
        made = subprocess.run(command, cwd=tmp_path / "x", input=content, check=True, capture_output=True)
        return made.stdout.decode().strip()

    inner = tree(("100644", "file", blob))
    top = tree(("40000", "..", inner), ("40000", ".git", inner), ("120000", "d", link), ("40000", "d", inner))
    sha = git(tmp_path / "x", "commit-tree", "-m", "x", top)
    (tmp_path / "away").mkdir()
    laid = lay_out(tmp_path / "x", tmp_path / "y", sha)
    laid.lay_out(("../file", ".git/file", "d/file"))
    assert {"d": "-> ../../away"} == there(tmp_path / "y")
    assert [] == list((tmp_path / "away").iterdir())
    assert not (tmp_path / "file").exists()
