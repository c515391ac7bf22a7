"""Edges between images: those that are written, and those that Dockerfiles imply."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from orchestrator.api.solve import BuildOptions, is_remote
from orchestrator.config.nearest import Nearest
from orchestrator.diagnostics import Diagnostic, Place, Severity, Span
from orchestrator.dockerfile.edges import ImageUse, external_uses
from orchestrator.dockerfile.model import Dockerfile
from orchestrator.dockerfile.parse import parse
from orchestrator.model import Model
from orchestrator.oci.platform import Platform
from orchestrator.oci.reference import familiar, parse_reference
from orchestrator.plan.graph import Edge, EdgeKind
from orchestrator.plan.image import Image, ImageContext, Variant

UNKNOWN_TARGET: Final = "unknown-target"
_KINDS = {
    "from": EdgeKind.FROM,
    "copy": EdgeKind.COPY,
    "mount": EdgeKind.MOUNT,
    "onbuild": EdgeKind.COPY,
}


class Uses(Model):
    """What the Dockerfile of one variant takes from outside, and where its stages stand; `syntax` is its frontend.

    `unknown_target` is set where the stage to be built is none of them; it is found at `target`, not in the Dockerfile.
    """

    file: str
    uses: tuple[ImageUse, ...]
    stages: Mapping[str, int]
    syntax: str | None = None
    syntax_line: int = 0
    unknown_target: Diagnostic | None = None


class DockerfileReader:
    """Parses each Dockerfile once, and resolves it once for each set of args; findings are collected once.

    Args:
        texts: those of the Dockerfiles by path.
        host: the platform of this machine.
        known: what parsing some of them gives, without findings.
    """

    def __init__(
        self, texts: Mapping[str, str | None], host: Platform, known: Mapping[str, Dockerfile] | None = None
    ) -> None:
        self.found: list[Diagnostic] = []
        self.learned: dict[str, Dockerfile] = {}
        self._texts = texts
        self._host = host
        self._parsed: dict[str, Dockerfile | None] = {**(known or {})}
        self._uses: dict[tuple[object, ...], Uses | None] = {}
        self._known: dict[tuple[int, Platform], Uses | None] = {}
        self._alive: list[BuildOptions] = []

    def uses(self, variant: Variant) -> Uses | None:
        """What this variant takes from outside; None where its Dockerfile cannot be read here."""
        # asked for by several parts of a plan: the same options are the same object, which hashes at once
        known = (id(variant.options), variant.platform)
        if known not in self._known:
            self._known[known] = self._find(variant)
            self._alive.append(variant.options)
        return self._known[known]

    def parsed(self, variant: Variant) -> tuple[Dockerfile | None, str]:
        """The Dockerfile of this variant and its text; None where it cannot be read here."""
        file, text = self._source(variant.options)
        return (None if text is None else self._parse(file, text)), text or ""

    def _find(self, variant: Variant) -> Uses | None:
        options = variant.options
        file, text = self._source(options)
        if text is None:
            return None
        dockerfile = self._parse(file, text)
        if dockerfile is None:
            return None
        platform = variant.platform if _depends_on_platform(text) else self._host
        key = (file, text if options.dockerfile_inline else "", options.args, options.target, platform)
        if key not in self._uses:
            self._uses[key] = self._resolve(dockerfile, file, options, platform)
        return self._uses[key]

    def _source(self, options: BuildOptions) -> tuple[str, str | None]:
        if options.dockerfile_inline is not None:
            return f"{options.dockerfile} (inline)", options.dockerfile_inline
        if is_remote(options.context):  # a Dockerfile of that path on this disk is another one
            return options.dockerfile, None
        return options.dockerfile, self._texts.get(options.dockerfile)

    def _parse(self, file: str, text: str) -> Dockerfile | None:
        is_inline = file.endswith("(inline)")
        key = text if is_inline else file
        if key not in self._parsed:
            dockerfile, found = parse(text, file)
            self._parsed[key] = dockerfile
            self.found += found
            if dockerfile and not found and not is_inline:
                self.learned[file] = dockerfile
        return self._parsed[key]

    def _resolve(self, dockerfile: Dockerfile, file: str, options: BuildOptions, platform: Platform) -> Uses:
        uses, found = external_uses(
            dockerfile,
            arguments={arg.name: arg.value for arg in options.args},
            target=options.target,
            platform=platform,
            build_platform=self._host,
        )
        target = next((item for item in found if item.code == UNKNOWN_TARGET), None)
        self.found += [item for item in found if item is not target and item not in self.found]
        stages = {stage.name.lower(): stage.line for stage in dockerfile.stages if stage.name}
        return Uses(
            file=file,
            uses=uses,
            stages=stages,
            syntax=dockerfile.syntax,
            syntax_line=dockerfile.syntax_line,
            unknown_target=target,
        )


def _depends_on_platform(text: str) -> bool:
    return "TARGET" in text or "BUILDPLATFORM" in text or "BUILDOS" in text or "BUILDARCH" in text


class Names:
    """Finds the image behind a name that a Dockerfile uses: its own name, or the repository of one of its tags."""

    def __init__(self, images: tuple[Image, ...]) -> None:
        self._images = {image.name for image in images}
        self._references: dict[str, str] = {}
        self._repositories: dict[str, set[str]] = {}
        for image in images:
            for tag in image.tags:
                if tag.reference:
                    self._references.setdefault(str(tag.reference), image.name)
                    self._repositories.setdefault(str(tag.reference.repository), set()).add(image.name)
            if image.repository:
                self._repositories.setdefault(str(image.repository), set()).add(image.name)

    def find(self, use: ImageUse) -> str | None:
        """The image, or None where the name is somebody else's; a digest is always somebody's decision."""
        if use.key in self._images:
            return use.key
        reference = parse_reference(use.name)  # as its key was made from it
        if reference.digest:
            return None
        exact = self._references.get(str(reference))
        if exact:
            return exact
        owners = self._repositories.get(str(reference.repository), set())
        return next(iter(owners)) if len(owners) == 1 else None


def find_edges(
    images: tuple[Image, ...], reader: DockerfileReader, families: Mapping[str, tuple[str, ...]]
) -> tuple[tuple[Edge, ...], tuple[Diagnostic, ...]]:
    """All edges, in the order of declaration; reading problems are in `reader.found` afterwards."""
    names = Names(images)
    known = {image.name: image for image in images}
    edges: list[Edge] = []
    found: list[Diagnostic] = []
    for image in images:
        edges += _needed(image, families, known)
        merged: dict[tuple[object, ...], Edge] = {}
        for variant in image.variants:
            uses = reader.uses(variant)
            found += _unknown_target(image, variant, uses, found)
            for edge in (*_declared(image, variant, uses, known), *_inferred(image, variant, uses, names, known)):
                _merge(merged, edge)
        edges += merged.values()
    for edge in edges:
        found += _check_platforms(edge, known)
    nearest = Nearest(tuple(known))
    for image in images:
        found += _unknown_images(image, families, known, nearest)
    return tuple(edges), tuple(found)


def _unknown_target(image: Image, variant: Variant, uses: Uses | None, told: list[Diagnostic]) -> Iterator[Diagnostic]:
    """The mistake is in `target` more often than in the Dockerfile; once for all platforms that share it."""
    if uses is None or uses.unknown_target is None:
        return
    wrong = uses.unknown_target
    finding = msgspec.structs.replace(
        wrong,
        place=image.place("target", platform=variant.platform),
        subject=image.name,
        related=(wrong.place,) if wrong.place else (),
    )
    if finding not in told:
        yield finding


def _merge(merged: dict[tuple[object, ...], Edge], edge: Edge) -> None:
    key = (edge.parent, edge.kind, edge.name, edge.platform, edge.asked)
    before = merged.get(key)
    if before is None:
        merged[key] = edge
    elif edge.platforms[0] not in before.platforms:
        merged[key] = msgspec.structs.replace(before, platforms=(*before.platforms, *edge.platforms))


def _needed(image: Image, families: Mapping[str, tuple[str, ...]], known: Mapping[str, Image]) -> Iterator[Edge]:
    for position, name in enumerate(image.needs):
        for parent in families.get(name, (name,)):
            if parent in known and parent != image.name:
                yield Edge(
                    parent=parent, child=image.name, kind=EdgeKind.NEEDS, place=image.place("needs", position),
                    platforms=image.platforms,
                )  # fmt: skip


def _unknown_images(
    image: Image, families: Mapping[str, tuple[str, ...]], known: Mapping[str, Image], nearest: Nearest
) -> Iterator[Diagnostic]:
    """Names that a template or an assignment gave and that no image has; those in files were told where they stand."""
    wanted: list[tuple[str, str | int, str]] = [("needs", position, name) for position, name in enumerate(image.needs)]
    wanted += [
        ("contexts", context.name, context.source.image)
        for context in (image.variants[0].contexts if image.variants else ())
        if isinstance(context.source, ImageContext)
    ]
    for attribute, key, name in wanted:
        if name in known or name in families:
            continue
        yield Diagnostic(
            code="unknown-image",
            message=f"there is no image `{name}`",
            place=image.place(attribute, key),
            subject=image.name,
            hints=nearest.hints(name),
        )


def _declared(image: Image, variant: Variant, uses: Uses | None, known: Mapping[str, Image]) -> Iterator[Edge]:
    for context in variant.contexts:
        source = context.source
        if not isinstance(source, ImageContext) or source.image not in known:
            continue
        used = [use for use in (uses.uses if uses else ()) if use.key == context.key]
        stage = next((use for use in used if use.stage_line), None)
        asked = {_asked(use, known[source.image], variant) for use in used}
        yield Edge(
            parent=source.image,
            child=image.name,
            kind=EdgeKind.CONTEXT,
            place=image.place("contexts", context.name, platform=variant.platform),
            platforms=(variant.platform,),
            name=context.name,
            source=used[0].name if used else "",
            stage=Span(file=uses.file, line=stage.stage_line) if uses and stage and stage.stage_line else None,
            platform=source.platform,
            asked=asked.pop() if len(asked) == 1 else None,
        )


def _asked(use: ImageUse, parent: Image, variant: Variant) -> Platform | None:
    """What `--platform` asks for, where that differs; a build platform that is not offered may be another node's."""
    elsewhere = use.uses_build_platform and use.platform not in parent.platforms
    if use.platform == variant.platform or (elsewhere and variant.platform in parent.platforms):
        return None
    return use.platform


