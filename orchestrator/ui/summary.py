"""The summary of a job of GitHub Actions: what a run came to, in Markdown."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator
from typing import Final

from orchestrator.state.summary import ImageResult, RunResult, StepFailure
from orchestrator.ui.text import count, duration, printable

_MOST_IMAGES: Final = 1000
_MOST_FAILURES: Final = 20
_MOST_LINES: Final = 40
_MOST_LETTERS: Final = 400
_TABLE_BYTES: Final = 400 * 1024
_FAILURES_BYTES: Final = 400 * 1024
"""GitHub drops a summary of more than 1 MiB; what stands around the table and the failures is a few lines."""


def render_job_summary(result: RunResult, hints: tuple[str, ...] = ()) -> str:
    """A table of the images, then what failed; `hints` say what to do now."""
    return "\n".join(_lines(result, hints)) + "\n"


def _lines(result: RunResult, hints: tuple[str, ...]) -> Iterator[str]:
    good = sum(image.state in {"released", "verified"} for image in result.images)
    yield f"### {_text(result.project)}: {good} of {count(len(result.images), 'image')} verified"
    yield ""
    yield "| image | state | platforms | tags | digest |"
    yield "|---|---|---|---|---|"
    rows = list(_within(_TABLE_BYTES, map(_row, result.images[:_MOST_IMAGES])))
    yield from rows
    if len(result.images) > len(rows):
        yield f"| {len(result.images) - len(rows)} more | | | | |"
    blocks = ("\n".join(_failure(failure)) for failure in result.failures[:_MOST_FAILURES])
    failures = list(_within(_FAILURES_BYTES, blocks))
    yield from failures
    if len(result.failures) > len(failures):
        yield from ("", f"{len(result.failures) - len(failures)} more failed.")
    if hints:
        yield ""
        yield from (f"- {_text(hint)}" for hint in hints[:_MOST_LINES])
    yield ""


def _within(most: int, pieces: Iterable[str]) -> Iterator[str]:
    """The first of them that have together no more bytes than this."""
    for piece in pieces:
        most -= len(piece.encode(errors="replace")) + 1
        if most < 0:
            return
        yield piece


def _row(image: ImageResult) -> str:
    builds = (
        f"{build.platform} {build.state}" + (f" {duration(build.seconds)}" if build.seconds is not None else "")
        for build in image.platforms
    )
    tags = (tag.ref.rpartition("/")[2].partition(":")[2] for tag in image.tags if tag.put)
    cells = (image.name, image.state, ", ".join(builds), ", ".join(tags), image.digest or "")
    return "| " + " | ".join(map(_text, cells)) + " |"


def _failure(failure: StepFailure) -> Iterator[str]:
    place = f" at {failure.place}" if failure.place else ""
    yield ""
    yield f"**{_text(failure.step)} failed{_text(place)}**"
    yield ""
    # indented lines are code, whatever is in them
    for line in (failure.message, *failure.excerpt[:_MOST_LINES], *failure.lines[-_MOST_LINES:]):
        yield f"    {_cut(line)}"
    if failure.log:
        yield from ("", f"Log: {_text(failure.log)}")
    if failure.hints:
        yield ""
        yield from (f"- {_text(hint)}" for hint in failure.hints[:_MOST_LINES])
    if failure.command:
        yield from ("", "Alone:", "", f"    {printable(failure.command)}")


def _cut(text: str) -> str:
    shown = printable(text[: 4 * _MOST_LETTERS])
    return shown if len(shown) <= _MOST_LETTERS else f"{shown[:_MOST_LETTERS]}…"


def _text(text: str) -> str:
    """Text of others as text: no HTML, no links, no new cell."""
    escaped = html.escape(_cut(text))
    return "".join(f"\\{letter}" if letter in "\\`*_[]|~" else letter for letter in escaped)
