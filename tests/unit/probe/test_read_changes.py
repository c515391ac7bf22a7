from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator.plan.changes import Changes, Location
from orchestrator.probe.changes import locate, read_changes
from orchestrator.probe.revision import GitReader, find_revision
from tests.unit.probe.gitsamples import ENVIRONMENT, clone, commit, git, write

HOSTILE = ["a\nb", "q\"u'o`te", "tab\there", "-rf", "back\\slash", "\N{SNOWMAN}", os.fsdecode(b"\xff\xfe"), ":100644 a"]


def read(folder: Path, ref: str = "HEAD", root: str = ".") -> Changes:
    """The changes of a project in the folder `root`."""
    git = GitReader(folder, ENVIRONMENT)
    return read_changes(git, find_revision(git, ref), str((folder / root).resolve()))


def test_what_was_changed_in_any_way(tmp_path: Path) -> None:
    """Committed, staged, changed, added, removed, renamed and made executable."""
    names = ("committed", "staged", "changed", "removed", "renamed", "mode", "same", "uncached")
    commit(tmp_path, dict.fromkeys(names, "1"))
    git(tmp_path, "tag", "start")
    commit(tmp_path, {"committed": "2"})
    write(tmp_path, {"staged": "2", "changed": "2", "untracked/file": "1", "intended": "1"})
    git(tmp_path, "add", "staged")
    git(tmp_path, "add", "--intent-to-add", "intended")
    git(tmp_path, "mv", "renamed", "other")
    git(tmp_path, "rm", "--quiet", "--cached", "uncached")
    (tmp_path / "removed").unlink()
    (tmp_path / "mode").chmod(0o755)
    (tmp_path / "same").touch()
    expected = {*names, "untracked/file", "intended", "other"} - {"same"}
    assert expected == read(tmp_path, "start").paths


def test_nothing_is_changed_in_a_clean_clone(tmp_path: Path) -> None:
    """But for what git keeps for itself, of which nobody knows."""
    commit(tmp_path, {"a": "1"})
    assert Changes(hidden=frozenset({".git/HEAD"})) == read(tmp_path)


def test_ignored_files_are_unknown(tmp_path: Path) -> None:
    """Nobody knows what they were."""
    commit(tmp_path, {".gitignore": "*.o\nout/\n"})
    write(tmp_path, {"a.o": "1", "out/b/c": "1"})
    found = read(tmp_path)
    assert (set(), {".git/HEAD", "a.o", "out/b/c"}) == (set(found.paths), set(found.hidden))


def test_our_own_folder_is_no_change(tmp_path: Path) -> None:
    """That of this project; one of that name elsewhere is as any other."""
    commit(tmp_path, {"x/builds.toml": ""})
    write(tmp_path, {"x/.orchestrate/a": "1", ".orchestrate/b": "1"})
    assert {".orchestrate/b"} == read(tmp_path, root="x").paths


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_what_they_are(tmp_path: Path, name: str) -> None:
    """Whatever bytes they hold, whether git knows them or not."""
    commit(tmp_path, {f"d/{name}": "1"})
    write(tmp_path, {f"d/{name}": "2", f"e/{name}": "1"})
    assert {f"d/{name}", f"e/{name}"} == read(tmp_path).paths


@pytest.mark.parametrize("option", ["--assume-unchanged", "--skip-worktree"])
def test_what_git_is_told_to_believe_is_not_believed(tmp_path: Path, option: str) -> None:
    """It would not look at such a file."""
    commit(tmp_path, {"a": "1", "b": "1"})
    git(tmp_path, "update-index", option, "a")
    write(tmp_path, {"a": "2"})
    assert {"a"} == read(tmp_path).paths


def test_settings_of_the_user_change_nothing(tmp_path: Path) -> None:
    """They are for what people look at."""
    commit(tmp_path, {"x/a": "1", "b": "1"})
    git(tmp_path, "config", "diff.external", "false")
    git(tmp_path, "config", "diff.ignoreSubmodules", "all")
    git(tmp_path, "config", "diff.relative", "true")
    git(tmp_path, "config", "diff.renames", "copies")
    git(tmp_path, "config", "color.ui", "always")
    git(tmp_path, "mv", "b", "c")
    write(tmp_path, {"x/a": "2"})
    assert {"x/a", "b", "c"} == read(tmp_path).paths


