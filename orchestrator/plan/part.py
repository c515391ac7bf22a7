"""Parts of a plan: what is left of it when some of it is done, and what one machine of several does of it.

A part keeps the ids of steps, so that what a child is handed is the same late value; only a solve of which some
platforms are left is another one, with another id and another private name.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase

import msgspec

from orchestrator.api.solve import PushOutput, Solve
from orchestrator.model import Model
from orchestrator.oci.digest import Digest
from orchestrator.oci.platform import Platform
from orchestrator.plan import names, stepnames
from orchestrator.plan.image import build_id
from orchestrator.plan.memory import RememberedPart
from orchestrator.plan.model import (
    Action,
    AssembleStep,
    Known,
    Plan,
    PlannedPlacement,
    PlatformBuild,
    RecordStep,
    SolveStep,
    Step,
    TestStep,
)


class Part(Model):
    """What can be done on one machine: the builds and tests of one platform on one kind of node.

    `waits_for` are builds of other parts that they wait for.
    """

    name: str
    backend: str
    node: str
    mode: str
    builds: tuple[str, ...]
    waits_for: tuple[str, ...]


def builds_to_do(plan: Plan) -> tuple[str, ...]:
    """The platform builds that a plan builds, or tests though they stand; parents first."""
    return tuple(_places(plan))


def builds_to_test(plan: Plan) -> tuple[str, ...]:
    """The platform builds that a plan tests."""
    return tuple(_build_of(step) for step in plan.steps if isinstance(step, TestStep))


def _places(plan: Plan) -> dict[str, PlannedPlacement | None]:
    """Where a plan builds or tests what, parents first."""
    tests = {step.id: step for step in plan.steps if isinstance(step, TestStep)}
    places: dict[str, PlannedPlacement | None] = {}
    for build in plan.builds:
        test = tests.get(stepnames.test_of(build.id))
        if build.action is Action.BUILD:
            places[build.id] = build.placement
        elif test:
            places[build.id] = PlannedPlacement(
                backend=test.backend, node=test.node, mode=test.mode, others=test.others
            )
    return places


def choose_builds(plan: Plan, patterns: Collection[str]) -> tuple[str, ...]:
    """The builds that are meant: `api@linux/arm64`, `linux/arm64` for all of a platform, `api` for all of an image.

    Names may have wildcards.

    Raises:
        ValueError: one of the patterns means none of those that the plan builds.
    """
    places = _places(plan)
    todo = [build for build in plan.builds if build.id in places]
    chosen: set[str] = set()
    for pattern in patterns:
        meant = {build.id for build in todo if _means(pattern, build)}
        if not meant:
            msg = f"`{pattern}` is nothing that this plan builds"
            raise ValueError(msg)
        chosen |= meant
    return tuple(build.id for build in todo if build.id in chosen)


def _means(pattern: str, build: PlatformBuild) -> bool:
    return any(fnmatchcase(name, pattern) for name in (build.id, build.image, str(build.platform)))


def split(plan: Plan) -> tuple[Part, ...]:
    """The parts of a plan: one for each platform on each node, in the order of their first builds."""
    parts: dict[tuple[Platform, str, str, str], list[PlatformBuild]] = {}
    places = _places(plan)
    for build in plan.builds:
        where = places.get(build.id)
        if where:
            key = build.platform, where.backend, where.node, where.mode.value
            parts.setdefault(key, []).append(build)
    todo = frozenset(build.id for build in plan.builds if build.action is Action.BUILD)
    needed = _Needs(plan)
    return tuple(
        Part(
            name=f"{platform} on {node}",
            backend=backend,
            node=node,
            mode=mode,
            builds=tuple(build.id for build in builds),
            waits_for=tuple(sorted(needed.of(build.id for build in builds) & todo - {build.id for build in builds})),
        )
        for (platform, backend, node, mode), builds in parts.items()
    )


def find_done(
    plan: Plan,
    stands: Mapping[str, RememberedPart],
    *,
    anew: Mapping[str, Digest | None],
    vouched: Mapping[str, Digest],
) -> dict[str, RememberedPart]:
    """What of a plan was done by now, by another part or an earlier try.

    Args:
        plan: the plan.
        stands: what stands, whoever built it.
        anew: what is built though it stood, and the record that stood then: it is done as soon as another one stands.
        vouched: the images that results of parts of this plan say that they have built.
    """
    good: set[str] = set()
    for build in plan.builds:  # parents first: what stands on something that is to be replaced is not done
        part = stands.get(build.id)
        if build.action is Action.REUSE:
            good.add(build.id)
        elif part and build.action is Action.BUILD and good.issuperset(build.needs):
            stood_before = build.id in anew and part.record == anew[build.id]
            if not stood_before or vouched.get(build.id) == part.manifest:
                good.add(build.id)
    return {build: part for build, part in stands.items() if build in good}


def missing_inputs(plan: Plan, builds: Collection[str], done: Collection[str]) -> tuple[str, ...]:
    """The builds that these stand on, and that are neither among them nor done; parents first."""
    needed = _Needs(plan).of(builds) - frozenset(builds) - frozenset(done)
    return tuple(build for build in builds_to_do(plan) if build in needed)


def remaining(plan: Plan, done: Mapping[str, RememberedPart], tested: Collection[str] = ()) -> Plan:
    """The plan without these builds, which stand, and without the tests of those that have passed theirs."""
    left = frozenset(builds_to_do(plan)) - done.keys()
    steps = tuple(step for step in _left(plan, left) if not (isinstance(step, TestStep) and _build_of(step) in tested))
    return _replaced(plan, steps, done)


def part_of(
    plan: Plan, builds: Collection[str], done: Mapping[str, RememberedPart], tested: Collection[str] = ()
) -> Plan:
    """The plan of these builds alone, up to records and tests; what they stand on is among them, or done.

    Where only some platforms of a parent are needed, its index is made of those.
    """
    wanted = frozenset(builds)
    handed = _Needs(plan).of(builds)
    steps = tuple(
        _narrowed_index(step, handed) if isinstance(step, AssembleStep) else step
        for step in _left(plan, wanted - done.keys())
        if isinstance(step, SolveStep | RecordStep)
        or (isinstance(step, AssembleStep) and _parts(step) & handed)
        or (isinstance(step, TestStep) and _build_of(step) in wanted.difference(tested))
    )
    whole = _replaced(plan, steps, done)
    mine = tuple(build for build in plan.builds if build.id in wanted)
    images = {build.image for build in mine}
    return msgspec.structs.replace(
        whole, builds=mine, images=tuple(image for image in plan.images if image.name in images)
    )


class _Needs:
    """Which builds the builds of a plan stand on, or have to come after."""

    def __init__(self, plan: Plan) -> None:
        by_id = {build.id: build for build in plan.builds}
        by_image: dict[str, list[PlatformBuild]] = {}
        for build in plan.builds:
            by_image.setdefault(build.image, []).append(build)
        self._needs: dict[str, set[str]] = {build.id: set(build.needs) for build in plan.builds}
        for step in plan.steps:
            for platform in step.solve.platforms if isinstance(step, SolveStep) else ():
                build = by_id[build_id(step.image, platform)]
                data = {by_id[need].image for need in build.needs if need in by_id}
                parents = {need.partition(":")[2] for need in step.needs if need.startswith("assemble:")} - data
                self._needs[build.id] |= {
                    other.id for parent in parents for other in _alike(by_image.get(parent, []), platform)
                }

    def of(self, builds: Iterable[str]) -> frozenset[str]:
        """What these directly need."""
        return frozenset(need for build in builds for need in self._needs[build])


def _alike(builds: list[PlatformBuild], platform: Platform) -> list[PlatformBuild]:
    """What an order alone asks for: the build of the same platform, where there is one."""
    return [build for build in builds if build.platform == platform] or builds


def _left(plan: Plan, builds: frozenset[str]) -> Iterator[Step]:
    """The steps, with only these builds in solves and records."""
    renamed: dict[str, str] = {}
    for step in plan.steps:
        if isinstance(step, SolveStep):
            platforms = tuple(p for p in step.solve.platforms if build_id(step.image, p) in builds)
            if platforms == step.solve.platforms:
                renamed[step.id] = step.id
                yield step
            elif platforms:
                narrowed = _narrowed_solve(step, platforms, plan.run)
                renamed[step.id] = narrowed.id
                yield narrowed
        elif isinstance(step, RecordStep):
            if build_id(step.image, step.platform) in builds:
                solve = renamed[step.solve]
                yield msgspec.structs.replace(step, solve=solve, needs=(solve,))
        else:
            yield step


def _build_of(step: TestStep) -> str:
    """The platform build that is tested, by its id."""
    return build_id(step.image, step.platform)


def _narrowed_solve(step: SolveStep, platforms: tuple[Platform, ...], run: str) -> SolveStep:
    name = stepnames.solve_id(step.image, platforms, whole=False)
    solve: Solve = msgspec.structs.replace(step.solve, id=name, platforms=platforms)
    if isinstance(solve.output, PushOutput):
        repository = solve.output.reference.repository
        reference = repository.tag(names.solve_tag(run, name, step.image))
        solve = msgspec.structs.replace(solve, output=PushOutput(reference=reference))
    return msgspec.structs.replace(step, id=name, solve=solve)


def _narrowed_index(step: AssembleStep, handed: frozenset[str]) -> AssembleStep:
    parts = tuple(part for part in step.parts if part.partition(":")[2] in handed)
    return msgspec.structs.replace(step, parts=parts, needs=parts)


def _parts(step: AssembleStep) -> set[str]:
    return {part.partition(":")[2] for part in step.parts}


def _replaced(plan: Plan, steps: tuple[Step, ...], done: Mapping[str, RememberedPart]) -> Plan:
    known = tuple(
        Known(step=stepnames.record_of(build), digest=part.record, manifest=part.manifest, key=part.key)
        for build, part in done.items()
    )
    before = tuple(each for each in plan.known if each.step not in {one.step for one in known})
    return msgspec.structs.replace(plan, steps=steps, known=(*before, *known))
