from __future__ import annotations

import io
import os
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import UsageError
from orchestrator.ui.text import (
    Colour,
    colour_for,
    count,
    duration,
    print_note,
    print_result,
    printable,
    printable_log,
    table,
)


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        """Yes."""
        return True


@pytest.mark.parametrize(
    ("stream", "environment", "expected"),
    [
        (Terminal(), {}, "always"),
        (Terminal(), {"NO_COLOR": "1"}, "never"),
        (Terminal(), {"NO_COLOR": ""}, "always"),
        (Terminal(), {"TERM": "dumb"}, "never"),
        (io.StringIO(), {}, "never"),
        (io.StringIO(), {"FORCE_COLOR": "1"}, "always"),
        (io.StringIO(), {"FORCE_COLOR": "1", "NO_COLOR": "1"}, "never"),
        (None, {"FORCE_COLOR": "1"}, "never"),
    ],
)
def test_colours_are_for_terminals(stream: io.StringIO | None, environment: dict[str, str], expected: Colour) -> None:
    """Unless somebody says otherwise."""
    assert expected == colour_for(stream, environment)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0s"), (0.44, "0.4s"), (9.94, "9.9s"), (9.96, "10s"), (59.4, "59s"), (59.6, "1m00s"), (185, "3m05s"),
     (3599.7, "1h00m"), (3720, "1h02m"), (360_000, "100h00m")],
)  # fmt: skip
def test_durations(seconds: float, text: str) -> None:
    """In two units at most, and never sixty of one."""
    assert text == duration(seconds)


@given(
    st.lists(st.tuples(st.text("ab ", max_size=5), st.text("ab", max_size=5), st.text("ab", max_size=3)), max_size=4)
)
def test_columns_begin_below_each_other(rows: list[tuple[str, str, str]]) -> None:
    """And no line ends in blanks."""
    lines = table(rows, indent="  ")
    assert len(rows) == len(lines)
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(2)]
    for row, line in zip(rows, lines, strict=True):
        assert line == line.rstrip()
        expected = "  " + row[0].ljust(widths[0]) + "  " + row[1].ljust(widths[1]) + "  " + row[2]
        assert expected.rstrip() == line


def test_counts() -> None:
    """One of a thing, and several."""
    assert ["0 images", "1 image", "2 images"] == [count(number, "image") for number in range(3)]


@given(st.text())
def test_nothing_moves_a_cursor(text: str) -> None:
    """Whatever a build prints: control and format characters are gone, tabs stay."""
    shown = printable(text)
    assert all(letter == "\t" or unicodedata.category(letter)[0] != "C" for letter in shown)
    assert shown == printable(shown)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain é 漢", "plain é 漢"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07x", "x"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("a\tb\rc\n", "a\tbc"),
        ("\u202eabc", "abc"),
        ("\x1bM\x1b7", "7"),
    ],
)
def test_sequences_are_dropped_as_a_whole(text: str, shown: str) -> None:
    """Their letters do not stay behind."""
    assert shown == printable(text)


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("10%\r20%\r30%", "30%"),
        ("10%\r20%\r", "20%"),
        ("done\r\x1b[K", "done"),
        ("done\r    \r", "done"),
        ("\rone", "one"),
        ("\r \r", ""),
        ("  ", "  "),
        ("a\tb\x1b[1mc", "a\tbc"),
    ],
)
def test_of_a_line_that_is_written_again_and_again_the_last_is_shown(line: str, shown: str) -> None:
    """As a terminal has it in the end, but that what was only erased is still told."""
    assert shown == printable_log(line)


@given(st.text())
def test_log_lines_move_no_cursor_either(line: str) -> None:
    """And are lines as any other where nothing goes back."""
    shown = printable_log(line)
    assert shown == printable(shown)
    assert printable(line.replace("\r", "")) == printable_log(line.replace("\r", ""))


def test_results_and_notes_go_to_different_streams(capsys: pytest.CaptureFixture[str]) -> None:
    """A note ends its line, a result is as it is."""
    print_result("result")
    print_note("note")
    print_note("note\n")
    captured = capsys.readouterr()
    assert ("result", "note\nnote\n") == (captured.out, captured.err)


def test_a_reader_that_left_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """`orchestrate plan | head`."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        print_result("x" * 100_000)
        print_result("and on")
        monkeypatch.undo()


def test_a_full_disk_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a result is worse than none."""
    with Path("/dev/full").open("w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        with pytest.raises(UsageError, match="space"):
            print_result("x")
        monkeypatch.undo()


def test_without_streams_nothing_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service may have closed them."""
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    print_result("x")
    print_note("x")
    monkeypatch.undo()
