"""What is different between two plans, in the words of `builds.toml`: `diff` shows it, `apply` stops on it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, TypeVar

from msgspec import structs

from orchestrator.model import Model
from orchestrator.plan.document import BuildDocument, ImageDocument, PlanDocument, StepDocument

_T = TypeVar("_T")


class Difference(Model):
    """One thing that differs: `subject` is an image, a platform build, a step or the plan as a whole.

    `before` and `after` are lines; a value that is not there has none, and several are a list that changed.
    """

    subject: str
    attribute: str
    before: tuple[str, ...]
    after: tuple[str, ...]


_Look = Callable[[_T], tuple[str, ...]]
"""How an attribute is shown."""

_PLAN: Final[Mapping[str, _Look[PlanDocument]]] = {
    "project": lambda plan: (plan.project,),
    "destination": lambda plan: (plan.destination,),
}
_IMAGE: Final[Mapping[str, _Look[ImageDocument]]] = {
    "action": lambda image: (image.action,),
    "repository": lambda image: _optional(image.repository),
    "version": lambda image: _optional(image.version),
    "publish": lambda image: (str(image.publish).lower(),),
    "platforms": lambda image: image.platforms,
    "tags": lambda image: tuple(f"{tag.ref}{' (moving)' if tag.moving else ''}" for tag in image.tags),
    "tags now": lambda image: tuple(f"{tag.ref} {tag.current or 'none'}" for tag in image.tags),
    "needs": lambda image: tuple(sorted(f"{edge.image} ({edge.kind})" for edge in image.edges)),
    "test": lambda image: (*image.test.run, *image.test.platforms) if image.test else (),
    "index": lambda image: _optional(image.digest),
}
_FOLLOWS: Final = {"tags now": "tags"}
"""What differs anyway where something else does."""

_BUILD: Final[Mapping[str, _Look[BuildDocument]]] = {
    "action": lambda build: (build.action,),
    "because": lambda build: tuple(reason.message for reason in build.reasons),
    "needs": lambda build: build.needs,
    "input": lambda build: _optional(build.input),
    "placement": lambda build: (
        (f"{build.placement.backend} {build.placement.node} {build.placement.mode}",) if build.placement else ()
    ),
}
_STEP: Final[Mapping[str, _Look[StepDocument]]] = {
    "needs": lambda step: step.needs,
    "argv": lambda step: tuple(word for argv in step.argv for word in argv),
    "environment": lambda step: step.environment,
    "tags": lambda step: step.tags,
    "refusal": lambda step: _optional(step.refusal or None),
}


def compare_plans(before: PlanDocument, after: PlanDocument) -> tuple[Difference, ...]:
    """All that differs in what would be done; where findings stand and how long it may take does not count."""
    return (
        *_compare("plan", before, after, _PLAN),
        *_compare_all(_named(before.images), _named(after.images), _IMAGE, "image"),
        *_compare_all(_by_id(before.builds), _by_id(after.builds), _BUILD, "platform build"),
        *_compare_all(_steps(before.steps), _steps(after.steps), _STEP, "step"),
    )


def say_the_same(before: PlanDocument, after: PlanDocument) -> bool:
    """Whether two plans say the same in every word but for findings, places, and how long it may take."""
    return _told(before) == _told(after)


def _told(plan: PlanDocument) -> PlanDocument:
    images = tuple(
        structs.replace(image, edges=tuple(structs.replace(edge, place=None) for edge in image.edges))
        for image in plan.images
    )
    summary = structs.replace(plan.summary, errors=0, warnings=0)
    return structs.replace(plan, images=images, summary=summary, diagnostics=(), estimate=None, since=None)


def _compare_all(
    before: Mapping[str, _T], after: Mapping[str, _T], looks: Mapping[str, _Look[_T]], kind: str
) -> Iterator[Difference]:
    for subject in dict.fromkeys((*before, *after)):
        old, new = before.get(subject), after.get(subject)
        if old is None:
            yield Difference(subject=subject, attribute=kind, before=(), after=(subject,))
        elif new is None:
            yield Difference(subject=subject, attribute=kind, before=(subject,), after=())
        else:
            yield from _compare(subject, old, new, looks)


def _compare(subject: str, before: _T, after: _T, looks: Mapping[str, _Look[_T]]) -> Iterator[Difference]:
    differing: set[str] = set()
    for attribute, look in looks.items():
        old, new = look(before), look(after)
        if old != new and _FOLLOWS.get(attribute) not in differing:
            differing.add(attribute)
            yield Difference(subject=subject, attribute=attribute, before=old, after=new)


def _optional(value: str | None) -> tuple[str, ...]:
    return () if value is None else (value,)


def _named(images: Iterable[ImageDocument]) -> dict[str, ImageDocument]:
    return {image.name: image for image in images}


def _by_id(builds: Iterable[BuildDocument]) -> dict[str, BuildDocument]:
    return {build.id: build for build in builds}


def _steps(steps: Iterable[StepDocument]) -> dict[str, StepDocument]:
    return {step.id: step for step in steps}
