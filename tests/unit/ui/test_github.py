"""A job of GitHub Actions: groups, annotations, and nothing that a build could command."""

from __future__ import annotations

from orchestrator.api.events import BuildWarning, Event, FailedAt, LogLine, Retried, StepState
from orchestrator.ui.github import GithubProgress
from tests.unit.ui.runs import begin, ends, solve, starts
from tests.unit.ui.test_workflow import HOSTILE, is_command

RUN: tuple[Event, ...] = (begin(solve("api"), solve("base")), starts("solve:api"))


def written(*events: Event, verbose: bool = False, folder: str = "") -> list[str]:
    """What is written after the run began."""
    lines: list[str] = []
    progress = GithubProgress(lines.append, verbose=verbose, clock=lambda: 0.0, folder=folder)
    for event in RUN:
        progress(event)
    lines.clear()
    for event in events:
        progress(event)
    return lines


def says(text: str, step: str = "solve:api") -> LogLine:
    """A line that a build printed."""
    return LogLine(step=step, vertex="v", stream="stdout", text=text)


def test_what_a_build_printed_is_a_group() -> None:
    """Once it has ended, so that builds do not mix."""
    assert [
        "::group::api@linux/amd64,linux/arm64  done, 10s", "| one", "| two", "::endgroup::", "solve:api  done in 10s",
    ] == written(says("one"), says("other", "solve:base"), says("1%\r\x1b[1mtwo"), ends("solve:api"))  # fmt: skip


def test_a_failure_is_an_annotation_at_its_line() -> None:
    """Of the Dockerfile, from the folder of the checkout; with the last lines."""
    at = FailedAt(step="solve:api", file="Dockerfile", line=3)
    ended = ends("solve:api", StepState.FAILED, message="exit: 7\nlast, line")
    assert [
        "solve:api  FAILED in 10s  exit: 7",
        "::error file=images/api/Dockerfile,line=3,title=api@linux/amd64%2Clinux/arm64 failed::exit: 7%0A| last, line",
    ] == written(at, ended, folder="images/")
    assert "::error title=api@" == written(ended)[-1][:18]


def test_a_warning_is_an_annotation() -> None:
    """With whose it is."""
    assert ["::warning title=api@linux/amd64%2Clinux/arm64::use = (100%25)"] == written(
        BuildWarning(step="solve:api", message="use = (100%)")
    )


def test_of_a_build_that_is_tried_again_the_last_attempt_is_shown() -> None:
    """The log of the step has them all."""
    again = Retried(step="solve:api", attempt=1, message="reset", time=0.0)
    assert "| one" not in written(says("one"), again, says("two"), ends("solve:api"))


def test_with_verbose_lines_come_as_they_are_printed() -> None:
    """And not again."""
    assert ["solve:api  | one", "solve:api  done in 10s"] == written(says("one"), ends("solve:api"), verbose=True)


def test_a_build_that_prints_a_gigabyte_leaves_memory_flat() -> None:
    """The end is kept, and how much was before it."""
    lines = written(*(says("x" * 5000) for _ in range(1000)), ends("solve:api"))
    assert sum(map(len, lines)) < 600 * 1024
    assert "| 869 lines before these are in the log of the step" == lines[1]


def test_builds_command_nothing() -> None:
    """Neither in their logs, nor in messages and warnings; with `-v` neither."""
    ours = ("::group::", "::endgroup::", "::error ", "::warning ")
    for text in HOSTILE:
        events = (
            says(text), BuildWarning(step="solve:api", message=text), FailedAt(step="solve:api", file=text, line=1),
            Retried(step="solve:api", attempt=1, message=text, time=0.0), says(text),
            ends("solve:api", StepState.FAILED, message=f"{text}\n{text}"),
        )  # fmt: skip
        for verbose in (True, False):
            lines = written(*events, verbose=verbose)
            assert [] == [line for line in lines if is_command(line) and not line.startswith(ours)]
            assert not any("\n" in line or "\r" in line or "##[" in line for line in lines)
