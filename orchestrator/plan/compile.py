"""`compile_plan`: declarations and facts in, a plan out; a pure function."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from orchestrator.config.lock import Lock
from orchestrator.config.schema import PlatformTable
from orchestrator.diagnostics import Diagnostic
from orchestrator.model import Model
from orchestrator.oci.platform import Platform
from orchestrator.oci.reference import Reference
from orchestrator.plan.edges import DockerfileReader
from orchestrator.plan.facts import RunFacts
from orchestrator.plan.graph import Edge, Order, ancestors
from orchestrator.plan.image import Image, Variant, build_id
from orchestrator.plan.model import (
    Action,
    Destination,
    Home,
    LayoutHome,
    Plan,
    PlannedImage,
    PlannedPlacement,
    PlatformBuild,
    Reason,
    RegistryHome,
)
from orchestrator.plan.place import ConfiguredBackend, PlacementRules, place_images
from orchestrator.plan.release import ReleaseRules, planned_tags, unknown_tags
from orchestrator.plan.steps import PlacedVariant, ReadyImage, plan_steps
from orchestrator.plan.wire import Wirer, Wiring, unpublished_hints


class Scope(Model):
    """What the user asked for: `selection` in any order, already resolved to names.

    `backend` is the default one; `backend_by_name`: somebody wrote its name, it was not found by itself.
    """

    destination: Destination
    selection: tuple[str, ...]
    with_parents: bool = True
    platforms: tuple[Platform, ...] = ()
    layout_folder: str = ".orchestrate/oci"
    backend: str = "qemu"
    backend_by_name: bool = False
    rules: ReleaseRules = ReleaseRules()


class Declared(Model):
    """What the project declares, resolved: images, their edges and order, and who reads their Dockerfiles."""

    project: str
    images: tuple[Image, ...]
    edges: tuple[Edge, ...]
    order: Order
    platforms: Mapping[str, PlatformTable]
    lock: Lock | None = None


def selected_images(declared: Declared, scope: Scope) -> tuple[Image, ...]:
    """The images of this plan, parents first, each with the platforms that were asked for."""
    wanted = ancestors(scope.selection, declared.order) if scope.with_parents else frozenset(scope.selection)
    by_name = {image.name: image for image in declared.images}
    return tuple(_narrowed(declared, scope, by_name, wanted))


def _narrowed(
    declared: Declared, scope: Scope, by_name: Mapping[str, Image], wanted: frozenset[str]
) -> Iterator[Image]:
    ordered = (by_name[name] for name in declared.order.in_order() if name in wanted)
    if not scope.platforms:
        yield from ordered
        return
    needed = _needed_platforms(declared, scope, wanted)
    for image in ordered:
        variants = tuple(variant for variant in image.variants if variant.platform in needed[image.name])
        if variants:
            yield msgspec.structs.replace(image, variants=variants)


def _needed_platforms(declared: Declared, scope: Scope, wanted: frozenset[str]) -> dict[str, set[Platform]]:
    """The platforms asked for, and those that images need of their parents for these: children first."""
    asked = frozenset(scope.platforms)
    selected = frozenset(scope.selection)
    needed = {name: set(asked) if name in selected else set[Platform]() for name in wanted}
    offered = {image.name: frozenset(image.platforms) for image in declared.images}
    edges: dict[str, list[Edge]] = {}
    for edge in declared.edges:
        edges.setdefault(edge.child, []).append(edge)
    for name in reversed(declared.order.in_order()):
        for edge in edges.get(name, ()) if name in wanted else ():
            if edge.parent in needed:
                mine = needed[name] & offered[name] & set(edge.platforms)
                needed[edge.parent] |= set(map(edge.of_parent, mine)) if edge.kind.carries_data else asked
    return needed


def compile_plan(
    declared: Declared,
    scope: Scope,
    facts: RunFacts,
    backends: Mapping[str, ConfiguredBackend],
    reader: DockerfileReader,
) -> Plan:
    """The plan; what stands in its way is in its diagnostics."""
    compiler = _Compiler(declared, scope, facts, backends, reader)
    return compiler.compile()


class _Compiler:
    """Holds what every part of one compilation looks at."""

    def __init__(
        self,
        declared: Declared,
        scope: Scope,
        facts: RunFacts,
        backends: Mapping[str, ConfiguredBackend],
        reader: DockerfileReader,
    ) -> None:
        self._declared = declared
        self._scope = scope
        self._facts = facts
        self._backends = backends
        self._reader = reader
        self._images = selected_images(declared, scope)
        self._names = {image.name for image in self._images}
        self._selection = frozenset(scope.selection)
        self._found: list[Diagnostic] = []
        self._edges: dict[str, list[Edge]] = {}
        for edge in declared.edges:
            self._edges.setdefault(edge.child, []).append(edge)

    def compile(self) -> Plan:
        scope = self._scope
        waves = self._waves()
        homes = {image.name: self._home(image) for image in self._images}
        wirer = Wirer(
            homes, self._published(homes), self._unpublished(homes),
            policies=self._with_policies(), lock=self._declared.lock, host=self._facts.host,
        )  # fmt: skip
        placed = place_images(self._images, self._facts, self._backends, self._placement_rules())
        self._found += placed.found
        planned: list[PlannedImage] = []
        builds: list[PlatformBuild] = []
        ready: list[ReadyImage] = []
        for image in self._images:
            wave = waves[image.name]
            tags, found = planned_tags(image, self._facts.tags, scope.rules, publishing=scope.destination)
            self._found += found
            self._found += self._check_home(image, homes[image.name])
            placements = placed.of(image)
            edges = tuple(self._edges.get(image.name, ()))
            wirings = {variant.platform: self._wire(image, variant, edges, wirer) for variant in image.variants}
            complete = all(placements.values()) and not any(wiring.found for wiring in wirings.values())
            planned.append(
                PlannedImage(
                    name=image.name, wave=wave, action=Action.BUILD if complete else Action.BLOCKED,
                    platforms=image.platforms, publish=image.publish, repository=image.repository, tags=tags,
                    edges=edges, version=image.version, description=image.description, test=image.test,
                )
            )  # fmt: skip
            builds += self._builds(image, placements, wirings, wave)
            if complete:
                ready.append(
                    ReadyImage(
                        image=image, home=homes[image.name], tags=tags,
                        variants=tuple(
                            PlacedVariant(variant=variant, placement=placement, wiring=wirings[variant.platform])
                            for variant, placement in zip(image.variants, placements.values(), strict=True)
                            if placement
                        ),
                        parents=self._parents(image.name, homes), data_parents=self._data_parents(edges, homes),
                        selected=image.name in self._selection,
                    )
                )  # fmt: skip
        run, steps = plan_steps(
            tuple(ready),
            destination=scope.destination,
            host=self._facts.host,
            replace_tags=scope.rules.replace_tags,
        )
        self._found += unknown_tags(planned) if scope.destination is Destination.PUSH else ()
        used = {build.placement.backend for build in builds if build.placement}
        return Plan(
            project=self._declared.project,
            destination=scope.destination,
            run=run,
            images=tuple(planned),
            builds=tuple(builds),
            steps=steps,
            diagnostics=tuple(self._found),
            backends=tuple(sorted(used)),
        )

    def _placement_rules(self) -> PlacementRules:
        scope = self._scope
        return PlacementRules(backend=scope.backend, by_name=scope.backend_by_name, platforms=self._declared.platforms)

    def _waves(self) -> dict[str, int]:
        """Waves among the selected images only."""
        waves: dict[str, int] = {}
        for image in self._images:
            parents = (waves[name] for name in self._declared.order.parents[image.name] if name in waves)
            waves[image.name] = 1 + max(parents, default=0)
        return waves

    def _home(self, image: Image) -> Home:
        if self._scope.destination.uses_registry and image.repository:
            return RegistryHome(repository=image.repository)
        return LayoutHome(path=f"{self._scope.layout_folder}/{image.name}")

    def _check_home(self, image: Image, home: Home) -> Iterator[Diagnostic]:
        """What is pushed needs a repository to be pushed to."""
        if self._scope.destination.uses_registry and isinstance(home, LayoutHome):
            yield Diagnostic(
                code="no-registry",
                message=f"`{image.name}` has no repository to be pushed to",
                place=image.place("repository"),
                subject=image.name,
                hints=("set `registry` in `[project]`, ORCHESTRATE_REGISTRY, `--registry`, or `repository`",),
            )

    def _published(self, homes: Mapping[str, Home]) -> dict[str, Reference]:
        """What stands in registries of images that are not in this plan."""
        published: dict[str, Reference] = {}
        for image in self._declared.images:
            for tag in image.tags if image.name not in homes else ():
                state = self._facts.tags.get(str(tag.reference)) if tag.reference else None
                if tag.reference and state and state.digest:
                    published.setdefault(image.name, tag.reference.repository.at(state.digest))
        return published

    def _unpublished(self, homes: Mapping[str, Home]) -> dict[str, tuple[str, ...]]:
        """What to do about parents that are not in this plan, where nothing is known to stand in their registries."""
        parents = {edge.parent for name in homes for edge in self._edges.get(name, ())} - homes.keys()
        return {
            image.name: unpublished_hints(image, self._facts.tags)
            for image in self._declared.images
            if image.name in parents
        }

    def _with_policies(self) -> frozenset[str]:
        names = set()
        for image in self._images:
            chosen = self._backends.get(image.backend or self._scope.backend)
            if chosen and chosen.capabilities.source_policy:
                names.add(image.name)
        return frozenset(names)

    def _builds(
        self,
        image: Image,
        placements: Mapping[Platform, PlannedPlacement | None],
        wirings: Mapping[Platform, Wiring],
        wave: int,
    ) -> Iterator[PlatformBuild]:
        edges = self._edges.get(image.name, ())
        for platform, placement in placements.items():
            needs = dict.fromkeys(
                build_id(edge.parent, edge.of_parent(platform))
                for edge in edges
                if edge.parent in self._names and edge.kind.carries_data and platform in edge.platforms
            )
            yield PlatformBuild(
                id=build_id(image.name, platform),
                image=image.name,
                platform=platform,
                wave=wave,
                needs=tuple(needs),
                action=Action.BUILD if placement and not wirings[platform].found else Action.BLOCKED,
                reasons=(_reason(placement, wirings[platform]),),
                placement=placement,
            )

    def _wire(self, image: Image, variant: Variant, edges: tuple[Edge, ...], wirer: Wirer) -> Wiring:
        wiring = wirer.wire(image, variant, edges, self._reader.uses(variant))
        self._found += [finding for finding in wiring.found if finding not in self._found]
        return wiring

    def _parents(self, name: str, homes: Mapping[str, Home]) -> tuple[str, ...]:
        return tuple(parent for parent in self._declared.order.parents[name] if parent in homes)

    @staticmethod
    def _data_parents(edges: tuple[Edge, ...], homes: Mapping[str, Home]) -> tuple[str, ...]:
        found = (edge.parent for edge in edges if edge.kind.carries_data and not edge.platform)
        return tuple(dict.fromkeys(parent for parent in found if parent in homes))


def _reason(placement: PlannedPlacement | None, wiring: Wiring) -> Reason:
    if placement is None:
        return Reason(code="blocked", message="no node may build it")
    if wiring.found:
        return Reason(code="blocked", message="what it needs cannot be handed to it")
    return Reason(code="new", message="nothing built before is remembered")
