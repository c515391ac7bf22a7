"""What steps print is kept: each in a file of its own, readable, bounded, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.api.events import Event, LogLine, Retried, RunStarted, StepFinished, StepState, VertexProgress
from orchestrator.state.logs import Limits, StepLogs
from orchestrator.ui.text import printable, printable_log

BEGIN = RunStarted(run="r", time=0.0, project="p", destination="oci", steps=(), images=())


def says(step: str, text: str, vertex: str = "v") -> LogLine:
    """A line that a build printed."""
    return LogLine(step=step, vertex=vertex, stream="stdout", text=text)


def begins(step: str, name: str, vertex: str = "v") -> VertexProgress:
    """A vertex begins."""
    return VertexProgress(step=step, vertex=vertex, name=name, state="started")


def ends(step: str, state: StepState = StepState.DONE, message: str = "") -> StepFinished:
    """A step ends."""
    return StepFinished(step=step, state=state, time=0.0, seconds=0.0, message=message)


def run(root: Path, *events: Event, limits: Limits | None = None) -> dict[str, str]:
    """The logs of a run, by step."""
    with StepLogs(root, printable, printable_log, limits) as logs:
        for event in (BEGIN, *events):
            logs(event)
        assert logs.problem is None
        return {step: (root / path).read_text() for step, path in logs.paths.items()}


def files(root: Path) -> list[str]:
    """The names of the logs."""
    return names(root / ".orchestrate/logs")


def names(folder: Path) -> list[str]:
    """What is in a folder."""
    return sorted(path.name for path in folder.iterdir())


def count_open() -> int:
    """How many files this process has open."""
    return len(names(Path("/proc/self/fd")))


def test_a_step_has_a_log_with_a_heading_for_each_vertex(tmp_path: Path) -> None:
    """Again where they take turns; control sequences are gone."""
    found = run(
        tmp_path, begins("solve:a", "[1/2] RUN x"), begins("solve:a", "[2/2] RUN y", "w"),
        says("solve:a", "\x1b[1mone"),
        says("solve:a", "two\x07"), says("solve:a", "three", "w"), says("solve:a", "four"), ends("solve:a"),
    )  # fmt: skip
    expected = "==== [1/2] RUN x\none\ntwo\n==== [2/2] RUN y\nthree\n==== [1/2] RUN x\nfour\n"
    assert {"solve:a": expected} == found
    assert ["solve-a.log"] == files(tmp_path)


def test_a_step_that_prints_nothing_has_none(tmp_path: Path) -> None:
    """Though it fails."""
    assert {} == run(tmp_path, begins("solve:a", "x"), ends("solve:a", StepState.FAILED, "no"))
    assert [] == files(tmp_path)


def test_attempts_are_told_apart(tmp_path: Path) -> None:
    """With why it was tried again, and at the end why it failed."""
    again = Retried(step="solve:a", attempt=1, message="reset\nx", time=0.0)
    found = run(
        tmp_path, begins("solve:a", "RUN x"), says("solve:a", "one"), again, begins("solve:a", "RUN x"),
        says("solve:a", "two"), ends("solve:a", StepState.FAILED, "exit code: 1\nlines"),
    )  # fmt: skip
    expected = "==== RUN x\none\n\n==== again, retry 1: reset\n==== RUN x\ntwo\n==== failed: exit code: 1\n"
    assert {"solve:a": expected} == found


def test_the_next_run_replaces_them(tmp_path: Path) -> None:
    """Those of steps that it does not have, too; what is no log stays."""
    run(tmp_path, says("solve:a", "old"), says("solve:b", "old"))
    (tmp_path / ".orchestrate/logs/mine.txt").write_text("mine")
    assert {"solve:b": "==== v\nnew\n"} == run(tmp_path, says("solve:b", "new"))
    assert ["mine.txt", "solve-b.log"] == files(tmp_path)


def test_a_log_is_bounded_and_says_so(tmp_path: Path) -> None:
    """In its last line, once."""
    found = run(tmp_path, *[says("solve:a", "x" * 10)] * 50, ends("solve:a", StepState.FAILED), limits=Limits(bytes=40))
    assert "==== v\nxxxxxxxxxx\nxxxxxxxxxx\nxxxxxxxxxx\n"[:29] == found["solve:a"][:29]
    assert found["solve:a"].endswith("\n==== more than 40 bytes: the rest is not kept\n")
    assert 1 == found["solve:a"].count("more than")


def test_a_progress_bar_is_its_last_state(tmp_path: Path) -> None:
    """It is one line, that it writes again and again; what a vertex is called is kept as a whole."""
    found = run(tmp_path, begins("solve:a", "RUN x\ry"), says("solve:a", "10%\r20%\r100%\r"))
    assert {"solve:a": "==== RUN xy\n100%\n"} == found


def test_open_files_are_bounded(tmp_path: Path) -> None:
    """The one that was silent for longest is closed, and opened again when it speaks."""
    before = count_open()
    with StepLogs(tmp_path, printable, printable_log, Limits(files=3)) as logs:
        logs(BEGIN)
        for _ in range(2):
            for number in range(20):
                logs(says(f"solve:i{number}", "x"))
                assert count_open() - before <= 4
    assert before == count_open()
    assert {"==== v\nx\nx\n"} == {path.read_text() for path in (tmp_path / ".orchestrate/logs").iterdir()}


@given(st.lists(st.text(min_size=1, max_size=120), min_size=1, max_size=8, unique=True))
def test_every_step_has_a_file_of_its_own(tmp_path_factory: pytest.TempPathFactory, steps: list[str]) -> None:
    """Whatever it is called, and below the folder."""
    root = tmp_path_factory.mktemp("logs")
    found = run(root, *[says(step, f"of {number}") for number, step in enumerate(steps)])
    assert {step: f"==== v\nof {number}\n" for number, step in enumerate(steps)} == found
    assert len(steps) == len(files(root))
    assert [".orchestrate"] == names(root)


@pytest.mark.parametrize("where", [".orchestrate", ".orchestrate/logs"])
def test_a_folder_that_is_a_link_is_not_followed(tmp_path: Path, where: str) -> None:
    """A repository may have brought it: the run goes on without logs, and says why."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/other.log").touch()
    (tmp_path / where).parent.mkdir(exist_ok=True)
    (tmp_path / where).symlink_to(tmp_path / "elsewhere")
    with StepLogs(tmp_path, printable, printable_log) as logs:
        logs(BEGIN)
        logs(says("solve:a", "x"))
        assert isinstance(logs.problem, OSError)
        assert {} == logs.paths
    assert ["other.log"] == names(tmp_path / "elsewhere")


def test_a_link_in_the_place_of_a_log_is_not_followed(tmp_path: Path) -> None:
    """Those that lie there are removed; one that appears meanwhile ends the logs."""
    folder, target = tmp_path / ".orchestrate/logs", tmp_path / "target"
    folder.mkdir(parents=True)
    target.write_text("precious")
    (folder / "solve-a.log").symlink_to(target)
    assert {"solve:a": "==== v\nx\n"} == run(tmp_path, says("solve:a", "x"))
    with StepLogs(tmp_path, printable, printable_log) as logs:
        logs(BEGIN)
        (folder / "solve-a.log").symlink_to(target)
        logs(says("solve:a", "x"))
        assert isinstance(logs.problem, OSError)
    assert "precious" == target.read_text()