def _inferred(
    image: Image, variant: Variant, uses: Uses | None, names: Names, known: Mapping[str, Image]
) -> Iterator[Edge]:
    if uses is None or not image.infer:
        return
    written = {context.key for context in variant.contexts}
    for use in uses.uses:
        parent = names.find(use)
        if use.key in written or parent is None or parent == image.name:
            continue
        yield Edge(
            parent=parent,
            child=image.name,
            kind=_KINDS[use.kind],
            place=Span(file=uses.file, line=use.line),
            platforms=(variant.platform,),
            name=use.key,
            source=use.name,
            stage=Span(file=uses.file, line=use.stage_line) if use.stage_line else None,
            asked=_asked(use, known[parent], variant),
        )


def _check_platforms(edge: Edge, known: Mapping[str, Image]) -> Iterator[Diagnostic]:
    if not edge.kind.carries_data:
        return
    parent, child = known[edge.parent], known[edge.child]
    for platform in dict.fromkeys(map(edge.of_parent, edge.platforms)):
        if platform in parent.platforms:
            continue
        yield Diagnostic(
            code="platform-not-offered",
            message=(
                f"`{edge.child}` needs `{edge.parent}` on `{platform}`, "
                f"which is built for {_list(parent.platforms)} only"
            ),
            place=edge.place,
            subject=child.name,
            related=(parent.place("platforms"),),
            hints=(
                f"add `{platform}` to the platforms of `{edge.parent}`, or take it from those of `{edge.child}`",
                _single_platform_hint(edge, parent),
            ),
        )


