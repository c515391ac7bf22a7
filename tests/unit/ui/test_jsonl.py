"""Progress for programs: every line is JSON, whatever builds print."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.api.events import ChildStarted, Event, LogLine
from orchestrator.ui.jsonl import FORMAT, Head, JsonProgress, Note, Problem, StreamLine, render_line
from orchestrator.ui.notes import note_style, set_note_style, shape_note, shape_object
from tests.unit.ui.runs import begin, ends, solve, starts

LINE = msgspec.json.Decoder(StreamLine)


def test_the_first_line_has_the_version_and_the_others_are_the_events() -> None:
    """All of them, in order."""
    lines: list[str] = []
    progress = JsonProgress(lines.append)
    events = (begin(solve("a")), starts("solve:a"), ends("solve:a"))
    for event in events:
        progress(event)
    progress.tick()
    progress.close()
    assert (Head(format=FORMAT), *events) == tuple(map(LINE.decode, lines))


@given(st.text(st.characters(exclude_categories=()), max_size=80))
def test_hostile_text_stays_json(text: str) -> None:
    """One line, UTF-8, and the text itself where it is Unicode."""
    event: Event = LogLine(step="solve:a", vertex="v", stream="stdout", text=text)
    line = render_line(event)
    assert line.endswith("\n")
    assert 1 == line.count("\n")
    found = LINE.decode(line.encode("utf-8"))
    assert isinstance(found, LogLine)
    assert text.encode("utf-8", "backslashreplace").decode() == found.text


def test_names_of_files_that_are_no_text_are_escaped() -> None:
    """Argv may hold any bytes."""
    found = LINE.decode(render_line(ChildStarted(steps=("s",), argv=("a", "\udcff"), time=0.0)))
    assert isinstance(found, ChildStarted)
    assert ("a", "\\udcff") == found.argv


@pytest.mark.parametrize("text", ["one\ntwo\n", "\udcff", "::add-mask::x", "##[x]y", "é\u2028"])
def test_notes_and_errors_are_objects_too(text: str) -> None:
    """As soon as `--progress=json` was read; in ASCII, so that no encoding of the stream matters."""
    assert "text" == note_style()
    set_note_style("json")
    try:
        line = shape_note(text)
    finally:
        set_note_style("text")
    assert line.isascii()
    assert "##[" not in line
    assert Note(text=text.strip("\n").encode("utf-8", "backslashreplace").decode()) == LINE.decode(line)
    error = shape_object("error", message=text, hints=(text,), exit_code=4)
    assert isinstance(LINE.decode(error), Problem)
    assert 4 == json.loads(error)["exit_code"]


def test_what_the_runner_reads_is_harmless(monkeypatch: pytest.MonkeyPatch) -> None:
    """In GitHub Actions notes command nothing, in whatever mode."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    assert ": :add-mask::x\n## [y]\n" == shape_note("::add-mask::x\n##[y]")
    monkeypatch.delenv("GITHUB_ACTIONS")
    assert "::add-mask::x\n" == shape_note("::add-mask::x")
