"""`compile_plan`: declarations and facts in, a plan out; a pure function."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from orchestrator.config.lock import Lock
from orchestrator.config.schema import PlatformTable
from orchestrator.diagnostics import Diagnostic
from orchestrator.model import Model
from orchestrator.oci.digest import Digest, digest_bytes
from orchestrator.oci.platform import Platform
from orchestrator.oci.reference import Reference, Repository
from orchestrator.plan.edges import DockerfileReader
from orchestrator.plan.facts import RunFacts
from orchestrator.plan.graph import Edge, Order, ancestors
from orchestrator.plan.home import find_homes
from orchestrator.plan.image import Image, Variant, build_id
from orchestrator.plan.memory import final_extra, parent_builds
from orchestrator.plan.model import (
    Action,
    Destination,
    Home,
    LayoutHome,
    Plan,
    PlannedImage,
    PlannedPlacement,
    PlannedTag,
    PlatformBuild,
    Reason,
    RecordKey,
    TestStep,
)
from orchestrator.plan.place import ConfiguredBackend, PlacementRules, Placements, place_images
from orchestrator.plan.platform_test import open_tests
from orchestrator.plan.release import ReleaseRules, planned_tags, unknown_tags
from orchestrator.plan.stepnames import record_of
from orchestrator.plan.steps import PlacedVariant, ReadyImage, known_results, plan_steps
from orchestrator.plan.volatile import volatile_names
from orchestrator.plan.wire import Origins, Wirer, Wiring, blocked_reasons, unpublished_hints


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
    """What the project declares, resolved: images, their edges and order, and what external images are pinned to.

    `state` is the one repository for the results of all images, where there is one.
    """

    project: str
    images: tuple[Image, ...]
    edges: tuple[Edge, ...]
    order: Order
    platforms: Mapping[str, PlatformTable]
    lock: Lock | None = None
    state: Repository | None = None


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
    placed: Placements,
    reader: DockerfileReader,
) -> Plan:
    """The plan; what stands in its way is in its diagnostics. `placed` is what `place_selected` gave."""
    compiler = _Compiler(declared, scope, facts, placed, reader)
    return compiler.compile()


def place_selected(
    declared: Declared, scope: Scope, facts: RunFacts, backends: Mapping[str, ConfiguredBackend]
) -> Placements:
    """Where the platform builds of a selection run."""
    rules = PlacementRules(backend=scope.backend, by_name=scope.backend_by_name, platforms=declared.platforms)
    return place_images(selected_images(declared, scope), facts, backends, rules)


def published_parents(declared: Declared, images: tuple[Image, ...], facts: RunFacts) -> dict[str, Reference]:
    """What stands in registries of images that are not in this plan, of which `images` are."""
    planned = {image.name for image in images}
    published: dict[str, Reference] = {}
    for image in declared.images:
        for tag in image.tags if image.name not in planned else ():
            state = facts.tags.get(str(tag.reference)) if tag.reference else None
            if tag.reference and state and state.digest:
                published.setdefault(image.name, tag.reference.repository.at(state.digest))
    return published


class _Compiler:
    """Holds what every part of one compilation looks at."""

    def __init__(
        self,
        declared: Declared,
        scope: Scope,
        facts: RunFacts,
        placed: Placements,
        reader: DockerfileReader,
    ) -> None:
        self._declared = declared
        self._scope = scope
        self._facts = facts
        self._placements = placed
        self._reader = reader
        self._images = selected_images(declared, scope)
        self._names = {image.name for image in self._images}
        self._selection = frozenset(scope.selection)
        self._tests = open_tests(self._images, facts.memory)
        self._found: list[Diagnostic] = []
        self._edges: dict[str, list[Edge]] = {}
        for edge in declared.edges:
            self._edges.setdefault(edge.child, []).append(edge)

    def compile(self) -> Plan:
        scope = self._scope
        waves = self._waves()
        homes = find_homes(self._images, scope.destination, self._declared.state)
        placed = self._placements
        origins = Origins(
            homes=homes, published=published_parents(self._declared, self._images, self._facts),
            unpublished=self._unpublished(homes), bases=self._pinned(), memory=self._facts.memory,
        )  # fmt: skip
        wirer = Wirer(origins, policies=placed.policies, host=self._facts.host)
        stands = self._facts.memory.parts
        idle = stands.keys() - self._tests
        self._found += [finding for finding in placed.found if finding.subject not in idle]
        planned: list[PlannedImage] = []
        builds: list[PlatformBuild] = []
        ready: list[ReadyImage] = []
        for image in self._images:
            wave = waves[image.name]
            digest = self._facts.memory.images.get(image.name)
            tags, found = planned_tags(image, self._facts.tags, self._release_rules(), publishing=scope.destination)
            self._found += found
            self._found += self._check_home(image, homes[image.name])
            placements = placed.of(image)
            edges = tuple(self._edges.get(image.name, ()))
            wirings = {
                variant.platform: Wiring()
                if build_id(image.name, variant.platform) in stands
                else self._wire(image, variant, edges, wirer)
                for variant in image.variants
            }
            complete = all(
                (placement and not wirings[platform].found) or build_id(image.name, platform) in idle
                for platform, placement in placements.items()
            )
            planned.append(
                PlannedImage(
                    name=image.name, wave=wave, action=self._action(image, tags, digest, complete=complete),
                    platforms=image.platforms, publish=image.publish, repository=image.repository, tags=tags,
                    edges=edges, version=image.version, description=image.description, test=image.test,
                    digest=digest, place=self._place(image, homes[image.name]),
                )
            )  # fmt: skip
            builds += self._builds(image, placements, wirings, wave)
            if complete:
                rules = self._facts.state
                ready.append(
                    ReadyImage(
                        image=image, home=homes[image.name], tags=tags, digest=digest,
                        scope=rules.scope, extra=final_extra(image).decode(), forced=image.name in rules.forced,
                        variants=tuple(
                            self._placed(image, variant, placement, wirings[variant.platform])
                            for variant, placement in zip(image.variants, placements.values(), strict=True)
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
            layout_folder=scope.layout_folder,
        )
        self._found += unknown_tags(planned) if scope.destination is Destination.PUSH else ()
        used = {build.placement.backend for build in builds if build.placement}
        used |= {step.backend for step in steps if isinstance(step, TestStep)}
        return Plan(
            project=self._declared.project,
            destination=scope.destination,
            run=run,
            images=tuple(planned),
            builds=tuple(builds),
            steps=steps,
            diagnostics=tuple(self._found),
            backends=tuple(sorted(used)),
            known=tuple(known_results(tuple(ready))),
        )

    def _release_rules(self) -> ReleaseRules:
        """What stands already is in nobody's way: a tag that has its digest was put by a release that was cut off."""
        rules = self._scope.rules
        return msgspec.structs.replace(rules, released={**self._facts.memory.images, **rules.released})

    def _pinned(self) -> dict[Reference, Digest]:
        """External images by digest: what was looked up, and rather what is locked."""
        lock = self._declared.lock
        locked = {reference: base.digest for reference, base in lock.bases.items()} if lock else {}
        known = {reference: base.digest for reference, base in self._facts.bases.items() if not reference.digest}
        return {**known, **locked}

    def _action(self, image: Image, tags: tuple[PlannedTag, ...], digest: Digest | None, *, complete: bool) -> Action:
        if not complete:
            return Action.BLOCKED
        if digest is not None:
            publishes = self._scope.destination is Destination.PUSH
            return (
                Action.RETAG
                if publishes and not all(tag.stands(digest, image.version) for tag in tags)
                else Action.REUSE
            )
        parts = self._facts.memory.parts
        stands = any(build_id(image.name, platform) in parts for platform in image.platforms)
        return Action.GRAFT if stands else Action.BUILD

    def _placed(
        self, image: Image, variant: Variant, placement: PlannedPlacement | None, wiring: Wiring
    ) -> PlacedVariant:
        build = build_id(image.name, variant.platform)
        manifest = self._facts.inputs.get(build)
        return PlacedVariant(
            variant=variant,
            placement=placement,
            wiring=wiring,
            inputs=manifest.digest if manifest else None,
            key=self._key(image, variant, build),
            remembered=self._facts.memory.parts.get(build),
            test=image.test.run if image.test and build in self._tests else (),
        )

    def _waves(self) -> dict[str, int]:
        """Waves among the selected images only."""
        waves: dict[str, int] = {}
        for image in self._images:
            parents = (waves[name] for name in self._declared.order.parents[image.name] if name in waves)
            waves[image.name] = 1 + max(parents, default=0)
        return waves

    def _place(self, image: Image, home: Home) -> str:
        """Where people find its verified index: in its home, or in the layout that they have asked for."""
        if self._scope.destination is Destination.LAYOUT:
            return str(LayoutHome(path=f"{self._scope.layout_folder}/{image.name}"))
        return str(home)

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

    def _unpublished(self, homes: Mapping[str, Home]) -> dict[str, tuple[str, ...]]:
        """What to do about parents that are not in this plan, where nothing is known to stand in their registries."""
        parents = {edge.parent for name in homes for edge in self._edges.get(name, ())} - homes.keys()
        return {
            image.name: unpublished_hints(image, self._facts.tags)
            for image in self._declared.images
            if image.name in parents
        }

    def _builds(
        self,
        image: Image,
        placements: Mapping[Platform, PlannedPlacement | None],
        wirings: Mapping[Platform, Wiring],
        wave: int,
    ) -> Iterator[PlatformBuild]:
        for variant, (platform, placement) in zip(image.variants, placements.items(), strict=True):
            build = build_id(image.name, platform)
            needs = self._needs(image.name, platform)
            manifest = self._facts.inputs.get(build)
            stands = build in self._facts.memory.parts
            blocked = () if stands else blocked_reasons(placement, wirings[platform])
            action = Action.BLOCKED if blocked else Action.REUSE if stands else Action.BUILD
            yield PlatformBuild(
                id=build,
                image=image.name,
                platform=platform,
                wave=wave,
                needs=needs,
                action=action,
                reasons=blocked or (() if stands else self._reasons(image.name, build, needs)),
                placement=None if stands else placement,
                inputs=manifest.digest if manifest and not manifest.unknown else None,
                volatile=volatile_names(variant.options),
            )

    def _key(self, image: Image, variant: Variant, build: str) -> RecordKey:
        """What the record is known by; where something of its input is not known, it is found by nobody."""
        manifest = self._facts.inputs.get(build)
        known = manifest if manifest and not manifest.unknown else None
        contexts = (Digest(value) for _, value in known.contexts) if known else ()
        return RecordKey(
            scope=self._facts.state.scope,
            inputs=known.digest if known else digest_bytes(build.encode()),
            manifest=known.content.decode() if known else "",
            listings=tuple(dict.fromkeys(digest for digest in contexts if digest in self._facts.listings)),
            parents=tuple(map(record_of, self._needs(image.name, variant.platform))),
        )

    def _needs(self, name: str, platform: Platform) -> tuple[str, ...]:
        return parent_builds(self._edges.get(name, ()), self._names, platform)

    def _reasons(self, name: str, build: str, needs: tuple[str, ...]) -> tuple[Reason, ...]:
        """Why it is built rather than taken over."""
        facts = self._facts
        manifest = facts.inputs.get(build)
        if name in facts.state.forced and manifest:
            return (facts.state.forced[name],)
        if manifest and manifest.unknown and facts.state.asked:
            message = f"nothing is remembered of what cannot be looked up: {', '.join(manifest.unknown)}"
            return (Reason(code="new", message=message, items=manifest.unknown),)
        if facts.reasons.get(build):
            return facts.reasons[build]
        if not facts.state.asked or build not in facts.reasons:
            return (Reason(code="new", message="nothing built before is remembered"),)
        rebuilt = tuple(need for need in needs if need not in facts.memory.parts)
        if rebuilt:
            shown = ", ".join(f"`{name}`" for name in dict.fromkeys(need.partition("@")[0] for need in rebuilt))
            return (Reason(code="upstream_rebuilt", message=f"{shown} is built", items=rebuilt),)
        return (Reason(code="missing_in_registry", message="it was built from the same, and is not there any more"),)

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