def _single_platform_hint(edge: Edge, parent: Image) -> str:
    table = f'{{ image = "{edge.parent}", platform = "{parent.platforms[0]}" }}'
    return f"data of one platform for all: `contexts.{edge.name or edge.parent} = {table}`"


def _list(platforms: tuple[Platform, ...]) -> str:
    return ", ".join(f"`{platform}`" for platform in platforms)


def check_single_platform(
    images: tuple[Image, ...], reader: DockerfileReader, edges: tuple[Edge, ...]
) -> Iterator[Diagnostic]:
    """One platform's data for all is right for `COPY --from` and mounts; a base of another architecture is not."""
    by_name = {image.name: image for image in images}
    for edge in edges:
        if edge.platform:
            yield from _check_single_platform(edge, by_name[edge.child], reader)


def _check_single_platform(edge: Edge, image: Image, reader: DockerfileReader) -> Iterator[Diagnostic]:
    key = familiar(parse_reference(edge.name))
    for variant in image.variants:
        uses = reader.uses(variant)
        if uses is None or variant.platform not in edge.platforms:
            continue
        for use in uses.uses:
            if use.kind == "from" and use.key == key and (use.platform or variant.platform) != edge.platform:
                yield _single_platform_base(edge, Span(file=uses.file, line=use.line), variant.platform)
                return


def _single_platform_base(edge: Edge, place: Place, platform: Platform) -> Diagnostic:
    return Diagnostic(
        code="single-platform-base",
        message=f"`{edge.child}` would stand on `{edge.parent}` of `{edge.platform}` for `{platform}` too",
        place=place,
        subject=edge.child,
        related=(edge.place,),
        hints=(f'say `contexts.{edge.name} = "image:{edge.parent}"`; one platform for all is for `COPY --from`',),
    )


def check_replaced_stages(images: tuple[Image, ...], reader: DockerfileReader) -> Iterator[Diagnostic]:
    """A named context replaces a stage of its name in silence; where nothing is pulled by that name, say so."""
    for image in images:
        told: set[str] = set()
        for variant in image.variants:
            uses = reader.uses(variant)
            if uses is None:
                continue
            pulled = {use.key for use in uses.uses}
            for context in variant.contexts:
                if context.key in uses.stages and context.key not in pulled | told:
                    told.add(context.key)
                    place = image.place("contexts", context.name, platform=variant.platform)
                    stage = Span(file=uses.file, line=uses.stages[context.key])
                    yield _stage_replaced(image, context.name, place, stage)


def _stage_replaced(image: Image, name: str, place: Place, stage: Place) -> Diagnostic:
    return Diagnostic(
        code="stage-replaced",
        message=f"context `{name}` replaces the stage of that name: its instructions do not run",
        severity=Severity.WARNING,
        place=place,
        subject=image.name,
        related=(stage,),
        hints=(f"rename the stage or the context if `{name}` is meant to be built",),
    )
