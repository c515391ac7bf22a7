from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.errors import OrchestratorError, UsageError
from orchestrator.probe.revision import GitReader, Revision, find_revision
from tests.unit.probe.gitsamples import ENVIRONMENT, clone, commit, git


def find(folder: Path, ref: str) -> Revision:
    """The commit that is meant."""
    return find_revision(GitReader(folder, ENVIRONMENT), ref)


def refusal(folder: Path, ref: str) -> UsageError:
    """Why none is; there is a hint too."""
    with pytest.raises(UsageError) as caught:
        find(folder, ref)
    assert caught.value.hints
    return caught.value


@pytest.fixture
def forked(tmp_path: Path) -> Path:
    """A branch of two commits, and two that others put on `main` meanwhile."""
    commit(tmp_path / "x", {"a": "1"})
    git(tmp_path / "x", "tag", "fork")
    git(tmp_path / "x", "switch", "--quiet", "--create=side")
    commit(tmp_path / "x", {"a": "2"})
    commit(tmp_path / "x", {"a": "3"})
    git(tmp_path / "x", "switch", "--quiet", "main")
    commit(tmp_path / "x", {"b": "1"})
    commit(tmp_path / "x", {"b": "2"})
    git(tmp_path / "x", "switch", "--quiet", "side")
    return tmp_path / "x"


@pytest.mark.parametrize(
    ("ref", "expected"), [("main", "fork"), ("HEAD~1", "HEAD~1"), ("HEAD", "HEAD"), ("fork", "fork")]
)
def test_the_last_common_commit_is_meant(forked: Path, ref: str, expected: str) -> None:
    """What others did meanwhile is no change; of an own commit it is that commit."""
    found = find(forked, ref)
    assert (ref, git(forked, "rev-parse", expected), str(forked.resolve())) == (found.ref, found.commit, found.top)
    assert found.commit[:12] == found.short


def test_an_annotated_tag_and_a_part_of_a_commit_are_commits(forked: Path) -> None:
    """Whatever git takes for a commit."""
    sha = git(forked, "rev-parse", "fork")
    git(forked, "tag", "--annotate", "--message=x", "v1", "fork")
    assert [sha, sha] == [find(forked, ref).commit for ref in ("v1", sha[:10])]


@pytest.mark.parametrize("ref", ["nope", "main..side", "HEAD:a", "a" * 40, "refs/heads/x\N{SNOWMAN}"])
def test_an_unknown_name_is_an_error(forked: Path, ref: str) -> None:
    """Ranges and files are no commits either."""
    assert f"`--since {ref}`: there is no such commit in this repository" == refusal(forked, ref).message


@pytest.mark.parametrize("ref", ["--output=x", "-x", "a\nb", "a\udcff", "x" * 2000])
def test_what_cannot_be_a_name_never_reaches_git(forked: Path, ref: str) -> None:
    """Least of all as an option."""
    error = refusal(forked, ref)
    assert error.message.endswith("` is no name of a commit")
    assert error.message.isprintable()
    assert [] == list(forked.glob("x"))


def test_an_empty_name_is_an_error(forked: Path) -> None:
    """It is what is left of a variable that nobody set."""
    assert "`--since=`: expected REF" == refusal(forked, "").message


def test_zeros_are_explained(forked: Path) -> None:
    """CI gives them for the first push of a branch."""
    error = refusal(forked, "0" * 40)
    assert "zeros stand for no commit" in error.message
    assert "--since origin/main" in error.hints[0]


def test_a_shallow_clone_that_lacks_the_commit_says_so(forked: Path, tmp_path: Path) -> None:
    """And how to get it."""
    shallow = clone(forked, tmp_path / "shallow", "--depth=1")
    error = refusal(shallow, "HEAD~1")
    assert "`--since HEAD~1`: this clone is shallow and has no such commit" == error.message
    assert "git fetch --unshallow" in error.hints[0]
    assert "fetch-depth: 0" in error.hints[1]


def test_a_shallow_clone_that_has_the_commit_will_do(forked: Path, tmp_path: Path) -> None:
    """As with `fetch-depth: 2` and `HEAD~1`."""
    shallow = clone(forked, tmp_path / "shallow", "--depth=2")
    assert git(forked, "rev-parse", "HEAD~1") == find(shallow, "HEAD~1").commit


def test_a_shallow_clone_without_the_common_commit_says_so(forked: Path, tmp_path: Path) -> None:
    """Both ends are there, and what is between them is not."""
    shallow = clone(forked, tmp_path / "shallow", "--depth=1", "--no-single-branch")
    error = refusal(shallow, "origin/main")
    assert "the last commit in common with HEAD is not known" in error.message
    assert "git fetch --unshallow" in error.hints[0]


def test_an_earlier_common_commit_is_not_taken_for_the_last(tmp_path: Path) -> None:
    """Of the two ways from `main` to the first commit the clone has the short one, and not that by the last common."""
    source = tmp_path / "x"
    first = commit(source, {"a": "1"})
    git(source, "switch", "--quiet", "--create=other")
    commit(source, {"o": "1"})
    git(source, "switch", "--quiet", "main")
    last = commit(source, {"b": "1"})
    git(source, "switch", "--quiet", "--create=side")
    commit(source, {"s": "1"})
    git(source, "switch", "--quiet", "main")
    for number in range(3):
        commit(source, {"c": str(number)})
    git(source, "merge", "--quiet", "--no-edit", "other")
    git(source, "switch", "--quiet", "side")
    shallow = clone(source, tmp_path / "shallow", "--depth=3", "--no-single-branch")
    assert (last, first) == (
        git(source, "merge-base", "main", "HEAD"),
        git(shallow, "merge-base", "origin/main", "HEAD"),
    )
    assert "is not known" in refusal(shallow, "origin/main").message


def test_other_histories_have_nothing_in_common(forked: Path) -> None:
    """Comparing them would say nothing about this one."""
    git(forked, "switch", "--quiet", "--orphan", "other")
    commit(forked, {"c": "1"})
    assert "no commit in common" in refusal(forked, "main").message


def test_without_git_nothing_is_compared(tmp_path: Path) -> None:
    """A folder that is no clone, and one without a commit."""
    assert "`--since` cannot ask git: this is no git repository" == refusal(tmp_path, "main").message
    git(tmp_path, "init", "--quiet")
    assert "the git repository has none yet" in refusal(tmp_path, "main").message


def test_git_that_is_not_installed_is_named(tmp_path: Path) -> None:
    """With how to install it."""
    with pytest.raises(OrchestratorError, match="`git` is not installed"):
        find_revision(GitReader(tmp_path, {"PATH": str(tmp_path)}), "main")


def test_a_git_folder_is_no_working_tree(forked: Path) -> None:
    """Nothing can be built there."""
    assert "cannot ask git" in refusal(forked / ".git", "main").message


def test_a_top_folder_may_have_any_name(tmp_path: Path) -> None:
    """Line ends included."""
    commit(tmp_path / "a\nb", {"c/d": "1"})
    assert str((tmp_path / "a\nb").resolve()) == find(tmp_path / "a\nb" / "c", "HEAD").top
