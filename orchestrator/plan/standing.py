"""What stages start from, and whether that has `ONBUILD` triggers: instructions of a base that its children execute.

Triggers are those of the image itself: a build that executes them does not hand them on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, TypeAlias

from orchestrator.config.lock import canonical
from orchestrator.dockerfile.edges import ImageUse
from orchestrator.dockerfile.takes import has_known_rules
from orchestrator.oci.reference import Reference, parse_reference
from orchestrator.plan.bases import REGISTRY_SCHEME, Base, BaseFacts, BaseKind, BaseUse
from orchestrator.plan.edges import DockerfileReader, Uses
from orchestrator.plan.graph import Edge
from orchestrator.plan.image import DeclaredContext, Image, ImageContext, RemoteContext, Variant, build_id

LAYOUT_SCHEME: Final = "oci-layout://"

_Behind: TypeAlias = Edge | Reference | bool
"""An image of this project, one of a registry, or something else that may have triggers (True) or has none."""


def edges_by_child(edges: Iterable[Edge]) -> dict[str, tuple[Edge, ...]]:
    """The edges of each image that hand something over."""
    found: dict[str, list[Edge]] = {}
    for edge in edges:
        if edge.kind.carries_data:
            found.setdefault(edge.child, []).append(edge)
    return {child: tuple(several) for child, several in found.items()}


def known_as(reference: Reference) -> Reference:
    """A reference as facts are filed: by its digest where it has one, else by its tag."""
    return reference.repository.at(reference.digest) if reference.digest else canonical(reference)


def registry_image(context: DeclaredContext) -> Reference | None:
    """The image of a registry that a declared context is, as facts are filed."""
    source = context.source
    if not isinstance(source, RemoteContext) or not source.value.startswith(REGISTRY_SCHEME):
        return None
    return known_as(parse_reference(source.value.removeprefix(REGISTRY_SCHEME)))


def pinned_bases(
    images: Iterable[Image], edges: Iterable[Edge], reader: DockerfileReader, published: Mapping[str, Reference]
) -> tuple[Base, ...]:
    """What stages start from and has a digest already, so that its triggers can be looked up.

    Those are references with a digest, which `find_bases` leaves out, and images of the project that are not among
    `images` but taken as they are `published`.
    """
    images = tuple(images)
    finder = _PinFinder(frozenset(image.name for image in images), published)
    by_child = edges_by_child(edges)
    found: dict[Reference, list[BaseUse]] = {}
    for image in images:
        given = by_child.get(image.name, ())
        for variant in image.variants:
            for use in finder.find(image, variant, given, reader.uses(variant)):
                found.setdefault(use.reference, []).append(use)
    return tuple(Base(reference=reference, uses=tuple(uses)) for reference, uses in found.items())


class _PinFinder:
    def __init__(self, own: frozenset[str], published: Mapping[str, Reference]) -> None:
        self._own = own
        self._published = published

    def find(self, image: Image, variant: Variant, edges: tuple[Edge, ...], uses: Uses | None) -> Iterator[BaseUse]:
        for use in uses.uses if uses else ():
            if use.kind != "from":
                continue
            behind = _find_behind(use, variant, edges)
            platform = use.platform or variant.platform
            if isinstance(behind, Edge):
                platform = behind.of_parent(variant.platform)
                behind = behind.parent not in self._own and self._published.get(behind.parent, False)
            if isinstance(behind, Reference) and behind.digest:
                yield BaseUse(
                    reference=known_as(behind),
                    image=image.name,
                    platform=variant.platform,
                    kind=BaseKind.FROM,
                    place=image.place("dockerfile", platform=variant.platform),
                    needed=(platform,),
                )


class TriggerFinder:
    """Tells which bases have triggers; of each image of this plan that is found out once."""

    def __init__(
        self,
        images: Iterable[Image],
        reader: DockerfileReader,
        bases: Mapping[Reference, BaseFacts],
        published: Mapping[str, Reference],
    ) -> None:
        self._reader = reader
        self._bases = bases
        self._published = published
        self._variants = {
            build_id(image.name, variant.platform): variant for image in images for variant in image.variants
        }
        self._own: dict[int, bool] = {}

    def find(self, variant: Variant, edges: tuple[Edge, ...], uses: Uses | None) -> tuple[frozenset[str], bool]:
        """The keys of bases that have triggers, or may have some wherever one asks; and whether that is all of them.

        Where it is not, somebody who may ask registries could find more.
        """
        keys: set[str] = set()
        is_certain = True
        for use in uses.uses if uses else ():
            if use.kind != "from":
                continue
            has_triggers = self._has_triggers(use, variant, edges)
            if has_triggers:
                keys.add(use.key)
            is_certain &= has_triggers is not None
        return frozenset(keys), is_certain

    def _has_triggers(self, use: ImageUse, variant: Variant, edges: tuple[Edge, ...]) -> bool | None:
        behind = _find_behind(use, variant, edges)
        platform = use.platform or variant.platform
        if isinstance(behind, Edge):
            platform = behind.of_parent(variant.platform)
            parent = self._variants.get(build_id(behind.parent, platform))
            if parent is not None:
                return self._writes_triggers(parent)
            published = self._published.get(behind.parent)
            if published is None:
                return None
            behind = published
        if isinstance(behind, bool):
            return behind
        facts = self._bases.get(known_as(behind))
        triggers = facts.triggers.get(platform) if facts else None
        return None if triggers is None else bool(triggers)

    def _writes_triggers(self, parent: Variant) -> bool:
        """Whether a Dockerfile of this project gives its image triggers; one that cannot be read here may do so."""
        options = parent.options
        known = self._own.get(id(options))
        if known is None:
            dockerfile, _ = self._reader.parsed(parent)
            arguments = {arg.name: arg.value for arg in options.args}
            known = (
                dockerfile is None
                or not has_known_rules(dockerfile, arguments)
                or any(step.is_trigger for stage in dockerfile.stages for step in stage.steps)
            )
            self._own[id(options)] = known
        return known


def _find_behind(use: ImageUse, variant: Variant, edges: tuple[Edge, ...]) -> _Behind:
    """What stands behind the name of a base; the config of an OCI layout is not read, so it may have triggers."""
    context = next((context for context in variant.contexts if context.key == use.key), None)
    name = use.key if context is None else context.name
    edge = next((edge for edge in edges if edge.name == name and variant.platform in edge.platforms), None)
    if context is None or isinstance(context.source, ImageContext):
        return edge or (parse_reference(use.name) if context is None else True)
    return registry_image(context) or (
        isinstance(context.source, RemoteContext) and context.source.value.startswith(LAYOUT_SCHEME)
    )
