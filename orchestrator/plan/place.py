"""Where each platform build runs: asks the image's backend, and turns refusals into findings."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.api.backend import Backend, Capabilities, Emulation, Mode, Node, PlaceRequest, Refusal
from orchestrator.config.schema import PlatformTable
from orchestrator.diagnostics import Diagnostic, Severity
from orchestrator.model import Model
from orchestrator.oci.platform import Platform, parse_platform
from orchestrator.plan.facts import RunFacts
from orchestrator.plan.image import Image, build_id
from orchestrator.plan.model import PlannedPlacement


class ConfiguredBackend(Model):
    """A backend that is ready to be asked."""

    name: str
    backend: Backend
    capabilities: Capabilities


class PlacementRules(Model):
    """What decides besides the nodes: the default backend, whether somebody chose it by name, and `[platforms]`."""

    backend: str
    by_name: bool
    platforms: Mapping[str, PlatformTable] = {}


class EmulationRules:
    """`[platforms]`: what is allowed on each platform, `*` for the rest.

    Where neither says anything it is forbidden, but for a backend that emulates and was chosen by name:
    choosing it is writing it down.
    """

    def __init__(self, tables: Mapping[str, PlatformTable]) -> None:
        self._rest = Emulation(tables["*"].emulation) if "*" in tables else None
        self._rules = {parse_platform(key): Emulation(table.emulation) for key, table in tables.items() if key != "*"}

    def of(self, platform: Platform, *, unless_said: Emulation) -> Emulation:
        """The rule for this platform."""
        return self._rules.get(platform) or self._rest or unless_said


def choose_backend(
    image: Image, default: str, backends: Mapping[str, ConfiguredBackend]
) -> ConfiguredBackend | Diagnostic:
    """The backend of an image: its own, else the default."""
    name = image.backend or default
    if name in backends:
        return backends[name]
    return Diagnostic(
        code="unknown-backend",
        message=f"backend `{name}` is not there",
        place=image.place("backend"),
        subject=image.name,
        hints=("`[backends]` and the installed plugins say which there are",),
    )


class Placements(Model):
    """Where each platform build runs, by its id; None where it can run nowhere. `found` says why.

    `policies` are the images whose backend takes source policies.
    """

    by_build: Mapping[str, PlannedPlacement | None]
    policies: frozenset[str]
    found: tuple[Diagnostic, ...]

    def of(self, image: Image) -> dict[Platform, PlannedPlacement | None]:
        """Those of one image, in the order of its platforms."""
        return {platform: self.by_build[build_id(image.name, platform)] for platform in image.platforms}


def place_images(
    images: tuple[Image, ...], facts: RunFacts, backends: Mapping[str, ConfiguredBackend], rules: PlacementRules
) -> Placements:
    """Place all builds of these images."""
    emulation = EmulationRules(rules.platforms)
    placed: dict[str, PlannedPlacement | None] = {}
    policies: set[str] = set()
    found: list[Diagnostic] = []
    for image in images:
        chosen = choose_backend(image, rules.backend, backends)
        if isinstance(chosen, Diagnostic):
            found.append(chosen)
            placed |= {build_id(image.name, platform): None for platform in image.platforms}
            continue
        if chosen.capabilities.source_policy:
            policies.add(image.name)
        by_name = image.backend is not None or rules.by_name
        unless_said = Emulation.ALLOW if by_name and chosen.capabilities.emulation else Emulation.FORBID
        nodes = facts.nodes.get(chosen.name, ())
        for platform in image.platforms:
            rule = emulation.of(platform, unless_said=unless_said)
            placement, problems = place_build(image, platform, chosen=chosen, nodes=nodes, rule=rule, host=facts.host)
            placed[build_id(image.name, platform)] = placement
            found += problems
    return Placements(by_build=placed, policies=frozenset(policies), found=tuple(found))


def place_build(
    image: Image,
    platform: Platform,
    *,
    chosen: ConfiguredBackend,
    nodes: tuple[Node, ...],
    rule: Emulation,
    host: Platform,
) -> tuple[PlannedPlacement | None, tuple[Diagnostic, ...]]:
    """Place one platform build; emulation is told where it is only tolerated, refused where it is not allowed."""
    request = PlaceRequest(image=image.name, platform=platform, emulation=rule, nodes=nodes, host=host)
    subject = build_id(image.name, platform)
    placed = chosen.backend.place(request)
    if isinstance(placed, Refusal):
        finding = Diagnostic(
            code=placed.code,
            message=f"`{subject}`: {placed.message}",
            place=image.place("platforms"),
            subject=subject,
            hints=placed.hints,
        )
        return None, (finding,)
    node = next(node for node in nodes if node.name == placed.node)
    placement = PlannedPlacement(
        backend=chosen.name,
        node=placed.node,
        mode=placed.mode,
        others=placed.others,
        provisional=node.provisional,
    )
    if placed.mode is Mode.EMULATED and rule is Emulation.WARN:
        return placement, (_emulated(image, platform, placed.node),)
    return placement, ()


def _emulated(image: Image, platform: Platform, node: str) -> Diagnostic:
    return Diagnostic(
        code="emulated",
        message=f"`{build_id(image.name, platform)}` runs under emulation on `{node}`, often ten times slower",
        severity=Severity.WARNING,
        place=image.place("platforms"),
        subject=build_id(image.name, platform),
        hints=(f'`[platforms."{platform}"]` with `emulation = "allow"` takes it without a word',),
    )
