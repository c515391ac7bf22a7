"""The outline of a plan, with which the events of its run begin."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from orchestrator.api.invocation import StepId
from orchestrator.api.outline import BuildOutline, ImageOutline, StepOutline
from orchestrator.oci.digest import Digest
from orchestrator.plan import stepnames
from orchestrator.plan.model import (
    Action,
    LoadStep,
    Plan,
    PlannedImage,
    PlatformBuild,
    RecordStep,
    SolveStep,
    Step,
    TestStep,
)


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
            dockerfile=outline_dockerfile(step),
        )
        for step in steps
    )


def outline_images(plan: Plan) -> tuple[ImageOutline, ...]:
    """The images of a plan with their platform builds.

    What a part of a plan records no more stands by then, whatever the whole was to do about it.
    """
    recorded = {step.id for step in plan.steps if isinstance(step, RecordStep)}
    stands = {known.step: known.manifest for known in plan.known}
    builds: dict[str, list[BuildOutline]] = {}
    for build in plan.builds:
        record = stepnames.record_of(build.id)
        outlined = _build(build, stands.get(record))
        if build.action is Action.BUILD and record not in recorded:
            outlined = msgspec.structs.replace(outlined, action=Action.REUSE.value, reasons=())
        builds.setdefault(build.image, []).append(outlined)
    return tuple(_image(image, builds.get(image.name, ())) for image in plan.images)


def _image(image: PlannedImage, builds: Iterable[BuildOutline]) -> ImageOutline:
    return ImageOutline(
        name=image.name,
        action=image.action.value,
        builds=tuple(builds),
        needs=tuple(dict.fromkeys(edge.parent for edge in image.edges)),
        tags=tuple(str(tag.reference or tag.name) for tag in image.tags),
        standing=tuple(str(tag.reference or tag.name) for tag in image.tags if tag.stands(image.digest, image.version)),
        version=image.version,
        digest=image.digest,
    )


def _build(build: PlatformBuild, stands: Digest | None) -> BuildOutline:
    return BuildOutline(
        platform=str(build.platform),
        action=build.action.value,
        reasons=tuple(reason.message for reason in build.reasons),
        mode=build.placement.mode.value if build.placement else "",
        inputs=build.inputs,
        digest=stands,
    )


def outline_dockerfile(step: Step) -> str:
    """What a solve builds; empty for other steps, and where it stands in `builds.toml`."""
    if not isinstance(step, SolveStep) or step.solve.options.dockerfile_inline is not None:
        return ""
    return step.solve.options.dockerfile


def _platforms(step: Step) -> tuple[str, ...]:
    match step:
        case SolveStep():
            return tuple(map(str, step.solve.platforms))
        case RecordStep() | TestStep() | LoadStep():
            return (str(step.platform),)
        case _:
            return ()
