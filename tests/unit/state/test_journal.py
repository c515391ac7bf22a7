"""The journal gives back what was written, whatever a power cut has torn off its end."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.api.events import (
    Event,
    LogLine,
    RunFinished,
    StepFinished,
    StepStarted,
    StepState,
    TagPut,
    TagsKept,
)
from orchestrator.api.outline import TagOutline
from orchestrator.state.journal import Journal, open_journal

EVENTS: tuple[Event, ...] = (
    StepStarted(step="solve:a", time=1.0, node="one"),
    StepFinished(step="solve:a", state=StepState.FAILED, time=2.0, seconds=1.0, message="no\nline\u2028", hints=("h",)),
    TagPut(step="promote:a", reference="r/a:1", digest="sha256:1", previous=None, time=3.0),
    RunFinished(run="r", exit_code=4, time=4.0),
)


def write(root: Path, *events: Event) -> bytes:
    """A journal of these events."""
    with Journal(root) as journal:
        for event in events:
            journal(event)
    return (root / ".orchestrate/journal.jsonl").read_bytes()


def read(root: Path) -> tuple[Event, ...]:
    """The events of the journal."""
    with open_journal(root) as events:
        return tuple(events)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    """But for what builds print, which is in their logs."""
    write(tmp_path, EVENTS[0], LogLine(step="solve:a", vertex="v", stream="stdout", text="x"), *EVENTS[1:])
    assert EVENTS == read(tmp_path)


def test_a_run_begins_a_journal_of_its_own(tmp_path: Path) -> None:
    """The one of the run before is gone with its first event."""
    write(tmp_path, *EVENTS)
    write(tmp_path, EVENTS[0])
    assert EVENTS[:1] == read(tmp_path)


@given(st.data())
def test_a_torn_end_is_left_out(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Wherever it is cut, the whole lines before are read."""
    root = tmp_path_factory.mktemp("torn")
    content = write(root, *EVENTS)
    head = content.index(b"\n") + 1
    cut = data.draw(st.integers(head, len(content)))
    (root / ".orchestrate/journal.jsonl").write_bytes(content[:cut])
    whole = content[:cut].count(b"\n") - 1
    assert read(root) in {EVENTS[:whole], EVENTS[: whole + 1]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a journal"),
        (b"\xff\n", "not a journal"),
        (b'{"format":2}\n', "a journal of format 2, expected 1"),
        (b'{"format":1}\nnonsense\n', "line 2 is no event"),
        (b'{"format":1}\n{"type":"step-started"}\n', "line 2 is no event"),
    ],
)
def test_what_is_no_journal_is_told(tmp_path: Path, content: bytes, message: str) -> None:
    """With the line."""
    (tmp_path / ".orchestrate").mkdir()
    (tmp_path / ".orchestrate/journal.jsonl").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read(tmp_path)


def test_what_a_damaged_line_says_is_shown_as_text(tmp_path: Path) -> None:
    """It may be anybody's: nothing of it moves a cursor or sets a title, and no more than a line of it is told."""
    (tmp_path / ".orchestrate").mkdir()
    damaged = rb'{"type":"\u001b]0;owned\u0007\u202e' + b"x" * 9999 + b'"}'
    (tmp_path / ".orchestrate/journal.jsonl").write_bytes(b'{"format":1}\n' + damaged + b"\n")
    with pytest.raises(ValueError, match="line 2 is no event") as told:
        read(tmp_path)
    assert str(told.value).isprintable()
    assert r"\x1b]0;owned\x07\u202e" in str(told.value)
    assert len(str(told.value)) < 300


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    """Neither to write nor to read: a repository may have brought it."""
    (tmp_path / ".orchestrate").mkdir()
    (tmp_path / "target").write_bytes(b'{"format":1}\n')
    (tmp_path / ".orchestrate/journal.jsonl").symlink_to(tmp_path / "target")
    with Journal(tmp_path) as journal:
        for event in EVENTS:
            journal(event)
        assert "symbolic links" in str(journal.problem)
        with pytest.raises(OSError, match="symbolic links"):
            journal(TagsKept(moves=(), time=0.0))  # no tag moves without it
    with pytest.raises(OSError, match="symbolic links"):
        read(tmp_path)
    assert b'{"format":1}\n' == (tmp_path / "target").read_bytes()


def test_a_run_that_is_killed_as_it_begins_leaves_the_journal_before(tmp_path: Path) -> None:
    """In which the tags stand that are left open: the next run takes them over with its second event."""
    write(tmp_path, *EVENTS)
    with Journal(tmp_path) as journal:
        journal(EVENTS[0])
        assert EVENTS == read(tmp_path)
        journal(EVENTS[2])
        assert (EVENTS[0], EVENTS[2]) == read(tmp_path)


def test_tags_that_fit_in_part_are_not_kept(tmp_path: Path) -> None:
    """A disk may take the first bytes of a line and say so: no tag moves then, and the lines before are all there."""
    moves = (TagOutline(reference="r/a:1", before="sha256:1", after="sha256:2"),)
    with Journal(tmp_path) as journal:
        for event in EVENTS[:2]:
            journal(event)
        file = tmp_path / ".orchestrate/journal.jsonl"
        whole = file.read_bytes()
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 20, hard))
        try:
            with pytest.raises(OSError, match="too large"):
                journal(TagsKept(moves=moves, time=3.0))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert whole == file.read_bytes()
    with Journal(tmp_path, goes_on=True) as journal:
        journal(EVENTS[3])
    assert (*EVENTS[:2], EVENTS[3]) == read(tmp_path)
