"""`orchestrate report`: a page of the last run here, or what to do where there is none."""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from orchestrator.api.events import Event, StepStarted
from orchestrator.state.journal import Journal
from orchestrator.state.stored_logs import log_names, read_log_end
from tests.cli.conftest import Program
from tests.unit.ui.report.journals import run_events


@pytest.fixture
def workspace(program: Program) -> Path:
    """A project in which something was run."""
    (program.folder / "builds.toml").touch()
    keep(program.folder, run_events(4, failing=1))
    return program.folder


def keep(root: Path, events: Iterable[Event]) -> None:
    """Write a journal."""
    with Journal(root) as journal:
        for event in events:
            journal(event)


def data(path: Path) -> dict[str, object]:
    """What a report shows."""
    found = re.search(r'id="data">(.*?)</script>', path.read_text(), re.DOTALL)
    assert found is not None
    shown: dict[str, object] = json.loads(found[1])
    return shown


def test_it_is_written_into_the_folder_of_the_project(program: Program, workspace: Path) -> None:
    """Its path is all that is printed, so that something can open it; from a folder below, too."""
    ran = program("report")
    path = workspace / ".orchestrate/report.html"
    assert (0, f"{path}\n", "") == ran
    assert "acme" == data(path)["project"]


def test_it_is_written_where_it_is_asked_for(program: Program, workspace: Path) -> None:
    """And replaced by the next one."""
    assert (0, "out.html\n", "") == program("report", "--output", "out.html")
    assert 0 == program("report", "--output", "out.html").code
    assert "acme" == data(workspace / "out.html")["project"]
    assert not (workspace / ".orchestrate/report.html").exists()


def test_without_a_run_it_says_so(program: Program) -> None:
    """With what to do."""
    (program.folder / "builds.toml").touch()
    ran = program("report")
    assert (2, "") == (ran.code, ran.out)
    assert (
        "error: there is no report without a run: `.orchestrate/journal.jsonl` is not there\n"
        "hint: `orchestrate build` begins one\n"
    ) == ran.err


def test_what_is_no_report_is_never_replaced(program: Program, workspace: Path) -> None:
    """`--output builds.toml` is a slip."""
    (workspace / "page.html").write_text("<!doctype html>\nmine")
    ran = program("report", "--output", "page.html")
    assert (2, "error: `page.html` holds something else than a report\nhint: name another file, or remove it\n") == (
        ran.code,
        ran.err,
    )
    assert "<!doctype html>\nmine" == (workspace / "page.html").read_text()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("folder", "not a regular file"),
        ("pipe", "not a regular file"),
        ("missing/page.html", os.strerror(errno.ENOENT)),
    ],
)
def test_what_cannot_be_written_is_told(program: Program, workspace: Path, name: str, reason: str) -> None:
    """A folder, a pipe that nobody reads, a folder that is not there."""
    (workspace / "folder").mkdir()
    os.mkfifo(workspace / "pipe")
    ran = program("report", "--output", name)
    assert (2, f"error: `{name}`: {reason.lower()}") == (ran.code, ran.err.splitlines()[0])


def test_an_empty_name_is_refused(program: Program, workspace: Path) -> None:
    """It is what is left of a variable that nobody set."""
    del workspace
    assert (2, "error: `--output=`: expected FILE") == (
        (ran := program("report", "--output=")).code,
        ran.err.splitlines()[0],
    )


def test_a_link_in_our_folder_is_replaced_and_not_followed(program: Program, workspace: Path) -> None:
    """A repository may have brought it."""
    (workspace / "target").write_text("precious")
    (workspace / ".orchestrate/report.html").symlink_to(workspace / "target")
    assert 0 == program("report").code
    assert "precious" == (workspace / "target").read_text()


def test_a_journal_that_was_torn_has_a_report(program: Program, workspace: Path) -> None:
    """Which says that the run did not end."""
    journal = workspace / ".orchestrate/journal.jsonl"
    content = journal.read_bytes()
    journal.write_bytes(content[: len(content) * 2 // 3])
    assert 0 == program("report").code
    shown = data(workspace / ".orchestrate/report.html")
    assert (None, "has not ended: it was cut off, or still runs") == (shown["exit_code"], shown["outcome"])


def test_a_journal_that_is_damaged_has_a_report_of_what_is_before(program: Program, workspace: Path) -> None:
    """The line is told."""
    journal = workspace / ".orchestrate/journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([*lines[:5], b"damage\n", *lines[5:]]))
    ran = program("report")
    assert (0, True) == (ran.code, ran.err.startswith("the journal is damaged, and the report ends there: line 6 is"))


@pytest.mark.parametrize("content", [b"", b"nonsense\n", b'{"format":99}\n', b'{"format":1}\n'])
def test_what_is_no_journal_is_told(program: Program, workspace: Path, content: bytes) -> None:
    """Without a traceback, and with what to do."""
    (workspace / ".orchestrate/journal.jsonl").write_bytes(content)
    ran = program("report")
    assert (2, "hint: `orchestrate build` begins a new one") == (ran.code, ran.err.splitlines()[-1])


def test_logs_are_in_it(program: Program, workspace: Path) -> None:
    """Their ends, with where the whole is; a link is not followed."""
    folder = workspace / ".orchestrate/logs"
    folder.mkdir()
    started = [event.step for event in run_events(4, failing=1) if isinstance(event, StepStarted)]
    (folder / log_names(started[0])[1]).write_text("one\x1b[31m red\n")
    (folder / log_names(started[1])[1]).symlink_to(workspace / "builds.toml")
    program("report")
    steps = data(workspace / ".orchestrate/report.html")["steps"]
    assert isinstance(steps, list)
    logs = {step["id"]: step["log"] for step in steps if "log" in step}
    plain = f".orchestrate/logs/{log_names(started[0])[1]}"
    assert {started[0]: {"path": plain, "size": 13, "text": "one red"}} == {
        step: {name: log[name] for name in ("path", "size", "text")} for step, log in logs.items()
    }


def test_the_end_of_a_log_is_read(tmp_path: Path) -> None:
    """Not the whole; and where two steps would have one name, each has its own."""
    folder = tmp_path / ".orchestrate/logs"
    folder.mkdir(parents=True)
    (folder / log_names("solve:a")[1]).write_bytes(b"0123456789")
    (folder / log_names("solve:a")[0]).write_bytes(b"other")
    assert (b"er", 5) == ((end := read_log_end(tmp_path, "solve:a", 2)) and (end.content, end.size))
    assert None is read_log_end(tmp_path, "solve:b", 2)
