"""The images of a report: what became of their platform builds and tags, and where each stands in the graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from orchestrator.api.events import RunStarted, StepFinished
from orchestrator.api.invocation import StepId
from orchestrator.api.outline import BuildOutline, ImageOutline, StepOutline
from orchestrator.ui.report.clean import clean_lines, clean_name
from orchestrator.ui.report.layout import Drawing
from orchestrator.ui.report.model import BuildRow, ImageRow, TagRow
from orchestrator.ui.report.seen import Seen
from orchestrator.ui.report.states import build_state, image_state


def image_rows(outline: RunStarted, seen: Seen, states: Mapping[StepId, str], drawing: Drawing) -> Iterator[ImageRow]:
    """All images, in the order of the plan."""
    by_image: dict[str, list[StepOutline]] = {}
    for step in outline.steps:
        by_image.setdefault(step.image, []).append(step)
    for image in outline.images:
        steps = by_image.get(image.name, [])
        verify = next((seen.finished.get(step.id) for step in steps if step.kind == "verify"), None)
        sizes = {each.platform: each.size for each in verify.sizes} if verify else {}
        builds = tuple(
            _build(build, _own(build, steps), seen, states, size=sizes.get(build.platform)) for build in image.builds
        )
        verified = (verify.digest if verify else None) or ""
        place = drawing.places[image.name]
        yield ImageRow(
            name=clean_name(image.name),
            state=image_state((build.state for build in builds), steps, states),
            x=place.x,
            y=place.y,
            needs=tuple(map(clean_name, image.needs)),
            builds=builds,
            tags=tuple(_tag(tag, image, outline, seen) for tag in image.tags),
            version=clean_name(image.version or ""),
            digest=clean_name(image.digest or verified),
        )


def _own(build: BuildOutline, steps: Sequence[StepOutline]) -> list[StepOutline]:
    return [step for step in steps if build.platform in step.platforms and step.kind in {"solve", "record", "test"}]


def _build(
    build: BuildOutline, steps: Sequence[StepOutline], seen: Seen, states: Mapping[StepId, str], *, size: int | None
) -> BuildRow:
    given = (found for step in steps if step.kind == "record" and (found := _digest(step, seen)))
    return BuildRow(
        platform=clean_name(build.platform),
        state=build_state(build, steps, states),
        reasons=clean_lines(build.reasons),
        mode=clean_name(build.mode),
        inputs=clean_name(build.inputs or ""),
        digest=clean_name(next(given, build.digest or "")),
        size=size,
    )


def _digest(step: StepOutline, seen: Seen) -> str:
    finished: StepFinished | None = seen.finished.get(step.id)
    return (finished.digest or "") if finished else ""


def _tag(reference: str, image: ImageOutline, outline: RunStarted, seen: Seen) -> TagRow:
    """What became of a tag; only where the run is to put tags at all is it said that one was not put."""
    put = seen.put.get(reference)
    before = (put.previous if put else seen.before.get(reference)) or ""
    if reference in seen.undone:
        state = "undone"
    elif put is not None:
        state = "stands" if put.previous == put.digest else "put"
    elif outline.destination != "push":
        state = ""
    else:
        state = "stands" if reference in image.standing else "not put"
    return TagRow(ref=clean_name(reference), state=state, before=clean_name(before))
