"""The DAG of steps of a plan: solve -> record -> test, assemble -> verify -> copy -> gate -> promote."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import assert_never

import msgspec

from orchestrator.api.invocation import DigestOf, late_values
from orchestrator.api.solve import BuildArg, BuildOptions, LayoutOutput, Output, PushOutput, Solve
from orchestrator.model import Model
from orchestrator.oci.digest import Digest
from orchestrator.oci.platform import Platform
from orchestrator.oci.reference import Reference, Repository
from orchestrator.plan import names, stepnames
from orchestrator.plan.image import Image, Variant
from orchestrator.plan.memory import RememberedPart
from orchestrator.plan.model import (
    AssembleStep,
    CopyStep,
    Destination,
    ExportStep,
    GateStep,
    Home,
    Known,
    LayoutHome,
    LoadStep,
    PlannedPlacement,
    PlannedTag,
    PromoteStep,
    RecordKey,
    RecordStep,
    RegistryHome,
    SolveStep,
    Step,
    TagMove,
    TestStep,
    VerifyStep,
)
from orchestrator.plan.platform_test import Subject, make_test
from orchestrator.plan.wire import Wiring


class PlacedVariant(Model):
    """A variant with its place and its wiring; `remembered` where it stands already.

    `test` is the command that it has to pass, where that is still to be run.
    """

    variant: Variant
    placement: PlannedPlacement | None
    wiring: Wiring
    key: RecordKey
    inputs: Digest | None = None
    remembered: RememberedPart | None = None
    test: tuple[str, ...] = ()


class ReadyImage(Model):
    """An image of which every selected platform has a place; `selected` rather than only needed by one that is.

    `digest` is the index of all its platforms, where it stands already; `extra` what decides it besides its parts.
    """

    image: Image
    digest: Digest | None
    scope: str
    extra: str
    forced: bool
    variants: tuple[PlacedVariant, ...]
    home: Home
    parents: tuple[str, ...]
    data_parents: tuple[str, ...]
    tags: tuple[PlannedTag, ...]
    selected: bool

    @property
    def platforms(self) -> tuple[Platform, ...]:
        """The platforms of this plan."""
        return tuple(placed.variant.platform for placed in self.variants)


def plan_steps(
    images: tuple[ReadyImage, ...], *, destination: Destination, host: Platform, replace_tags: bool, layout_folder: str
) -> tuple[str, tuple[Step, ...]]:
    """The run id and all steps, parents first."""
    groups = {ready.image.name: tuple(_group(ready)) for ready in images if ready.digest is None}
    run = names.run_id(msgspec.json.encode(tuple(map(_content, images))))
    steps: list[Step] = []
    for ready in images:
        if ready.digest is None:
            steps += _image_steps(ready, groups[ready.image.name], run)
    if destination is Destination.PUSH:
        steps += _release_steps(images, replace_tags=replace_tags)
    if destination is Destination.LAYOUT:
        steps += [step for ready in images for step in _export_steps(ready, layout_folder)]
    if destination is Destination.LOAD:
        steps += [step for ready in images for step in _load_steps(ready, host)]
    return run, tuple(steps)


def _content(ready: ReadyImage) -> tuple[object, ...]:
    """What an image is made of, wherever it is built and whatever of it stands already: the same on any machine."""
    variants = tuple((placed.variant, placed.inputs or placed.wiring) for placed in ready.variants)
    return (ready.image.name, ready.image.annotations, variants)


def _group(ready: ReadyImage) -> Iterator[tuple[PlacedVariant, ...]]:
    """Variants to build whose requests are equal but for the platform, together; in the order of declaration."""
    groups: list[list[PlacedVariant]] = []
    for placed in ready.variants:
        if placed.remembered:
            continue
        group = next((group for group in groups if _alike(group[0], placed)), None)
        if group is None:
            groups.append([placed])
        else:
            group.append(placed)
    return (tuple(group) for group in groups)


def _alike(one: PlacedVariant, other: PlacedVariant) -> bool:
    return (
        _nodes(one) == _nodes(other)
        and (one.variant.options is other.variant.options or one.variant.options == other.variant.options)
        and one.wiring.contexts == other.wiring.contexts
        and one.wiring.pins == other.wiring.pins
        and one.wiring.args == other.wiring.args
    )


def _nodes(placed: PlacedVariant) -> tuple[str, str, tuple[str, ...]]:
    """The backend of a variant that is built, its node, and the others that do the same."""
    if placed.placement is None:
        msg = f"`{placed.variant.platform}` is built nowhere"
        raise LookupError(msg)
    return placed.placement.backend, placed.placement.node, placed.placement.others


def _difference(one: PlacedVariant, other: PlacedVariant) -> str:
    """Why two platforms of one image cannot share a solve."""
    if _nodes(one) != _nodes(other):
        return "its platforms are built on different nodes"
    names_ = (
        field
        for field in one.variant.options.__struct_fields__
        if getattr(one.variant.options, field) != getattr(other.variant.options, field)
    )
    return f"its platforms differ in {', '.join(f'`{name}`' for name in names_) or '`contexts`'}"


def _image_steps(ready: ReadyImage, groups: tuple[tuple[PlacedVariant, ...], ...], run: str) -> Iterator[Step]:
    image = ready.image
    because = _difference(groups[0][0], groups[1][0]) if len(groups) > 1 else ""
    records: list[RecordStep] = []
    for group in groups:
        step = _solve_step(ready, group, run, whole=len(group) == len(ready.variants), because=because)
        yield step
        for placed in group:
            platform = placed.variant.platform
            records.append(
                RecordStep(
                    id=stepnames.record_id(image.name, platform), image=image.name, needs=(step.id,), solve=step.id,
                    platform=platform, home=ready.home, key=placed.key,
                    replaces=ready.forced or not placed.key.manifest,
                )
            )  # fmt: skip
    yield from records
    tests = tuple(_test_steps(ready))
    yield from tests
    parts = tuple(stepnames.record_id(image.name, platform) for platform in ready.platforms)
    yield AssembleStep(
        id=stepnames.assemble_id(image.name),
        image=image.name,
        needs=tuple(record.id for record in records),
        parts=parts,
        home=ready.home,
        annotations=image.annotations,
    )
    yield VerifyStep(
        id=stepnames.verify_id(image.name),
        image=image.name,
        needs=(stepnames.assemble_id(image.name), *(test.id for test in tests)),
        index=stepnames.assemble_id(image.name),
        parts=parts,
        parents=tuple(placed.key.parents for placed in ready.variants),
        platforms=ready.platforms,
        home=ready.home,
        scope=ready.scope,
        extra=ready.extra,
    )


def _test_steps(ready: ReadyImage) -> Iterator[TestStep]:
    for placed in ready.variants:
        if placed.test and placed.placement:
            yield make_test(
                Subject(
                    image=ready.image, platform=placed.variant.platform, home=ready.home, scope=ready.scope,
                    command=placed.test, placement=placed.placement,
                    record=placed.remembered.record if placed.remembered else None,
                )
            )  # fmt: skip


def known_results(images: tuple[ReadyImage, ...]) -> Iterator[Known]:
    """What stands already of these images, as results of the steps that would have made it."""
    for ready in images:
        name = ready.image.name
        if ready.digest:
            yield Known(step=stepnames.assemble_id(name), digest=ready.digest)
        for placed in ready.variants:
            part = placed.remembered
            if part:
                step = stepnames.record_id(name, placed.variant.platform)
                yield Known(step=step, digest=part.record, manifest=part.manifest, key=part.key)


def _layout_name(ready: ReadyImage) -> str:
    """The name of the one root of a layout: the first tag."""
    return ready.tags[0].name if ready.tags else "latest"


def _solve_step(
    ready: ReadyImage, group: tuple[PlacedVariant, ...], run: str, *, whole: bool, because: str
) -> SolveStep:
    image, first = ready.image, group[0]
    backend, node, others = _nodes(first)
    platforms = tuple(placed.variant.platform for placed in group)
    step_id = stepnames.solve_id(image.name, platforms, whole=whole)
    data = {stepnames.assemble_id(parent) for parent in ready.data_parents}
    words = (*(context.value for context in first.wiring.contexts), *(pin.value for pin in first.wiring.pins))
    late = (value for word in words for value in late_values(word))
    single = {value.step for value in late if isinstance(value, DigestOf)} - data
    order = {stepnames.assemble_id(parent) for parent in ready.parents} - data
    return SolveStep(
        id=step_id,
        image=image.name,
        needs=tuple(sorted(data | single | order)),
        backend=backend,
        node=node,
        home=ready.home,
        others=others,
        because=because,
        solve=Solve(
            id=step_id,
            image=image.name,
            platforms=platforms,
            options=_with_args(first.variant.options, first.wiring.args),
            output=_output(ready.home, step_id, image.name, run),
            contexts=first.wiring.contexts,
            pins=first.wiring.pins,
            timeout=image.timeout,
            retries=image.retries,
        ),
    )


def _with_args(options: BuildOptions, pinned: tuple[BuildArg, ...]) -> BuildOptions:
    """The options with these args instead of what was declared for them."""
    if not pinned:
        return options
    names_ = {arg.name for arg in pinned}
    kept = (arg for arg in options.args if arg.name not in names_)
    return msgspec.structs.replace(options, args=(*kept, *pinned))


def _output(home: Home, step: str, image: str, run: str) -> Output:
    match home:
        case LayoutHome():
            return LayoutOutput(name="layout")
        case RegistryHome(repository=repository):
            return PushOutput(reference=repository.tag(names.solve_tag(run, step, image)))
        case _:
            assert_never(home)


def _release_steps(images: tuple[ReadyImage, ...], *, replace_tags: bool) -> Iterator[Step]:
    before_gate = [stepnames.verify_id(ready.image.name) for ready in images if ready.digest is None]
    public = [ready for ready in images if ready.image.publish]
    parents = _published_parents(images)
    for ready in public:
        for step in _copy_steps(ready):
            before_gate.append(step.id)
            yield step
    yield GateStep(id=stepnames.GATE, needs=tuple(before_gate))
    fixed = [_promote_step(ready, parents, moving=False, replace=replace_tags) for ready in public]
    yield from fixed
    yield GateStep(id=stepnames.MOVING_GATE, needs=(stepnames.GATE, *(step.id for step in fixed)))
    for ready in public:
        yield _promote_step(ready, parents, moving=True, replace=True)


def _published_parents(images: tuple[ReadyImage, ...]) -> dict[str, tuple[str, ...]]:
    """The nearest published images that each one stands on: an unpublished one hands on its own."""
    found: dict[str, tuple[str, ...]] = {}
    public = {ready.image.name for ready in images if ready.image.publish}
    for ready in images:
        names_ = (name for parent in ready.parents for name in ((parent,) if parent in public else found[parent]))
        found[ready.image.name] = tuple(dict.fromkeys(names_))
    return found


def _copy_steps(ready: ReadyImage) -> Iterator[CopyStep]:
    image, home = ready.image, ready.home
    targets: dict[Repository, None] = {}
    for tag in ready.tags:
        if _stands(tag, ready):
            continue
        if tag.reference and isinstance(home, RegistryHome) and tag.reference.repository != home.repository:
            targets[tag.reference.repository] = None
    for target in targets:
        yield CopyStep(
            id=stepnames.copy_id(image.name, target),
            image=image.name,
            needs=_verified(ready),
            index=stepnames.assemble_id(image.name),
            home=home,
            target=target,
        )


def _stands(tag: PlannedTag, ready: ReadyImage) -> bool:
    """Whether the tag points where it is to point, and says so of this version."""
    return tag.stands(ready.digest, ready.image.version)


def _promote_step(
    ready: ReadyImage, parents: Mapping[str, tuple[str, ...]], *, moving: bool, replace: bool
) -> PromoteStep:
    name_of = stepnames.moving_id if moving else stepnames.promote_id
    return PromoteStep(
        id=name_of(ready.image.name),
        image=ready.image.name,
        needs=(stepnames.MOVING_GATE if moving else stepnames.GATE, *map(name_of, parents[ready.image.name])),
        index=stepnames.assemble_id(ready.image.name),
        moves=tuple(
            TagMove(
                reference=tag.reference,
                moving=moving,
                replace=replace,
                expected=tag.current,
                noted=tag.noted,
                version=ready.image.version if moving else None,
            )
            for tag in ready.tags
            if tag.reference and tag.moving is moving and not _stands(tag, ready)
        ),
    )


def _export_steps(ready: ReadyImage, folder: str) -> Iterator[ExportStep]:
    if isinstance(ready.home, LayoutHome):
        yield ExportStep(
            id=stepnames.export_id(ready.image.name),
            image=ready.image.name,
            needs=_verified(ready),
            index=stepnames.assemble_id(ready.image.name),
            home=ready.home,
            target=LayoutHome(path=f"{folder}/{ready.image.name}"),
            tag=_layout_name(ready),
        )


def _verified(ready: ReadyImage) -> tuple[str, ...]:
    """What comes before whatever is done with an image: what stands already was verified when it was put."""
    return () if ready.digest else (stepnames.verify_id(ready.image.name),)


def _load_steps(ready: ReadyImage, host: Platform) -> Iterator[LoadStep]:
    if not ready.selected or host not in ready.platforms or not isinstance(ready.home, LayoutHome):
        return
    references = tuple(_loaded_name(tag, ready.image) for tag in ready.tags)
    yield LoadStep(
        id=stepnames.load_id(ready.image.name),
        image=ready.image.name,
        needs=_verified(ready),
        index=stepnames.assemble_id(ready.image.name),
        platform=host,
        home=ready.home,
        names=references or (f"{ready.image.name}:latest",),
    )


def _loaded_name(tag: PlannedTag, image: Image) -> str:
    reference: Reference | None = tag.reference
    return str(reference) if reference else f"{image.name}:{tag.name}"
