"""What runs that were killed have left running."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestrator.process.orphans import end_orphans

SCRIPT = "trap '' INT; echo ready; read line"
STUBBORN = "trap '' INT TERM; echo ready; read line"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project, in which this run has a folder."""
    (tmp_path / ".orchestrate/run-mine").mkdir(parents=True)
    return tmp_path


@contextmanager
def running(where: Path, word: str, *, script: str = SCRIPT, own: bool = True) -> Iterator[subprocess.Popen[bytes]]:
    """A process that waits, with this word among its own; with a session of its own as children have it."""
    with subprocess.Popen(
        ["sh", "-c", script, word], cwd=where, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=own
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("script", [SCRIPT, STUBBORN], ids=["heeds", "stubborn"])
def test_a_child_of_a_killed_run_is_ended(root: Path, script: str) -> None:
    """Known by the folder of that run in its words, also where it does not heed a SIGTERM."""
    with running(root, "--metadata-file=.orchestrate/run-dead/1/metadata.json", script=script) as process:
        end_orphans(root, root / ".orchestrate/run-mine")
        assert process.wait() < 0


@pytest.mark.parametrize(
    ("word", "own"),
    [
        ("--metadata-file=.orchestrate/run-mine/1/metadata.json", True),
        ("--metadata-file=.orchestrate/run-dead/1/metadata.json", False),
        ("--metadata-file=other.orchestrate/run-dead/1/metadata.json", True),
        (".orchestrate/run-dead", True),
    ],
    ids=["of this run", "of somebody's session", "of another folder", "not in it"],
)
def test_others_are_left_alone(root: Path, word: str, own: bool) -> None:  # noqa: FBT001  # a column of a table
    """Whatever they do with these files."""
    with running(root, word, own=own) as process:
        end_orphans(root, root / ".orchestrate/run-mine")
        assert process.poll() is None


def test_another_project_is_left_alone(root: Path) -> None:
    """Its runs have their own lock."""
    other = root / "other"
    other.mkdir()
    with running(other, "--metadata-file=.orchestrate/run-dead/1/metadata.json") as process:
        end_orphans(root, root / ".orchestrate/run-mine")
        assert process.poll() is None
