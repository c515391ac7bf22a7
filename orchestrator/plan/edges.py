"""Edges between images: those that are written, and those that Dockerfiles imply."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from orchestrator.api.solve import BuildOptions
from orchestrator.diagnostics import Diagnostic, Place, Severity, Span
from orchestrator.dockerfile.edges import ImageUse, external_uses
from orchestrator.dockerfile.model import Dockerfile
from orchestrator.dockerfile.parse import parse
from orchestrator.model import Model
from orchestrator.oci.platform import Platform
from orchestrator.oci.reference import parse_reference
from orchestrator.plan.graph import Edge, EdgeKind
from orchestrator.plan.image import Image, ImageContext, Variant

_KINDS = {
    "from": EdgeKind.FROM,
    "copy": EdgeKind.COPY,
    "mount": EdgeKind.MOUNT,
    "onbuild": EdgeKind.COPY,
}


class Uses(Model):
    """What the Dockerfile of one variant takes from outside, and where its stages stand."""

    file: str
    uses: tuple[ImageUse, ...]
    stages: Mapping[str, int]


class DockerfileReader:
    """Parses each Dockerfile once, and resolves it once for each set of args; findings are collected once."""

    def __init__(self, texts: Mapping[str, str | None], host: Platform) -> None:
        self.found: list[Diagnostic] = []
        self._texts = texts
        self._host = host
        self._parsed: dict[str, Dockerfile | None] = {}
        self._uses: dict[tuple[object, ...], Uses | None] = {}

    def uses(self, variant: Variant) -> Uses | None:
        """What this variant takes from outside; None where its Dockerfile cannot be read here."""
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
        return options.dockerfile, self._texts.get(options.dockerfile)

    def _parse(self, file: str, text: str) -> Dockerfile | None:
        key = file if not file.endswith("(inline)") else text
        if key not in self._parsed:
            dockerfile, found = parse(text, file)
            self._parsed[key] = dockerfile
            self.found += found
        return self._parsed[key]

    def _resolve(self, dockerfile: Dockerfile, file: str, options: BuildOptions, platform: Platform) -> Uses:
        uses, found = external_uses(
            dockerfile,
            arguments={arg.name: arg.value for arg in options.args},
            target=options.target,
            platform=platform,
            build_platform=self._host,
        )
        self.found += [item for item in found if item not in self.found]
        stages = {stage.name.lower(): stage.line for stage in dockerfile.stages if stage.name}
        return Uses(file=file, uses=uses, stages=stages)


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
        try:
            reference = parse_reference(use.name)
        except ValueError:
            return None
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
            for edge in (*_declared(image, variant, uses, known), *_inferred(image, variant, uses, names)):
                _merge(merged, edge)
        edges += merged.values()
    for edge in edges:
        found += _check_platforms(edge, known)
    return tuple(edges), tuple(found)


def _merge(merged: dict[tuple[object, ...], Edge], edge: Edge) -> None:
    key = (edge.parent, edge.kind, edge.name, edge.platform)
    before = merged.get(key)
    if before is None:
        merged[key] = edge
    elif edge.platforms[0] not in before.platforms:
        merged[key] = Edge(
            parent=before.parent, child=before.child, kind=before.kind, place=before.place, name=before.name,
            source=before.source, stage=before.stage, platform=before.platform,
            platforms=(*before.platforms, *edge.platforms),
        )  # fmt: skip


def _needed(image: Image, families: Mapping[str, tuple[str, ...]], known: Mapping[str, Image]) -> Iterator[Edge]:
    for position, name in enumerate(image.needs):
        for parent in families.get(name, (name,)):
            if parent in known and parent != image.name:
                yield Edge(
                    parent=parent, child=image.name, kind=EdgeKind.NEEDS, place=image.place("needs", position),
                    platforms=image.platforms,
                )  # fmt: skip


def _declared(image: Image, variant: Variant, uses: Uses | None, known: Mapping[str, Image]) -> Iterator[Edge]:
    for context in variant.contexts:
        source = context.source
        if not isinstance(source, ImageContext) or source.image not in known:
            continue
        used = [use for use in (uses.uses if uses else ()) if use.key == context.key]
        stage = next((use for use in used if use.stage_line), None)
        yield Edge(
            parent=source.image,
            child=image.name,
            kind=EdgeKind.CONTEXT,
            place=image.place("contexts", context.name),
            platforms=(variant.platform,),
            name=context.name,
            source=used[0].name if used else "",
            stage=Span(file=uses.file, line=stage.stage_line) if uses and stage and stage.stage_line else None,
            platform=source.platform,
        )


def _inferred(image: Image, variant: Variant, uses: Uses | None, names: Names) -> Iterator[Edge]:
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
        )


def _check_platforms(edge: Edge, known: Mapping[str, Image]) -> Iterator[Diagnostic]:
    if not edge.kind.carries_data:
        return
    parent, child = known[edge.parent], known[edge.child]
    wanted = (edge.platform,) if edge.platform else edge.platforms
    for platform in wanted:
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
                f"data of one platform for all: `contexts.{edge.name or edge.parent} = "
                f'{{ image = "{edge.parent}", platform = "{parent.platforms[0]}" }}`',
            ),
        )


def _list(platforms: tuple[Platform, ...]) -> str:
    return ", ".join(f"`{platform}`" for platform in platforms)


def check_single_platform(
    images: tuple[Image, ...], reader: DockerfileReader, edges: tuple[Edge, ...]
) -> Iterator[Diagnostic]:
    """One platform's data for all is right for `COPY --from` and mounts; a base of another architecture is not."""
    by_child: dict[str, list[Edge]] = {}
    for edge in edges:
        if edge.platform:
            by_child.setdefault(edge.child, []).append(edge)
    for image in images:
        for edge in by_child.get(image.name, ()):
            for variant in image.variants:
                uses = reader.uses(variant)
                line = next((use.line for use in uses.uses if _is_base(use, edge)), None) if uses else None
                if uses and line and variant.platform != edge.platform:
                    yield _single_platform_base(edge, Span(file=uses.file, line=line), variant.platform)
                    break


def _is_base(use: ImageUse, edge: Edge) -> bool:
    return use.kind == "from" and use.key == edge.name


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
        for variant in image.variants:
            uses = reader.uses(variant)
            for context in variant.contexts if uses else ():
                line = uses.stages.get(context.key) if uses else None
                if uses is None or line is None or any(use.key == context.key for use in uses.uses):
                    continue
                yield Diagnostic(
                    code="stage-replaced",
                    message=f"context `{context.name}` replaces the stage of that name: its instructions do not run",
                    severity=Severity.WARNING,
                    place=image.place("contexts", context.name),
                    subject=image.name,
                    related=(Span(file=uses.file, line=line),),
                    hints=(f"rename the stage or the context if `{context.name}` is meant to be built",),
                )
            break
