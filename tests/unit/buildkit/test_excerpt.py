"""Where in a Dockerfile a build failed, as buildx 0.20 to 0.30 prints it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.api.events import FailedAt
from orchestrator.api.invocation import Outcome
from orchestrator.buildkit.excerpt import Excerpt, ExcerptReader, without_excerpts
from orchestrator.buildkit.failure import describe_failure
from orchestrator.buildkit.progress import RawJsonReader

RULE = "-" * 20
SOURCE = ("   2 |     RUN echo hello", "   3 | >>> RUN echo one && \\", "   4 | >>>     exit 7", "   5 |     ")
BLOCK = ("api.Dockerfile:3", RULE, *SOURCE, RULE)
ERROR = 'ERROR: failed to build: failed to solve: "/nowhere.txt": not found'
FOUND = Excerpt(file="api.Dockerfile", line=3, lines=(*SOURCE[:3], "   5 |"))


def read(*lines: str) -> list[Excerpt]:
    """The excerpts in these lines."""
    reader = ExcerptReader()
    return [found for line in lines if (found := reader.feed(line))]


def test_the_place_and_its_lines_are_read() -> None:
    """Between whatever else is printed."""
    assert [FOUND] == read("WARNING: x", *BLOCK, ERROR)


@pytest.mark.parametrize(
    "lines",
    [BLOCK[:-1], BLOCK[1:], (BLOCK[0], *BLOCK[2:]), ("../x:3", *BLOCK[1:]), ("api:x", *BLOCK[1:]),
     (*BLOCK[:2], RULE), (*BLOCK[:3], "boo", *BLOCK[3:])],
)  # fmt: skip
def test_what_is_no_excerpt_gives_nothing(lines: tuple[str, ...]) -> None:
    """Nor does it confuse what follows."""
    assert [] == read(*lines)
    assert [FOUND] == read(*lines, "", *BLOCK)


def test_a_long_excerpt_is_cut() -> None:
    """A heredoc may have hundreds of lines, and a line millions of characters."""
    (found,) = read("x:2", RULE, *(f" {number} | >>> {'y' * 1000}" for number in range(100, 400)), RULE)
    assert (20, "     | … 281 more lines") == (len(found.lines), found.lines[-1])
    assert max(map(len, found.lines)) <= 400


def test_the_reader_of_a_build_gives_an_event() -> None:
    """From stderr alone: what a build prints comes in JSON, and cannot look like it."""
    expected = FailedAt(step="solve:x", file=FOUND.file, line=3, excerpt=FOUND.lines)
    reader = RawJsonReader("solve:x")
    assert [expected] == [event for line in ('{"logs":[]}', *BLOCK, ERROR) for event in reader.feed("stderr", line)]
    assert [] == [event for line in BLOCK for event in reader.feed("stdout", line)]


def test_the_last_lines_do_not_repeat_it() -> None:
    """Where nothing was logged they are what buildx said besides the error and the excerpt."""
    found = describe_failure(Outcome(exit_code=1, stderr="\n".join(("WARN: old", *BLOCK, ERROR))))
    assert ('"/nowhere.txt": not found', ("WARN: old",)) == (found.message, found.lines)


@given(st.lists(st.sampled_from([*BLOCK, "", "other"]), max_size=30))
def test_what_is_not_read_is_left(lines: list[str]) -> None:
    """Both ways to look for excerpts find as many."""
    left = without_excerpts("\n".join(lines))
    assert read(*lines) == [] or left.count(RULE) < "\n".join(lines).count(RULE)
