"""The summary of a job of GitHub Actions: what a run came to, in Markdown."""

from __future__ import annotations

import html
from collections.abc import Iterator
from typing import Final

from orchestrator.state.summary import ImageResult, RunResult, StepFailure
from orchestrator.ui.text import count, duration, printable

_MOST_IMAGES: Final = 1000
_MOST_FAILURES: Final = 20
"""A summary has at most 1 MiB (GitHub's limit)."""


def render_job_summary(result: RunResult) -> str:
    """A table of the images, then what failed."""
    return "\n".join(_lines(result)) + "\n"


def _lines(result: RunResult) -> Iterator[str]:
    good = sum(image.state in {"released", "verified"} for image in result.images)
    yield f"### {_text(result.project)}: {good} of {count(len(result.images), 'image')} verified"
    yield ""
    yield "| image | state | platforms | tags | digest |"
    yield "|---|---|---|---|---|"
    yield from map(_row, result.images[:_MOST_IMAGES])
    if len(result.images) > _MOST_IMAGES:
        yield f"| {len(result.images) - _MOST_IMAGES} more | | | | |"
    for failure in result.failures[:_MOST_FAILURES]:
        yield from _failure(failure)
    if len(result.failures) > _MOST_FAILURES:
        yield from ("", f"{len(result.failures) - _MOST_FAILURES} more failed.")
    yield ""


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
    for line in (failure.message, *failure.excerpt, *failure.lines):
        yield f"    {printable(line)}"
    if failure.command:
        yield ""
        yield f"    {printable(failure.command)}"


def _text(text: str) -> str:
    """Text of others as text: no HTML, no links, no new cell."""
    escaped = html.escape(printable(text))
    return "".join(f"\\{letter}" if letter in "\\`*_[]|~" else letter for letter in escaped)
