"""The folder of a project's runs, in repositories whose authors may have put something else there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator.errors import PlanBlockedError, UsageError
from orchestrator.state.workspace import open_run


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project without runs."""
    (tmp_path / "project").mkdir()
    return tmp_path / "project"


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A folder that is none of the project's business."""
    (tmp_path / "elsewhere").mkdir()
    return tmp_path / "elsewhere"


def refusal(root: Path) -> UsageError:
    """What is said instead of a run."""
    with pytest.raises(UsageError) as caught, open_run(root):
        pass
    return caught.value


def test_a_run_has_a_folder_while_it_lasts(root: Path) -> None:
    """What stays is the lock, and what hides the folder from git."""
    with open_run(root) as folder:
        assert (root / ".orchestrate", []) == (folder.parent, list(folder.iterdir()))
    assert [".gitignore", "lock"] == sorted(path.name for path in (root / ".orchestrate").iterdir())
    assert "*\n" == (root / ".orchestrate/.gitignore").read_text()


def test_one_run_at_a_time(root: Path) -> None:
    """The second is told who the first is."""
    with open_run(root), pytest.raises(PlanBlockedError) as caught, open_run(root):
        pass
    assert f"another run is at work in `{root}/.orchestrate`, process {os.getpid()}" == caught.value.message


def test_what_a_killed_run_left_is_removed(root: Path, elsewhere: Path) -> None:
    """But not what a link of such a name leads to."""
    (root / ".orchestrate/run-killed/deep").mkdir(parents=True)
    (root / ".orchestrate/run-link").symlink_to(elsewhere)
    (elsewhere / "precious").touch()
    with open_run(root):
        assert not (root / ".orchestrate/run-killed").exists()
    assert (elsewhere / "precious").exists()


def test_a_link_in_the_place_of_the_folder_is_refused(root: Path, elsewhere: Path) -> None:
    """Nothing is written where it leads."""
    (root / ".orchestrate").symlink_to(elsewhere)
    error = refusal(root)
    assert f"`{root}/.orchestrate` is a symbolic link" in error.message
    assert "remove it" in error.hints[0]
    assert [] == list(elsewhere.iterdir())


def test_a_file_in_the_place_of_the_folder_is_refused(root: Path) -> None:
    """It is said what it is, and what to do."""
    (root / ".orchestrate").write_text("mine")
    error = refusal(root)
    assert f"`{root}/.orchestrate` is a file" in error.message
    assert "move it away" in error.hints[0]


@pytest.mark.parametrize("exists", [True, False])
def test_a_link_to_hide_behind_is_replaced(root: Path, elsewhere: Path, *, exists: bool) -> None:
    """What `.gitignore` leads to stays as it is, and is not made."""
    (root / ".orchestrate").mkdir()
    (root / ".orchestrate/.gitignore").symlink_to(elsewhere / "file")
    if exists:
        (elsewhere / "file").write_text("precious")
    with open_run(root):
        pass
    assert (["precious"] if exists else []) == [path.read_text() for path in elsewhere.iterdir()]
    assert (False, "*\n") == (
        (root / ".orchestrate/.gitignore").is_symlink(),
        (root / ".orchestrate/.gitignore").read_text(),
    )


def test_what_the_user_ignores_stays(root: Path) -> None:
    """A `.gitignore` of their own is theirs."""
    (root / ".orchestrate").mkdir()
    (root / ".orchestrate/.gitignore").write_text("lock\n")
    with open_run(root):
        pass
    assert "lock\n" == (root / ".orchestrate/.gitignore").read_text()


@pytest.mark.parametrize("exists", [True, False])
def test_a_link_in_the_place_of_the_lock_is_refused(root: Path, elsewhere: Path, *, exists: bool) -> None:
    """Our process id is not written into somebody's file."""
    (root / ".orchestrate").mkdir()
    (root / ".orchestrate/lock").symlink_to(elsewhere / "file")
    if exists:
        (elsewhere / "file").write_text("precious")
    assert f"`{root}/.orchestrate/lock` is a symbolic link" in refusal(root).message
    assert (["precious"] if exists else []) == [path.read_text() for path in elsewhere.iterdir()]


def test_a_folder_that_cannot_be_made_is_told(root: Path) -> None:
    """With its name and the reason."""
    root.rmdir()
    root.touch()
    assert f"`{root}`: file exists" == refusal(root).message


@pytest.mark.parametrize("where", [".", "cache"])
def test_a_run_removes_what_killed_ones_were_writing(root: Path, where: str) -> None:
    """Nobody else would: it is hidden, and has a name of its own each time."""
    folder = root / ".orchestrate" / where
    folder.mkdir(parents=True)
    (folder / ".begun.plan.json.0123456789abcdef.partial").touch()
    with open_run(root):
        assert [] == list((root / ".orchestrate").rglob("*.partial"))
