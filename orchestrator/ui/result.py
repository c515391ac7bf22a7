"""The end of a run as people read it: the table, what failed and why, and what stands where."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from orchestrator.api.events import Event, StepFinished, StepState
from orchestrator.plan.model import ExportStep, LoadStep, Plan
from orchestrator.state.summary import PART, RunResult, StepFailure, moved_tags, unsure_tags
from orchestrator.ui.excerpt import printable as escaped
from orchestrator.ui.text import count, duration, printable, table


def render_result_table(result: RunResult) -> str:
    """Image, platform, state, time and whole digest; an image's own line has the digest of its index.

    Beneath an image is what keeps the values of an earlier build.
    """
    rows = [("IMAGE", "PLATFORM", "STATE", "TIME", "DIGEST")]
    notes: dict[int, str] = {}
    for image in result.images:
        rows.append((escaped(image.name), "index", escaped(image.state), "", escaped(image.digest or "")))
        for build in image.platforms:
            time = duration(build.seconds) if build.seconds is not None else ""
            rows.append(("", escaped(build.platform), escaped(build.state), time, escaped(build.digest or "")))
        if image.keeps:
            notes[len(rows) - 1] = f"keeps {escaped(', '.join(image.keeps))}"
    width = max(len(row[0]) for row in rows) + 2
    lines = [
        line
        for number, row in enumerate(table(rows))
        for line in ((row, " " * width + notes[number]) if number in notes else (row,))
    ]
    states = [image.state for image in result.images]
    parts = [build for image in result.images if image.state == PART for build in image.platforms]
    if parts and len(parts) == sum(len(image.platforms) for image in result.images):
        took = duration(result.finished - result.started)
        lines += ["", f"{count(len(parts), 'platform build')} recorded in {took}; `orchestrate apply --finish` tags"]
        return "\n".join(lines) + "\n"
    good = sum(state in {"released", "verified"} for state in states)
    shown = f"; {_tags(result)}" if result.destination == "push" else ""
    took = duration(result.finished - result.started)
    lines += ["", f"{good} of {count(len(states), 'image')} verified{shown} in {took}"]
    return "\n".join(lines) + "\n"


def render_failures(result: RunResult, show: Callable[[str], str] = str) -> str:
    """Each failure with the last lines of what failed, and what to do; empty without one.

    Args:
        result: of the run.
        show: makes of a file, relative to the project, what people are to read.
    """
    lines: list[str] = []
    for failure in result.failures:
        lines += ["", *_failure(failure, show)]
    if result.destination == "push" and (result.failures or result.exit_code):
        lines += ["", *_moves(result)]
    return "\n".join(lines) + "\n" if lines else ""


def _tags(result: RunResult) -> str:
    """How many stand; those that stood before this release were not put by it."""
    tags = [tag for image in result.images for tag in image.tags]
    standing, moved = sum(tag.put for tag in tags), len(moved_tags(result))
    if moved == standing:
        return f"{moved} of {count(len(tags), 'tag')} put"
    now = f", {moved} of them put now" if moved else ""
    return f"{standing} of {count(len(tags), 'tag')} {'stands' if standing == 1 else 'stand'}{now}"


def _moves(result: RunResult) -> Iterator[str]:
    """Which tags a release that did not end well has put; the last lines that people look for."""
    moved, unsure = moved_tags(result), unsure_tags(result)
    if moved:
        yield from ("these tags were put:", *(f"  {ref}" for ref in moved))
    if unsure:
        yield from ("whether these tags were put is not known:", *(f"  {ref}" for ref in unsure))
    if not (moved or unsure):
        yield "no tag was put"


def render_places(plan: Plan, events: Iterable[Event], show: Callable[[str], str]) -> str:
    """Where a run on this machine left what it built: folders of layouts, names in Docker; empty without any.

    Args:
        plan: what was run.
        events: what became of it.
        show: makes of a folder, relative to the project, what people are to read.
    """
    done = {event.step for event in events if isinstance(event, StepFinished) and event.state is StepState.DONE}
    lines = []
    for step in plan.steps:
        match step:
            case LoadStep() if step.id in done:
                lines.append(f"loaded: {', '.join(step.names)}")
            case ExportStep() if step.id in done:
                lines.append(f"layout: {show(step.target.path)}")
            case _:
                pass
    return "".join(f"{line}\n" for line in lines)


def _failure(failure: StepFailure, show: Callable[[str], str]) -> Iterator[str]:
    yield f"failed: {failure.step}: {printable(failure.message)}"
    if failure.place:
        yield f"at {printable(failure.place)}"
    yield from (f"  {printable(line)}" for line in failure.excerpt)
    if failure.lines:
        if failure.excerpt:
            yield "it printed last:"
        yield from (f"  | {printable(line)}" for line in failure.lines)
    if failure.log:
        yield f"log: {printable(show(failure.log))}"
    yield from (f"hint: {hint}" for hint in failure.hints)
    if failure.command:
        yield f"alone: {printable(failure.command)}"