def test_links_are_known_with_where_they_lead(tmp_path: Path) -> None:
    """Tracked, untracked and ignored ones, and those that were."""
    write(tmp_path, {".gitignore": "ignored\n"})
    for name in ("tracked", "gone", "turned"):
        (tmp_path / name).symlink_to("there")
    commit(tmp_path)
    (tmp_path / "gone").unlink()
    (tmp_path / "turned").unlink()
    (tmp_path / "turned").symlink_to("elsewhere")
    for name in ("new", "ignored"):
        (tmp_path / name).symlink_to("x")
    found = read(tmp_path)
    assert {"tracked": "there", "gone": ".", "turned": "elsewhere", "new": "x", "ignored": "x"} == found.links
    assert {"gone", "turned", "new"} == found.paths


@pytest.fixture
def parent(tmp_path: Path) -> Path:
    """A repository with a submodule."""
    commit(tmp_path / "inner", {"a": "1"})
    folder = tmp_path / "outer"
    commit(folder, {"b": "1"})
    git(folder, "submodule", "--quiet", "add", f"file://{tmp_path}/inner", "lib/inner")
    commit(folder)
    return folder


def test_a_submodule_that_moved_is_a_tree(parent: Path) -> None:
    """What changed in it is not known."""
    commit(parent / "lib/inner", {"a": "2"})
    assert frozenset({"lib/inner"}) == read(parent).trees


@pytest.mark.parametrize("path", ["a", "new"])
def test_a_submodule_with_changes_is_a_tree(parent: Path, path: str) -> None:
    """Whatever it says of itself in `.gitmodules`."""
    git(parent, "config", "--file=.gitmodules", "submodule.lib/inner.ignore", "all")
    commit(parent)
    write(parent / "lib/inner", {path: "2"})
    assert frozenset({"lib/inner"}) == read(parent).trees


def test_a_repository_within_is_a_tree(tmp_path: Path) -> None:
    """Git does not look into it."""
    commit(tmp_path, {"a": "1"})
    clone(tmp_path, tmp_path / "x" / "y")
    found = read(tmp_path)
    assert (frozenset({"x/y"}), frozenset()) == (found.trees, found.paths)


def test_a_worktree_has_a_file_instead(tmp_path: Path) -> None:
    """Which differs from clone to clone as well."""
    commit(tmp_path / "x", {"a": "1"})
    git(tmp_path / "x", "worktree", "add", "--quiet", str(tmp_path / "y"))
    assert Changes(hidden=frozenset({".git"})) == read(tmp_path / "y")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a/b", Location(path="x/a/b")),
        ("./-a", Location(path="x/-a")),
        ("..", Location(path="")),
        ("../../z", Location(path=None)),
        ("/etc", Location(path=None)),
        ("link/c", Location(path="real/c", via=("x/link",))),
        ("chain/c", Location(path="real/c", via=("x/chain", "x/link"))),
        ("out/c", Location(path=None, via=("x/out",))),
        ("absolute", Location(path="real", via=("x/absolute",))),
        ("nul\0", Location(path="x/nul\0")),
    ],
)
def test_a_path_is_followed_to_where_it_leads(tmp_path: Path, path: str, expected: Location) -> None:
    """With the links on the way, there or not."""
    top = tmp_path.resolve()
    for folder in ("x", "real"):
        (top / folder).mkdir()
    for name, target in {"link": "../real", "chain": "link/.", "out": "/usr", "absolute": f"{top}/real"}.items():
        (top / "x" / name).symlink_to(target)
    assert expected == locate(str(top), f"{top}/x", path)


def test_a_link_to_itself_leads_nowhere(tmp_path: Path) -> None:
    """And does not keep us."""
    top = tmp_path.resolve()
    (top / "a").symlink_to("a")
    assert locate(str(top), str(top), "a/b").path is None
