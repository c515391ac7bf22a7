"""From options to a plan: loads, asks engines and registries, and compiles; every finding is collected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from orchestrator.api.backend import Node
from orchestrator.cli.backends import configure_backends
from orchestrator.cli.findings import Findings
from orchestrator.cli.insecure import insecure_registries
from orchestrator.cli.load import Loaded, Taken, load_project
from orchestrator.cli.options import PlanOptions, ProjectOptions
from orchestrator.cli.recollect import PATIENCE, Asked, recollect
from orchestrator.cli.scope import make_scope, make_state_rules
from orchestrator.diagnostics import Diagnostic, Severity
from orchestrator.model import Model
from orchestrator.oci.digest import Digest
from orchestrator.oci.reference import Reference
from orchestrator.plan.bases import check_lock, check_platforms, find_bases
from orchestrator.plan.compile import Scope, compile_plan, place_selected, published_parents, selected_images
from orchestrator.plan.context import Listing
from orchestrator.plan.facts import RunFacts, TagState
from orchestrator.plan.image import Image
from orchestrator.plan.lower import Lowered, lower_plan
from orchestrator.plan.model import Destination, Plan
from orchestrator.plan.place import ConfiguredBackend, Placements
from orchestrator.probe.facts import host, read_nodes, read_tags
from orchestrator.process.capture import capture
from orchestrator.registry import open_stores


class Basis(Model):
    """All that a plan is made from: a project, what was asked for, and what was found out."""

    loaded: Loaded
    scope: Scope
    facts: RunFacts
    backends: Mapping[str, ConfiguredBackend]
    placed: Placements
    listings: Mapping[Digest, Listing]


class Prepared(Basis):
    """A plan, what it was made from, and all that running it takes."""

    plan: Plan
    lowered: Lowered

    @property
    def nodes(self) -> Mapping[str, tuple[Node, ...]]:
        """The nodes of each backend."""
        return self.facts.nodes


class Preparation:
    """One preparation: options in, a plan out; findings are in `findings`, also after an error."""

    def __init__(self, options: ProjectOptions, environment: Mapping[str, str], *, now: datetime | None = None) -> None:
        self.findings = Findings()
        self._options = options
        self._environment = environment
        self._taken = Taken(now=now or datetime.now(UTC).replace(microsecond=0), host=host())

    def load(self) -> Loaded:
        """Read the project and resolve everything that needs neither an engine nor a registry.

        Raises:
            ConfigurationError: the files are wrong; all findings are in its report.
            UsageError: there is no `builds.toml`, or an option is no text.
        """
        return load_project(self._options, self._environment, self.findings, self._taken)

    def plan(
        self,
        loaded: Loaded,
        options: PlanOptions,
        *,
        destination: Destination,
        released: Mapping[str, Digest] | None = None,
    ) -> Prepared:
        """Compile the plan of a selection; `released` are images that are built already, and their digests.

        Raises:
            UsageError: the selection names something unknown.
        """
        scope = make_scope(
            loaded,
            options,
            destination=destination,
            backend=self._options.backend,
            released=released,
            findings=self.findings,
        )
        images = selected_images(loaded.declared, scope)
        backends = configured_backends(loaded, scope)
        nodes = read_nodes(backends, self._environment, offline=self._options.offline)
        facts = RunFacts(nodes=nodes, host=loaded.host, tags=self._tags(loaded, images, destination))
        placed = place_selected(loaded.declared, scope, facts, backends)
        self.findings.add(_check_lock(loaded, images, nodes))
        listings: Mapping[Digest, Listing] = {}
        if destination.uses_registry and not self._options.offline:
            asked = Asked(
                root=loaded.root,
                images=images,
                dockerfiles=loaded.dockerfiles,
                placed=placed,
                published=published_parents(loaded.declared, images, facts),
                rules=make_state_rules(loaded, options, scope.selection, self._environment),
                takes_over=released is None,
            )
            recollected = recollect(asked, loaded.declared, facts, loaded.reader, self._environment)
            self.findings.add(recollected.found)
            self.findings.texts.update(recollected.texts)
            facts, listings = recollected.facts, recollected.listings
        basis = Basis(loaded=loaded, scope=scope, facts=facts, backends=backends, placed=placed, listings=listings)
        return compile_prepared(basis, self.findings)

    def _tags(self, loaded: Loaded, images: tuple[Image, ...], destination: Destination) -> dict[str, TagState]:
        references: dict[Reference, bool] = {}
        selected = {image.name for image in images}
        parents = {edge.parent for edge in loaded.declared.edges if edge.child in selected} - selected
        for image in loaded.declared.images:
            wanted = image.name in parents or (
                image.name in selected and image.publish and destination is Destination.PUSH
            )
            for tag in image.tags if wanted else ():
                if tag.reference:
                    references[tag.reference] = tag.moving
        if self._options.offline or not references:
            return {}
        insecure = insecure_registries(self._environment)
        with open_stores(self._environment, insecure=insecure, capture=capture, patience=PATIENCE) as stores:
            return read_tags(references, stores.repository)


def configured_backends(loaded: Loaded, scope: Scope) -> dict[str, ConfiguredBackend]:
    """The backends that a plan may use, configured.

    Raises:
        ConfigurationError: one of them is broken.
    """
    names_used = (image.backend or scope.backend for image in selected_images(loaded.declared, scope))
    return configure_backends(loaded.project, loaded.found, names_used, default=scope.backend)


def compile_prepared(basis: Basis, findings: Findings) -> Prepared:
    """The plan of this basis, lowered; a function of it."""
    plan = compile_plan(basis.loaded.declared, basis.scope, basis.facts, basis.placed, basis.loaded.reader)
    findings.add(plan.diagnostics)
    lowered = lower_plan(plan, basis.backends, basis.facts.nodes)
    findings.add(_refusals(lowered))
    return Prepared(
        loaded=basis.loaded,
        scope=basis.scope,
        facts=basis.facts,
        backends=basis.backends,
        placed=basis.placed,
        listings=basis.listings,
        plan=plan,
        lowered=lowered,
    )


def _check_lock(
    loaded: Loaded, images: tuple[Image, ...], nodes: Mapping[str, tuple[Node, ...]]
) -> Iterator[Diagnostic]:
    """What `builds.lock` lacks, has for nobody, or has for other platforms than are built."""
    declared = loaded.declared
    if declared.lock is not None:
        yield from check_lock(find_bases(declared.images, declared.edges, loaded.reader, loaded.host), declared.lock)
        bases = find_bases(images, declared.edges, loaded.reader, loaded.host)
        built_on = (platform for several in nodes.values() for node in several for platform in node.platforms)
        yield from check_platforms(bases, declared.lock, tuple(built_on))


def _refusals(lowered: Lowered) -> tuple[Diagnostic, ...]:
    """What backends refuse to do, once each: a warning in a plan, the end of a build."""
    unique = {refusal.message: refusal for refusal in lowered.refusals.values()}
    return tuple(
        Diagnostic(code=refusal.code, message=refusal.message, severity=Severity.WARNING, hints=refusal.hints)
        for refusal in unique.values()
    )
