"""Images as targets of one bake file, which take each other by name: what `orchestrate export bake` writes.

Where a plan hands a parent over by digest, a target names the target that builds it. What a plan has and bake has not
is a finding: an error where the file would build something else, else a warning.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from orchestrator.api.solve import BuildArg, BuildOptions, Provenance
from orchestrator.api.target import Target, TargetContext, linked_context, target_context
from orchestrator.diagnostics import Diagnostic, Place, Severity, Span
from orchestrator.model import Model
from orchestrator.oci.platform import Platform
from orchestrator.oci.reference import Reference
from orchestrator.plan.bases import variant_bases
from orchestrator.plan.compile import Declared
from orchestrator.plan.edges import DockerfileReader
from orchestrator.plan.graph import Edge, EdgeKind, ancestors
from orchestrator.plan.image import Image, Variant
from orchestrator.plan.model import LayoutHome
from orchestrator.plan.wire import Origins, Wirer

_DEFAULT: Final = "default"
_FEW: Final = 3


class Targets(Model):
    """The targets, parents first, groups of them by name, and what bake cannot do."""

    targets: tuple[Target, ...]
    groups: Mapping[str, tuple[str, ...]]
    found: tuple[Diagnostic, ...]


class _Part(Model):
    """One platform of an image, with all that its target hands to it."""

    platform: Platform
    options: BuildOptions
    contexts: tuple[TargetContext, ...]


def plan_targets(
    declared: Declared,
    selection: tuple[str, ...],
    reader: DockerfileReader,
    *,
    host: Platform,
    groups: Mapping[str, tuple[str, ...]],
) -> Targets:
    """The targets of a selection and all that it needs; `groups` are names of images by the name of a group."""
    return _Exporter(declared, selection, reader, host, groups).export()


class _Exporter:
    """Holds what every part of one export looks at."""

    def __init__(
        self,
        declared: Declared,
        selection: tuple[str, ...],
        reader: DockerfileReader,
        host: Platform,
        groups: Mapping[str, tuple[str, ...]],
    ) -> None:
        wanted = ancestors(selection, declared.order)
        by_name = {image.name: image for image in declared.images}
        self._images = [by_name[name] for name in declared.order.in_order() if name in wanted]
        self._bases = {one: base.digest for one, base in declared.lock.bases.items()} if declared.lock else {}
        homes = {name: LayoutHome(path=name) for name in wanted}
        origins = Origins(homes=homes, published={}, unpublished={}, bases=self._bases)
        self._wirer = Wirer(origins, policies=frozenset(), host=host)
        self._reader = reader
        self._host = host
        self._groups = {
            name: members
            for name, members in groups.items()
            if name != _DEFAULT and name not in by_name and members and wanted.issuperset(members)
        }
        self._taken = {_DEFAULT, *self._groups, *by_name}
        self._edges: dict[str, list[Edge]] = {}
        for edge in declared.edges:
            self._edges.setdefault(edge.child, []).append(edge)
        self._parts: dict[tuple[str, Platform], _Part] = {}
        self._of_image: dict[str, list[Target]] = {}
        self._alone: dict[tuple[str, Platform], Target] = {}
        self._all: dict[str, Target] = {}
        self._found: list[Diagnostic] = []

    def export(self) -> Targets:
        for image in self._images:
            self._add(image)
        names = {image: tuple(target.name for target in targets) for image, targets in self._of_image.items()}
        groups = {_DEFAULT: tuple(name for several in names.values() for name in several)}
        groups |= {image: several for image, several in names.items() if image not in {*several, _DEFAULT}}
        for group, members in self._groups.items():
            groups[group] = tuple(name for member in members for name in names[member])
        self._found += _lacking(self._images, self._edges, self._of_image)
        return Targets(targets=tuple(self._all.values()), groups=groups, found=tuple(self._found))

    def _add(self, image: Image) -> None:
        """The targets of an image: one, or one for the platforms that can be built by one."""
        parts = [self._part(image, variant) for variant in image.variants]
        self._parts |= {(image.name, part.platform): part for part in parts}
        groups = self._group(parts)
        for group in groups:
            slug = "-".join(part.platform.slug for part in group)
            suffix = "" if len(groups) == 1 else f"-{slug}"
            name = self._take(image.name + suffix) if suffix or image.name == _DEFAULT else image.name
            platforms = tuple(part.platform for part in group)
            target = Target(
                name=name,
                image=image.name,
                platforms=platforms,
                options=group[0].options,
                contexts=group[0].contexts,
                tags=_tags(image, suffix),
                annotations=image.annotations if _is_index(platforms, group[0].options) else (),
                description=image.description,
            )
            self._of_image.setdefault(image.name, []).append(target)
            self._all[name] = target
        if len(groups) > 1:
            self._found.append(_split(image, groups, self._of_image[image.name]))

    def _part(self, image: Image, variant: Variant) -> _Part:
        edges = tuple(self._edges.get(image.name, ()))
        wiring = self._wirer.wire(image, variant, edges, self._reader.uses(variant))
        self._judge(image, variant, edges, wiring.found)
        contexts = {context.name: context for context in self._links(image.name, variant.platform, edges)}
        for wired in wiring.contexts:
            if isinstance(wired.value, str):
                context = target_context(wired.name, wired.value)
                contexts[context.name] = context
        return _Part(
            platform=variant.platform,
            options=_with_args(variant.options, wiring.args),
            contexts=tuple(contexts.values()),
        )

    def _links(self, child: str, platform: Platform, edges: tuple[Edge, ...]) -> Iterator[TargetContext]:
        """The targets that a part takes."""
        linked: dict[str, TargetContext] = {}
        for edge in edges:
            if not edge.kind.carries_data or platform not in edge.platforms or edge.stage:
                continue
            context = linked_context(edge.name, self._parent(edge, platform).name)
            if linked.setdefault(context.name, context) != context:
                self._find(_two_parents(edge, child))
        yield from linked.values()

    def _parent(self, edge: Edge, platform: Platform) -> Target:
        """The target that builds what an edge hands over."""
        needed = edge.of_parent(platform)
        targets = self._of_image[edge.parent]
        target = next((target for target in targets if needed in target.platforms), targets[0])
        # data of one platform for all: a target of that platform is handed to every platform
        return self._one_platform(target, needed) if edge.platform and len(target.platforms) > 1 else target

    def _one_platform(self, target: Target, platform: Platform) -> Target:
        """A target of one platform of another one, which gives it to others and exports nothing."""
        known = self._alone.get((target.image, platform))
        if known is None:
            part = self._parts[target.image, platform]
            known = Target(
                name=self._take(f"{target.image}-{platform.slug}"),
                image=target.image,
                platforms=(platform,),
                options=msgspec.structs.replace(part.options, cache_to=(), provenance=Provenance.OFF, sbom=False),
                contexts=part.contexts,
            )
            self._alone[target.image, platform] = self._all[known.name] = known
        return known

    def _group(self, parts: list[_Part]) -> list[list[_Part]]:
        """Parts that differ in nothing but the platform, together; in the order of declaration."""
        groups: list[list[_Part]] = []
        for part in parts:
            for group in groups:
                alike = (group[0].options, group[0].contexts) == (part.options, part.contexts)
                if alike and self._offered({part.platform, *(one.platform for one in group)}, part.contexts):
                    group.append(part)
                    break
            else:
                groups.append([part])
        return groups

    def _offered(self, platforms: set[Platform], contexts: tuple[TargetContext, ...]) -> bool:
        """Whether bake lets a target of several platforms take these: of several, it has to be for all of them.

        Even where the Dockerfile asks for another platform than it is built for.
        """
        linked = (self._all[context.target] for context in contexts if context.target)
        return all(len(target.platforms) == 1 or platforms.issubset(target.platforms) for target in linked)

    def _take(self, name: str) -> str:
        """This name, or one like it where a group or another target has it; no image is called like that."""
        while name in self._taken:
            name += "_"
        self._taken.add(name)
        return name

    def _judge(self, image: Image, variant: Variant, edges: tuple[Edge, ...], found: tuple[Diagnostic, ...]) -> None:
        """Names of stages: a parent cannot be handed over, a locked image cannot be pinned."""
        if not found:
            return
        uses = variant_bases(image, variant, edges, self._reader.uses(variant), self._host)
        bases: dict[Place, Reference] = {use.place: use.reference for use in uses if isinstance(use.place, Span)}
        for finding in found:
            base = bases.get(finding.place) if finding.place else None
            if base is None:
                hint = "or build with `orchestrate build`: bake has no source policies"
                self._find(msgspec.structs.replace(finding, hints=(*finding.hints[:1], hint)))
            else:
                self._find(_unpinned(base, finding))

    def _find(self, finding: Diagnostic) -> None:
        if finding not in self._found:
            self._found.append(finding)


def _is_index(platforms: tuple[Platform, ...], options: BuildOptions) -> bool:
    """Whether BuildKit makes an index of it: there is nothing else that index annotations could be on."""
    return len(platforms) > 1 or options.provenance is not Provenance.OFF or options.sbom


def _with_args(options: BuildOptions, pinned: tuple[BuildArg, ...]) -> BuildOptions:
    """The options with these args instead of what was declared for them."""
    names = {arg.name for arg in pinned}
    kept = (arg for arg in options.args if arg.name not in names)
    return msgspec.structs.replace(options, args=(*kept, *pinned)) if pinned else options


def _tags(image: Image, suffix: str) -> tuple[str, ...]:
    if not image.publish:
        return ()
    return tuple(f"{tag.reference or f'{image.name}:{tag.name}'}{suffix}" for tag in image.tags)


def _lacking(
    images: list[Image], edges: Mapping[str, list[Edge]], targets: Mapping[str, list[Target]]
) -> Iterator[Diagnostic]:
    """What is declared and bake has no word for, once each."""
    tested = [image.name for image in images if image.test]
    ordered = [one.name for one in images if any(edge.kind is EdgeKind.NEEDS for edge in edges.get(one.name, ()))]
    bare = [one.name for one in images if one.annotations and not all(each.annotations for each in targets[one.name])]
    for names, what, hint in (
        (tested, "runs no `test`", "`orchestrate build` runs it before a tag moves"),
        (ordered, "keeps no order but that of data: `needs` is left out", "`orchestrate build` keeps it"),
        (bare, "puts no `annotations` where there is no index", 'with `provenance = "min"` there is one'),
    ):
        if names:
            message = f"bake {what}: {_listed(names)}"
            yield Diagnostic(code="bake-lacks", message=message, severity=Severity.WARNING, hints=(hint,))


def _listed(names: list[str]) -> str:
    shown = ", ".join(f"`{name}`" for name in names[:_FEW])
    return f"{shown} and {len(names) - _FEW} more" if len(names) > _FEW else shown


def _split(image: Image, groups: list[list[_Part]], targets: list[Target]) -> Diagnostic:
    one, other = groups[0][0], groups[1][0]
    fields = [
        field.replace("_", "-")
        for field in one.options.__struct_fields__
        if getattr(one.options, field) != getattr(other.options, field)
    ]
    why = ", ".join(f"`{field}`" for field in fields) or "`contexts`"
    hints: tuple[str, ...] = ()
    if targets[0].tags:
        (tag, *_), sources = _tags(image, ""), " ".join(target.tags[0] for target in targets)
        hints = (f"after the push, for each tag: `docker buildx imagetools create --tag {tag} {sources}`",)
    return Diagnostic(
        code="bake-split",
        message=f"`{image.name}` is {len(groups)} targets, which bake does not join: its platforms differ in {why}",
        severity=Severity.WARNING,
        subject=image.name,
        hints=hints,
    )


def _two_parents(edge: Edge, child: str) -> Diagnostic:
    return Diagnostic(
        code="bake-split",
        message=f"`{child}` takes `{edge.parent}` of two platforms at once, which bake builds as two targets",
        place=edge.place,
        subject=child,
        hints=(f"let the platforms of `{edge.parent}` differ in nothing, or build with `orchestrate build`",),
    )


def _unpinned(base: Reference, finding: Diagnostic) -> Diagnostic:
    return msgspec.structs.replace(
        finding,
        code="bake-unpinned",
        message=f"`{base}` is not pinned in the file: a stage has its name, and bake has no source policies",
        severity=Severity.WARNING,
        hints=finding.hints[:1],
    )
