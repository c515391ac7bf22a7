"""From options to a plan: loads, asks engines and registries, and compiles; every finding is collected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime

from msgspec import structs

from orchestrator.api.backend import Node
from orchestrator.cli.backends import configure_backends
from orchestrator.cli.findings import Findings
from orchestrator.cli.homes import reach_homes
from orchestrator.cli.load import Loaded, Taken, load_project
from orchestrator.cli.options import PlanOptions, ProjectOptions
from orchestrator.cli.recollect import Asked, Recollected, recollect
from orchestrator.cli.registries import OpenStore, open_asked
from orchestrator.cli.scope import make_scope, make_state_rules, only_affected
from orchestrator.cli.since import Question, find_since
from orchestrator.diagnostics import Diagnostic, Severity
from orchestrator.model import Model
from orchestrator.oci.digest import Digest
from orchestrator.oci.reference import Reference
from orchestrator.plan.affected import Since
from orchestrator.plan.bases import check_lock, check_platforms, find_bases
from orchestrator.plan.compile import Scope, compile_plan, place_selected, published_parents, selected_images
from orchestrator.plan.context import Listing
from orchestrator.plan.facts import RunFacts, StateRules
from orchestrator.plan.image import Image
from orchestrator.plan.lower import Lowered, lower_plan
from orchestrator.plan.model import Destination, Plan
from orchestrator.plan.place import ConfiguredBackend, Placements
from orchestrator.plan.platform_test import open_tests
from orchestrator.plan.sights import node_platforms
from orchestrator.probe.facts import host, read_nodes, read_tags


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
        self.since: Since | None = None
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
        if options.since is not None:
            question = Question(loaded=loaded, options=self._options, environment=self._environment)
            self.since = find_since(question, options.since, self.findings)
            scope = only_affected(scope, self.since)
        images = selected_images(loaded.declared, scope)
        self.findings.add(_check_lock(loaded))
        registries: AbstractContextManager[OpenStore | None] = (
            nullcontext() if self._options.offline else open_asked(loaded.root, self._environment)
        )
        with registries as open_store:
            basis = self._unasked(loaded, scope, open_store)
            # what goes to registries is remembered there alone, so nothing is looked at where they are not asked
            if self._options.offline and destination.uses_registry:
                basis = self._ask_nodes(basis)
            else:
                rules = make_state_rules(loaded, options, scope.selection, self._environment)
                basis = self._recollect(basis, rules, open_store, takes_over=released is None)
        self.findings.add(_check_bases(loaded, images, basis.facts))
        return compile_prepared(basis, self.findings)

    def _unasked(self, loaded: Loaded, scope: Scope, open_store: OpenStore | None) -> Basis:
        """What is known before nodes and memory are asked: what tags point at, and what nodes are configured to be."""
        backends = configured_backends(loaded, scope)
        references = tags_to_read(loaded, selected_images(loaded.declared, scope), scope.destination)
        facts = RunFacts(
            nodes=read_nodes(backends, self._environment, root=loaded.root, offline=True),
            host=loaded.host,
            tags=read_tags(references, open_store) if open_store else {},
        )
        placed = place_selected(loaded.declared, scope, facts, backends)
        return Basis(loaded=loaded, scope=scope, facts=facts, backends=backends, placed=placed, listings={})

    def _ask_nodes(self, basis: Basis) -> Basis:
        """The same with what nodes say of themselves."""
        if self._options.offline:
            return basis
        nodes = read_nodes(basis.backends, self._environment, root=basis.loaded.root, offline=False)
        facts = structs.replace(basis.facts, nodes=nodes)
        placed = place_selected(basis.loaded.declared, basis.scope, facts, basis.backends)
        return structs.replace(basis, facts=facts, placed=placed)

    def _recollect(self, basis: Basis, rules: StateRules, open_store: OpenStore | None, *, takes_over: bool) -> Basis:
        """The same with what is remembered. Nodes are asked only where they have work: it takes the longest."""
        loaded, destination = basis.loaded, basis.scope.destination
        images = selected_images(loaded.declared, basis.scope)
        reached = reach_homes(
            loaded.root, images, loaded.declared, destination, open_store=open_store, environment=self._environment
        )

        def recall_on(chosen: Basis) -> Recollected:
            asked = Asked(
                root=loaded.root,
                images=images,
                dockerfiles=loaded.dockerfiles,
                placed=chosen.placed,
                published=published_parents(loaded.declared, images, chosen.facts),
                rules=rules,
                takes_over=takes_over,
            )
            return recollect(
                asked, loaded.declared, chosen.facts, loaded.reader, open_store=open_store, reached=reached
            )

        found = recall_on(basis)
        memory = found.facts.memory
        if open_tests(images, memory) or any(build not in memory.parts for build in basis.placed.by_build):
            before, basis = basis.placed, self._ask_nodes(basis)
            found = structs.replace(found, facts=structs.replace(found.facts, nodes=basis.facts.nodes))
            # the platform that builds is an input of what asks for it
            if before != basis.placed and any(one.build_platform for one in found.facts.inputs.values()):
                found = recall_on(basis)
        self.findings.add(found.found)
        self.findings.texts.update(found.texts)
        return structs.replace(basis, facts=found.facts, listings=found.listings)


def tags_to_read(loaded: Loaded, images: tuple[Image, ...], destination: Destination) -> dict[Reference, bool]:
    """The tags to look up, and which of them move: those to be put, and those of parents that are not built here."""
    references: dict[Reference, bool] = {}
    selected = {image.name for image in images}
    parents = {edge.parent for edge in loaded.declared.edges if edge.child in selected} - selected
    for image in loaded.declared.images:
        wanted = image.name in parents or (image.name in selected and image.publish and destination is Destination.PUSH)
        for tag in image.tags if wanted else ():
            if tag.reference:
                references[tag.reference] = tag.moving
    return references


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
    before = tuple(finding for finding in findings.all if finding.severity is Severity.ERROR)
    findings.add(plan.diagnostics)
    plan = structs.replace(plan, diagnostics=(*before, *plan.diagnostics))
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


def _check_lock(loaded: Loaded) -> Iterator[Diagnostic]:
    """What `builds.lock` lacks, or has for nobody."""
    declared = loaded.declared
    if declared.lock is not None:
        yield from check_lock(find_bases(declared.images, declared.edges, loaded.reader, loaded.host), declared.lock)


def _check_bases(loaded: Loaded, images: tuple[Image, ...], facts: RunFacts) -> Iterator[Diagnostic]:
    """What external images have for other platforms than are built."""
    declared = loaded.declared
    if declared.lock or facts.bases:
        bases = find_bases(images, declared.edges, loaded.reader, loaded.host)
        yield from check_platforms(bases, declared.lock, facts.bases, node_platforms(facts.nodes))


def _refusals(lowered: Lowered) -> tuple[Diagnostic, ...]:
    """What backends refuse to do, once each: a warning in a plan, the end of a build."""
    unique = {refusal.message: refusal for refusal in lowered.refusals.values()}
    return tuple(
        Diagnostic(code=refusal.code, message=refusal.message, severity=Severity.WARNING, hints=refusal.hints)
        for refusal in unique.values()
    )
