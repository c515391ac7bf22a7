"""The outline of a plan, with which the events of its run begin."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from orchestrator.api.invocation import StepId
from orchestrator.api.outline import BuildOutline, ImageOutline, StepOutline
from orchestrator.plan.model import LoadStep, Plan, PlannedImage, PlatformBuild, RecordStep, SolveStep, Step, TestStep


def outline_steps(steps: Iterable[Step], seconds: Mapping[StepId, float]) -> tuple[StepOutline, ...]:
    """The steps, with how long solves took the last time, where that is known."""
    return tuple(
        StepOutline(
            id=step.id,
            kind=str(step.__struct_config__.tag),
            image=step.image,
            needs=step.needs,
            platforms=_platforms(step),
            nodes=(step.node, *step.others) if isinstance(step, SolveStep | TestStep) else (),
            seconds=seconds.get(step.id),
        )
        for step in steps
    )


def outline_images(plan: Plan) -> tuple[ImageOutline, ...]:
    """The images of a plan with their platform builds."""
    builds: dict[str, list[PlatformBuild]] = {}
    for build in plan.builds:
        builds.setdefault(build.image, []).append(build)
    return tuple(_image(image, builds.get(image.name, ())) for image in plan.images)


def _image(image: PlannedImage, builds: Iterable[PlatformBuild]) -> ImageOutline:
    return ImageOutline(
        name=image.name,
        action=image.action.value,
        builds=tuple(map(_build, builds)),
        tags=tuple(str(tag.reference or tag.name) for tag in image.tags),
        version=image.version,
        digest=image.digest,
    )


def _build(build: PlatformBuild) -> BuildOutline:
    return BuildOutline(
        platform=str(build.platform),
        action=build.action.value,
        reasons=tuple(reason.message for reason in build.reasons),
        mode=build.placement.mode.value if build.placement else "",
        inputs=build.inputs,
    )


def _platforms(step: Step) -> tuple[str, ...]:
    match step:
        case SolveStep():
            return tuple(map(str, step.solve.platforms))
        case RecordStep() | TestStep() | LoadStep():
            return (str(step.platform),)
        case _:
            return ()
