"""External images: what builds take from registries and nobody here builds, for which platforms, and where it says so.

What they are locked to is held against what is needed; `config.lock` is the file, `probe.bases` asks registries.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from functools import lru_cache
from typing import Final

from orchestrator.config.lock import LOCK_FILE, Lock, LockedBase, canonical
from orchestrator.diagnostics import Diagnostic, KeyPlace, Place, Severity, Span
from orchestrator.model import Model
from orchestrator.oci.digest import Digest
from orchestrator.oci.platform import Platform
from orchestrator.oci.reference import Reference, familiar, parse_reference
from orchestrator.plan.edges import DockerfileReader, Uses
from orchestrator.plan.graph import Edge
from orchestrator.plan.image import DeclaredContext, Image, RemoteContext, Variant

REGISTRY_SCHEME: Final = "docker-image://"
SYNTAX_ARG: Final = "BUILDKIT_SYNTAX"
"""The build arg that says which frontend reads a Dockerfile, whatever its `# syntax` line says."""
_BASELINE: Final = {"amd64": 1, "arm64": 8}
"""The variant of an architecture whose platform names none."""


class BaseKind(Enum):
    """How an external image is used."""

    FROM = "FROM"
    COPY = "COPY --from"
    MOUNT = "RUN --mount"
    CONTEXT = "contexts"
    SYNTAX = "syntax"


_KINDS: Final = {
    "from": BaseKind.FROM,
    "copy": BaseKind.COPY,
    "mount": BaseKind.MOUNT,
    "onbuild": BaseKind.COPY,
}


class BaseUse(Model):
    """A place where one platform build takes an external image.

    Attributes:
        reference: the image as the lock calls it: with a tag, without a digest.
        image: who uses it, on `platform`.
        platform: see above.
        kind: how.
        place: where.
        needed: the platforms of the external image that this takes; none where a declared context is not used.
        on_build_platform: whether `needed` is whatever platform builds, so that another node may need another one.
        key: the name by which a named context replaces it; empty for a frontend, which none replaces.
        stage: where a stage of this build has that name, so that a named context would replace the stage as well.
    """

    reference: Reference
    image: str
    platform: Platform
    kind: BaseKind
    place: Place
    needed: tuple[Platform, ...] = ()
    on_build_platform: bool = False
    key: str = ""
    stage: Span | None = None


class Base(Model):
    """An external image with all its uses, in the order of declaration."""

    reference: Reference
    uses: tuple[BaseUse, ...]

    @property
    def platforms(self) -> tuple[Platform, ...]:
        """The platforms for which it is needed."""
        return tuple(sorted({platform for use in self.uses for platform in use.needed}))

    @property
    def stood_on(self) -> tuple[Platform, ...]:
        """Those for which it is, or may be, what a stage starts from, so that its triggers are executed."""
        uses = (use for use in self.uses if use.kind in {BaseKind.FROM, BaseKind.CONTEXT})
        return tuple(sorted({platform for use in uses for platform in use.needed}))


class BaseFacts(Model):
    """What a reference stands for now; the digest is that of the bytes that came.

    `triggers` are the `ONBUILD` instructions by platform, nothing where there are none; of a platform that is not in
    it they are not known. `platforms` is empty where nobody looked.
    """

    digest: Digest
    platforms: tuple[Platform, ...] = ()
    triggers: Mapping[Platform, tuple[str, ...]] = {}

    @property
    def locked(self) -> LockedBase:
        """The entry of the lock."""
        return LockedBase(digest=self.digest, platforms=self.platforms)


def find_bases(
    images: Iterable[Image], edges: Iterable[Edge], reader: DockerfileReader, build_platform: Platform
) -> tuple[Base, ...]:
    """All external images of these images; those of a Dockerfile that cannot be read here are not known."""
    by_child: dict[str, list[Edge]] = {}
    for edge in edges:
        by_child.setdefault(edge.child, []).append(edge)
    found: dict[Reference, list[BaseUse]] = {}
    for image in images:
        own = by_child.get(image.name, ())
        for variant in image.variants:
            for use in variant_bases(image, variant, own, reader.uses(variant), build_platform):
                found.setdefault(use.reference, []).append(use)
    return tuple(Base(reference=reference, uses=tuple(uses)) for reference, uses in found.items())


def variant_bases(
    image: Image, variant: Variant, edges: Iterable[Edge], uses: Uses | None, build_platform: Platform
) -> Iterator[BaseUse]:
    """The external images of one variant: not what an edge or a declared context hands over, nor what has a digest."""
    replaced = {context.key for context in variant.contexts}
    replaced |= {edge.name for edge in edges if edge.kind.carries_data and variant.platform in edge.platforms}
    yield from _frontend(image, variant, uses, build_platform)
    for use in uses.uses if uses else ():
        reference = _unpinned(use.name)
        if uses is None or use.key in replaced or reference is None:
            continue
        yield BaseUse(
            reference=reference,
            image=image.name,
            platform=variant.platform,
            kind=_KINDS[use.kind],
            place=Span(file=uses.file, line=use.line),
            needed=(use.platform or variant.platform,),
            on_build_platform=use.uses_build_platform and use.platform is not None,
            key=use.key,
            stage=Span(file=uses.file, line=use.stage_line) if use.stage_line else None,
        )
    for context in variant.contexts:
        yield from _context(image, variant, context, uses)


def _frontend(image: Image, variant: Variant, uses: Uses | None, build_platform: Platform) -> Iterator[BaseUse]:
    """What reads the Dockerfile: an image like any other, which runs where the build runs."""
    given = next((arg.value for arg in variant.options.args if arg.name == SYNTAX_ARG), "")
    place: Place
    if given:
        name, place = given.strip(), image.place("args", SYNTAX_ARG, platform=variant.platform)
    elif uses and uses.syntax:
        name, place = uses.syntax, Span(file=uses.file, line=uses.syntax_line)
    else:
        return
    reference = _unpinned(name.partition(" ")[0])
    if reference:
        yield BaseUse(
            reference=reference,
            image=image.name,
            platform=variant.platform,
            kind=BaseKind.SYNTAX,
            place=place,
            needed=(build_platform,),
            on_build_platform=True,
        )


def _context(image: Image, variant: Variant, context: DeclaredContext, uses: Uses | None) -> Iterator[BaseUse]:
    """An image of a registry that a context names; what it is needed for, the Dockerfile says."""
    source = context.source
    if not isinstance(source, RemoteContext) or not source.value.startswith(REGISTRY_SCHEME):
        return
    reference = _unpinned(source.value.removeprefix(REGISTRY_SCHEME))
    if reference is None:
        return
    taken = [use for use in uses.uses if use.key == context.key] if uses else []
    stage = next((use.stage_line for use in taken if use.stage_line), None)
    needed = dict.fromkeys(use.platform or variant.platform for use in taken)
    if uses and not taken and context.key in uses.stages:
        needed[variant.platform] = None
    yield BaseUse(
        reference=reference,
        image=image.name,
        platform=variant.platform,
        kind=BaseKind.CONTEXT,
        place=image.place("contexts", context.name, platform=variant.platform),
        needed=tuple(needed),
        on_build_platform=bool(taken) and all(use.uses_build_platform and use.platform for use in taken),
        key=context.key,
        stage=Span(file=uses.file, line=stage) if uses and stage else None,
    )


@lru_cache(maxsize=65536)
def _unpinned(name: str) -> Reference | None:
    """The image of this name as the lock calls it; None where it has a digest, or is no reference."""
    try:
        reference = parse_reference(name)
    except ValueError:
        return None
    return None if reference.digest else canonical(reference)


def choose_platform(available: Iterable[Platform], wanted: Platform) -> Platform | None:
    """Which platform of an image is taken for `wanted`; None where none will do.

    As BuildKit chooses (containerd, platforms/compare.go): the newest variant that this machine can run. That it would
    also take 386 for amd64 and arm for arm64 is left out: the result would have another architecture than declared.
    """
    fitting = (
        one
        for one in available
        if (one.os, one.architecture) == (wanted.os, wanted.architecture) and _level(one) <= _level(wanted)
    )
    return max(fitting, key=_level, default=None)


def _level(platform: Platform) -> int:
    digits = platform.variant.removeprefix("v")
    return int(digits) if digits.isdecimal() else _BASELINE.get(platform.architecture, 0)


def check_lock(bases: Iterable[Base], lock: Lock | None, *, file: str = LOCK_FILE) -> Iterator[Diagnostic]:
    """What the lock lacks, and what it has for nobody; nothing where a project has no lock."""
    if lock is None:
        return
    used = {base.reference: base for base in bases}
    for reference, base in used.items():
        if reference not in lock.bases:
            yield Diagnostic(
                code="lock-missing",
                message=f"`{reference}` is not in `{file}`",
                severity=Severity.WARNING,
                place=base.uses[0].place,
                subject=base.uses[0].image,
                hints=("`orchestrate lock` adds it",),
            )
    for reference in lock.bases:
        if reference not in used:
            yield Diagnostic(
                code="lock-unused",
                message=f"`{reference}` is locked, and nothing uses it",
                severity=Severity.WARNING,
                place=KeyPlace(file=file, keys=("bases", str(reference)), on_key=True),
                hints=("`orchestrate lock` removes it",),
            )


def check_platforms(
    bases: Iterable[Base],
    lock: Lock | None,
    known: Mapping[Reference, BaseFacts],
    build_platforms: tuple[Platform, ...],
) -> Iterator[Diagnostic]:
    """Each use of an external image that lacks the platform which is needed there.

    Args:
        bases: the images.
        lock: says what those have that are locked.
        known: what the others are; of what is not in it, nothing is said.
        build_platforms: those of the nodes: an image that runs where the build runs has to offer one of them.
    """
    for base in bases:
        locked = lock.bases.get(base.reference) if lock else None
        found = known.get(base.reference)
        platforms = locked.platforms if locked else found.platforms if found else ()
        places = (KeyPlace(file=LOCK_FILE, keys=("bases", str(base.reference), "platforms")),) if locked else ()
        for use in base.uses if locked or platforms else ():
            yield from _check_use(use, _Offer(platforms=platforms, places=places), build_platforms)


class _Offer(Model):
    """The platforms of an external image, and where it is written that it has these."""

    platforms: tuple[Platform, ...]
    places: tuple[Place, ...]


def _check_use(use: BaseUse, offer: _Offer, build_platforms: tuple[Platform, ...]) -> Iterator[Diagnostic]:
    if use.on_build_platform and any(choose_platform(offer.platforms, one) for one in build_platforms):
        return
    for platform in use.needed:
        if choose_platform(offer.platforms, platform) is None:
            yield Diagnostic(
                code="base-platform",
                message=f"`{use.reference}` has no `{platform}`: it has {_listed(offer.platforms)}",
                place=use.place,
                subject=use.image,
                related=offer.places,
                hints=tuple(_hints(use, platform, offer)),
            )


def _hints(use: BaseUse, platform: Platform, offer: _Offer) -> Iterator[str]:
    name = familiar(use.reference)
    if platform == use.platform:
        yield f"take another image, or `{platform}` from the platforms of `{use.image}`"
    else:
        yield "take another image"
    if use.kind in {BaseKind.COPY, BaseKind.MOUNT} and offer.platforms:
        stage = f"FROM --platform={offer.platforms[0]} {name} AS …"
        yield f"data of one platform for all: `{stage}`, and take from that stage"
    if offer.places:
        yield f"`orchestrate lock --update '{name}'` looks whether it has it by now"


def _listed(platforms: tuple[Platform, ...]) -> str:
    return ", ".join(f"`{platform}`" for platform in platforms)
