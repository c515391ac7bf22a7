"""How parents reach a solve: as named contexts pinned by digest, or as source pins where a stage has the name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeAlias, assert_never

from orchestrator.api.invocation import DigestOf, Word
from orchestrator.api.solve import BuildArg, NamedContext, SourcePin
from orchestrator.diagnostics import Diagnostic, Place, Span
from orchestrator.model import Model
from orchestrator.oci.digest import Digest
from orchestrator.oci.platform import Platform
from orchestrator.oci.reference import Reference, parse_reference
from orchestrator.plan.bases import SYNTAX_ARG, BaseKind, BaseUse, variant_bases
from orchestrator.plan.edges import Uses
from orchestrator.plan.facts import TagState
from orchestrator.plan.graph import Edge
from orchestrator.plan.image import DeclaredContext, Image, LocalContext, RemoteContext, Variant, build_id
from orchestrator.plan.memory import NOTHING, Memory
from orchestrator.plan.model import Home, LayoutHome, PlannedPlacement, Reason, RegistryHome
from orchestrator.plan.stepnames import assemble_id, record_id


class Wiring(Model):
    """What one variant is given, and what stands in the way; `args` are those that pin its frontend."""

    contexts: tuple[NamedContext, ...] = ()
    pins: tuple[SourcePin, ...] = ()
    args: tuple[BuildArg, ...] = ()
    found: tuple[Diagnostic, ...] = ()


_Part: TypeAlias = NamedContext | SourcePin | BuildArg | Diagnostic


class Origins(Model):
    """Where what builds take is: `homes` of the images of this plan, `published` of those that are not in it.

    `unpublished` says what to do about those that are in neither; `bases` are digests of external images, `memory` is
    what stands already of this plan.
    """

    homes: Mapping[str, Home]
    published: Mapping[str, Reference]
    unpublished: Mapping[str, tuple[str, ...]]
    bases: Mapping[Reference, Digest] = {}
    memory: Memory = NOTHING


class Wirer:
    """Knows where everything is that a build takes; `policies` are the images whose backend takes source policies."""

    def __init__(self, origins: Origins, *, policies: frozenset[str], host: Platform) -> None:
        self._homes = origins.homes
        self._published = origins.published
        self._unpublished = origins.unpublished
        self._bases = origins.bases
        self._memory = origins.memory
        self._policies = policies
        self._host = host

    def wire(self, image: Image, variant: Variant, edges: tuple[Edge, ...], uses: Uses | None) -> Wiring:
        """The named contexts and pins of one variant."""
        parts: list[_Part] = [
            self._parent(image, edge) for edge in edges if edge.kind.carries_data and variant.platform in edge.platforms
        ]
        locked = tuple(self._locked(image, variant, edges, uses)) if self._bases else ()
        parts += [part for _, part in locked]
        pinned = {use.key for use, _ in locked if use.kind is BaseKind.CONTEXT}
        for context in variant.contexts:
            if context.key in pinned:
                continue
            match context.source:
                case LocalContext(path=path):
                    parts.append(NamedContext(name=context.name, value=path))
                case RemoteContext(value=value):
                    parts.append(self._remote(image, context, value, uses))
                case _:
                    pass
        return Wiring(
            contexts=tuple(dict.fromkeys(part for part in parts if isinstance(part, NamedContext))),
            pins=tuple(dict.fromkeys(part for part in parts if isinstance(part, SourcePin))),
            args=tuple(part for part in parts if isinstance(part, BuildArg)),
            found=tuple(part for part in parts if isinstance(part, Diagnostic)),
        )

    def _locked(
        self, image: Image, variant: Variant, edges: tuple[Edge, ...], uses: Uses | None
    ) -> Iterator[tuple[BaseUse, _Part]]:
        """What this variant takes from outside of the project, pinned to the digest that was looked up or locked."""
        names = {context.key: context.name for context in variant.contexts}
        for use in variant_bases(image, variant, edges, uses, self._host):
            digest = self._bases.get(use.reference)
            if digest is None:
                continue
            pinned = use.reference.repository.at(digest)
            if use.kind is BaseKind.SYNTAX:
                yield use, BuildArg(name=SYNTAX_ARG, value=str(pinned))
            elif use.stage is None:
                yield use, NamedContext(name=names.get(use.key, use.key), value=f"docker-image://{pinned}")
            elif image.name in self._policies:
                yield use, SourcePin(source=_pulled(use.key), value=f"docker-image://{pinned}")
            else:
                yield use, _stage_taken(use.key, use.place, use.stage, image.name)

    def _parent(self, image: Image, edge: Edge) -> NamedContext | SourcePin | Diagnostic:
        value = self._value(edge)
        if value is None:
            return _not_there(edge, self._unpublished.get(edge.parent, ()))
        if edge.platform and edge.parent not in self._homes:
            return _part_of_index(edge)
        if edge.stage is None:
            return NamedContext(name=edge.name, value=value)
        if image.name not in self._policies or _is_layout(value):
            return _stage_taken(edge.name, edge.place, edge.stage, image.name)
        return SourcePin(source=_pulled(edge.source), value=value)

    def _remote(
        self, image: Image, context: DeclaredContext, value: str, uses: Uses | None
    ) -> NamedContext | SourcePin | Diagnostic:
        pin = _pin_of(context.key, value, uses)
        if pin is None:
            return NamedContext(name=context.name, value=value)
        return pin if image.name in self._policies else _stage_of_context(image, context.name, context.key, uses)

    def _value(self, edge: Edge) -> Word | None:
        home = self._homes.get(edge.parent)
        if home is None:
            published = self._published.get(edge.parent)
            return f"docker-image://{published}" if published else None
        match home:
            case LayoutHome(path=path):
                return _word(f"oci-layout://{path}@", self._digest(edge))
            case RegistryHome(repository=repository):
                return _word(f"docker-image://{repository}@", self._digest(edge))
            case _:
                assert_never(home)

    def _digest(self, edge: Edge) -> Digest | DigestOf:
        """The digest of a parent: what stands already, or what this run will make."""
        if edge.platform:
            build = build_id(edge.parent, edge.platform)
            part = self._memory.parts.get(build)
            step = record_id(edge.parent, edge.platform)
            return part.manifest if part else DigestOf(step=step, label=build, part="manifest")
        return self._memory.images.get(edge.parent) or DigestOf(step=assemble_id(edge.parent), label=edge.parent)


def blocked_reasons(placement: PlannedPlacement | None, wiring: Wiring) -> tuple[Reason, ...]:
    """Why a variant cannot be built; empty where it can."""
    if placement is None:
        return (Reason(code="blocked", message="no node may build it"),)
    if wiring.found:
        return (Reason(code="blocked", message="what it needs cannot be handed to it"),)
    return ()


def unpublished_hints(image: Image, states: Mapping[str, TagState]) -> tuple[str, ...]:
    """What to do about a parent that is not built, and of which no tag is known to exist."""
    built = "drop `--no-deps`, so that it is built too"
    names = [str(tag.reference) for tag in image.tags if tag.reference]
    asked = [states[name] for name in names if name in states]
    if names and not asked:
        return ("drop `--offline`, so that its registry is asked", built)
    silent = next((state for state in asked if state.unknown), None)
    if silent is not None:
        return (f"its tags could not be looked up: {silent.unknown}", *silent.hints, built)
    return (built, f"or publish `{image.name}` first") if names and image.publish else (built,)


def _word(prefix: str, digest: Digest | DigestOf) -> Word:
    return (prefix, digest) if isinstance(digest, DigestOf) else prefix + digest


def _is_layout(value: Word) -> bool:
    first = value if isinstance(value, str) else value[0]
    return isinstance(first, str) and first.startswith("oci-layout://")


def _pulled(source: str) -> str:
    """The source that BuildKit would pull for this reference, as its policy spells it."""
    reference = parse_reference(source)
    return f"docker-image://{reference.repository}:{reference.tag or 'latest'}"


def _pin_of(key: str, value: str, uses: Uses | None) -> SourcePin | None:
    """A pin for a declared `docker-image://` context whose name is also that of a stage built on it."""
    if uses is None or not value.startswith("docker-image://"):
        return None
    use = next((use for use in uses.uses if use.key == key and use.stage_line), None)
    if use is None:
        return None
    target = parse_reference(value.removeprefix("docker-image://"))
    tag = "" if target.digest else f":{target.tag or 'latest'}"
    spelled = f"docker-image://{target.repository}{tag}{'@' + target.digest if target.digest else ''}"
    return SourcePin(source=_pulled(use.name), value=spelled)


def _not_there(edge: Edge, hints: tuple[str, ...]) -> Diagnostic:
    return Diagnostic(
        code="parent-missing",
        message=f"`{edge.child}` needs `{edge.parent}`, which is not selected and of which no tag is known to exist",
        place=edge.place,
        subject=edge.child,
        hints=hints,
    )


def _part_of_index(edge: Edge) -> Diagnostic:
    return Diagnostic(
        code="parent-missing",
        message=f"`{edge.child}` needs `{edge.parent}` of `{edge.platform}` alone, which no index can give it",
        place=edge.place,
        subject=edge.child,
        hints=(f"select `{edge.parent}` too, or drop `--no-deps`",),
    )


def _stage_of_context(image: Image, name: str, key: str, uses: Uses | None) -> Diagnostic:
    place = image.place("contexts", name)
    stage = Span(file=uses.file, line=uses.stages[key]) if uses and key in uses.stages else place
    return _stage_taken(name, place, stage, image.name)


def _stage_taken(name: str, place: Place, stage: Place, subject: str) -> Diagnostic:
    return Diagnostic(
        code="stage-name",
        message=f"`{name}` is also the name of a stage: handing the image over would replace the stage in silence",
        place=place,
        subject=subject,
        related=(stage,),
        hints=(
            f"rename the stage, for example `FROM {name} AS {name}-stage`",
            "or build with `--stage` or `--push` on a backend that takes source policies",
        ),
    )
