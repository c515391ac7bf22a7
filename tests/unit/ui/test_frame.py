"""The last lines of a terminal, by value and within any size."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.api.events import StepState
from orchestrator.ui.frame import ASCII, UNICODE, Glyphs, Screen, draw, plain_text
from orchestrator.ui.running import Running, RunningStep, RunView
from orchestrator.ui.width import cut_end, cut_middle, text_width
from tests.unit.ui.runs import begin, ends, large, solve, starts, vertex


def lines(view: RunView, width: int = 80, height: int = 24, glyphs: Glyphs = UNICODE) -> list[str]:
    """What is drawn, without styles."""
    return [plain_text(line) for line in draw(view, Screen(width=width, height=height, glyphs=glyphs))]


def test_a_small_run() -> None:
    """A line for each build, and the bar."""
    running = Running()
    for event in (
        begin(solve("base", 20.0), solve("api", 60.0)), starts("solve:base"), ends("solve:base", seconds=20.0),
        starts("solve:api", 1020.0, "arm"), vertex("solve:api", "[2/3] RUN make"),
    ):  # fmt: skip
        running.take(event)
    assert [
        " api@linux/amd64,arm64  [2/3] RUN make                                      10s",
        " ━━━━━━━━━━━━━━━╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌  1/2 builds, 1 running, about 50s left, 30s",
    ] == lines(running.view(1030.0))


def test_twenty_running_of_five_hundred() -> None:
    """In 80 columns names stay apart, and what does not fit is counted."""
    running = Running()
    for event in large(500, 100, 20):
        running.take(event)
    view = running.view(1152.5)
    drawn = lines(view)
    assert 21 == len(drawn) == len(set(drawn))
    assert " payments-service-100@amd64,arm64  x86-builder  [linux/arm64 2/7] RUN …     52s" == drawn[0]
    assert " ━━╌╌╌╌╌╌╌╌╌╌╌╌  100/500 builds, 2 failed, 20 running, about 19m09s left, 2m32s" == drawn[-1]
    assert [" + 13 more", drawn[-1]] == lines(view, height=12)[-2:]
    assert [" paymen…ce-100@amd64,arm64  [linux/arm64 2/7] RUN …     52s"] == lines(view, width=60)[:1]
    assert [" payments-…vice-100@amd64,arm64     52s"] == lines(view, width=40)[:1]


def test_a_terminal_without_unicode_gets_ascii() -> None:
    """All of it."""
    running = Running()
    for event in large(500, 100, 20):
        running.take(event)
    assert all(line.isascii() for line in lines(running.view(1152.5), glyphs=ASCII))


def test_nothing_that_others_wrote_moves_the_cursor() -> None:
    """Names of vertexes are what a Dockerfile says."""
    step = RunningStep(name="a", platforms=(), node="", vertex="RUN \x1b[2J\r\n\tx\x9b1A", seconds=1.0)
    assert [" a  RUN  x1A"] == [line[:12] for line in lines(RunView(running=(step,)))[:1]]


words = st.text(alphabet=st.sampled_from("ab-/@ 漢字e\u0301🚀\x1b\t"), max_size=60)
steps = st.builds(
    RunningStep,
    name=words,
    platforms=st.lists(st.sampled_from(["linux/amd64", "linux/arm64", "windows/amd64"]), max_size=3).map(tuple),
    node=words,
    vertex=words,
    seconds=st.floats(0, 1e5),
)
views = st.builds(
    RunView,
    running=st.lists(steps, max_size=30).map(tuple),
    total=st.integers(0, 10_000),
    done=st.integers(0, 5_000),
    failed=st.integers(0, 500),
    skipped=st.integers(0, 500),
    seconds=st.floats(0, 1e6),
    left=st.none() | st.floats(0, 1e6),
)


@given(views, st.integers(1, 130), st.integers(1, 40), st.sampled_from([UNICODE, ASCII]))
def test_a_frame_fits_into_any_terminal(view: RunView, width: int, height: int, glyphs: Glyphs) -> None:
    """It is lower, and no line reaches the last column; each is whole in itself."""
    drawn = lines(view, width, height, glyphs)
    assert 1 <= len(drawn) <= max(1, height - 1)
    assert max(map(text_width, drawn)) <= max(1, width - 1)
    assert all(line.isprintable() for line in drawn)


@given(words.map(lambda text: text.replace("\x1b", "").replace("\t", "")), st.integers(0, 70))
def test_a_text_is_cut_to_its_room(text: str, room: int) -> None:
    """Never more than there is, and not at all where it fits."""
    for cut in (cut_middle, cut_end):
        found = cut(text, room)
        assert text_width(found) <= room
        assert text_width(text) > room or found == text


@pytest.mark.parametrize(
    ("text", "cells", "expected"),
    [("payments-service-100", 12, "paymen…e-100"), ("漢字漢字漢字", 7, "漢…漢字"), ("ab", 1, ""), ("ab", 0, "")],
)
def test_names_lose_their_middle(text: str, cells: int, expected: str) -> None:
    """They differ at both ends."""
    assert expected == cut_middle(text, cells)


def test_a_failure_is_told_without_colour() -> None:
    """In a word."""
    running = Running()
    for event in (begin(solve("a"), solve("b")), ends("solve:a", StepState.FAILED), ends("solve:b", StepState.SKIPPED)):
        running.take(event)
    assert lines(running.view(1001.0))[-1].endswith("2/2 builds, 1 failed, 1 left out, 1.0s")
