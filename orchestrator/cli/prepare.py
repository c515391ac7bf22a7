"""From options to a plan: reads, decodes, expands, orders and compiles; every finding on the way is collected."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NoReturn

import msgspec

from orchestrator.api.backend import Node
from orchestrator.cli.backends import check_backends, configure_backends, default_backend
from orchestrator.cli.findings import Findings
from orchestrator.cli.given import check_encoding
from orchestrator.cli.insecure import insecure_registries
from orchestrator.cli.options import PlanOptions, ProjectOptions
from orchestrator.cli.recollect import PATIENCE, Asked, recollect
from orchestrator.config.assign import assignment_lines, check_patterns, parse_assignments
from orchestrator.config.names import check_names
from orchestrator.config.overrides import check_overrides
from orchestrator.config.project import Project, without_broken_images
from orchestrator.config.select import parse_platform_options, select
from orchestrator.config.variables import resolve_vars
from orchestrator.diagnostics import Diagnostic, KeyPlace, Severity, has_errors
from orchestrator.errors import ConfigurationError, PlanBlockedError, UsageError
from orchestrator.model import Model
from orchestrator.oci.digest import Digest
from orchestrator.oci.reference import Reference, parse_repository
from orchestrator.plan.bases import check_lock, check_platforms, find_bases
from orchestrator.plan.collide import check_collisions
from orchestrator.plan.compile import Declared, Scope, compile_plan, place_selected, published_parents, selected_images
from orchestrator.plan.context import Listing
from orchestrator.plan.edges import DockerfileReader, check_replaced_stages, check_single_platform, find_edges
from orchestrator.plan.expand import Expansion, Given, expand
from orchestrator.plan.facts import RunFacts, StateRules, TagState
from orchestrator.plan.grants import Grants, parse_grants
from orchestrator.plan.graph import Order, order_images
from orchestrator.plan.image import Image
from orchestrator.plan.lower import Lowered, lower_plan
from orchestrator.plan.model import Destination, Plan
from orchestrator.plan.place import ConfiguredBackend
from orchestrator.plan.release import ReleaseRules
from orchestrator.plan.scopes import choose_scope, read_scopes
from orchestrator.plan.sources import check_sources, needed_sources
from orchestrator.plan.versions import version_rules
from orchestrator.plugins import Found, find_backends
from orchestrator.probe.bases import read_lock
from orchestrator.probe.facts import host, read_nodes, read_tags, read_version_facts
from orchestrator.probe.project import find_build_file, read_project
from orchestrator.probe.sources import read_sources
from orchestrator.process.capture import capture
from orchestrator.registry import open_stores
from orchestrator.tags.facts import GitFacts, NoGit

REGISTRY: Final = "ORCHESTRATE_REGISTRY"


class Loaded(Model):
    """A project that is consistent in itself, whatever the outside says."""

    root: Path
    project: Project
    expansion: Expansion
    declared: Declared
    git: GitFacts | NoGit
    grants: Grants


class Prepared(Model):
    """A plan and all that running it takes."""

    loaded: Loaded
    plan: Plan
    lowered: Lowered
    backends: Mapping[str, ConfiguredBackend]
    nodes: Mapping[str, tuple[Node, ...]]
    listings: Mapping[Digest, Listing]
    now: datetime


class Preparation:
    """One preparation: options in, a plan out; findings are in `findings`, also after an error."""

    def __init__(self, options: ProjectOptions, environment: Mapping[str, str], *, now: datetime | None = None) -> None:
        self.findings = Findings()
        self._options = options
        self._environment = environment
        self._now = now or datetime.now(UTC).replace(microsecond=0)
        self._host = host()
        self._found = Found(specs={}, broken=())
        self._reader: DockerfileReader | None = None
        self._dockerfiles: Mapping[str, Digest] = {}

    def load(self) -> Loaded:
        """Read the project and resolve everything that needs neither an engine nor a registry.

        Raises:
            ConfigurationError: the files are wrong; all findings are in its report.
            UsageError: there is no `builds.toml`, or an option is no text.
        """
        check_encoding(self._options, self._environment)
        path = self._options.file or find_build_file(Path.cwd())
        if not os.path.lexists(path):
            message = f"there is no file `{path}`"
            raise UsageError(message, hints=("`--file` is relative to the folder that you are in",))
        project, found, texts = read_project(path)
        self.findings.texts.update(texts)
        self.findings.add(found)
        if project is None:
            self.findings.stop_on_errors()
            message = f"`{path}` cannot be read"
            raise ConfigurationError(message)
        root = Path(os.path.realpath(path.parent))
        return self._resolve(project, root)

    def _resolve(self, project: Project, root: Path) -> Loaded:
        findings, options = self.findings, self._options
        findings.add(check_overrides(project))
        self._found = find_backends()
        findings.add(check_backends(project, self._found))
        variables, found = resolve_vars(project, self._environment, options.variables)
        findings.add(found)
        in_args = project.root.project.secrets_in_args
        from_environment, found = parse_assignments(
            assignment_lines(self._environment), "environment", secrets_in_args=in_args
        )
        findings.add(found)
        from_command, found = parse_assignments(options.assignments, "command line", secrets_in_args=in_args)
        findings.add(found)
        assignments = (*from_environment, *from_command)
        facts = read_version_facts(root, version_rules(project, assignments), self._environment)
        boundary = _boundary(root)
        grants = parse_grants(options.allow, depth=len(root.relative_to(boundary).parts))
        given = Given(
            facts=facts,
            now=self._now,
            variables=variables,
            assignments=assignments,
            registry=self._registry(project),
            grants=grants,
        )
        if has_errors(tuple(findings.all)):
            self._look_further(project, given, root, boundary)
        expansion, found = expand(project, given)
        findings.add(found)
        names = {image.name for image in expansion.images} | {image.name for image in project.images}
        findings.add(check_patterns(given.assignments, tuple(names)))
        findings.add(check_names(project, tuple(image.name for image in expansion.images), expansion.families))
        findings.add(check_collisions(expansion.images))
        declared = self._order(project, expansion, root, boundary, grants)
        lock, found, texts = read_lock(root)
        findings.texts.update(texts)
        findings.add(found)
        findings.stop_on_errors()
        declared = msgspec.structs.replace(declared, lock=lock)
        return Loaded(root=root, project=project, expansion=expansion, declared=declared, git=facts.git, grants=grants)

    def _look_further(self, project: Project, given: Given, root: Path, boundary: Path) -> NoReturn:
        """Something is wrong: look at what the tables without errors say of single images too, and stop.

        What is between images is not looked at: it would be wrong only because of what is missing.
        """
        sound = without_broken_images(project, tuple(self.findings.all))
        if sound is not None:
            expansion, found = expand(sound, given)
            self.findings.add(found)
            self.findings.add(check_collisions(expansion.images))
            needed = needed_sources(expansion.images)
            sources = read_sources(root, needed, boundary=boundary, grants=given.grants)
            self.findings.add(check_sources(expansion.images, sources, given.grants))
        self.findings.stop()

    def _order(self, project: Project, expansion: Expansion, root: Path, boundary: Path, grants: Grants) -> Declared:
        images = expansion.images
        needed = needed_sources(images)
        sources = read_sources(root, needed, boundary=boundary, grants=grants)
        self.findings.texts.update({path: text for path, text in sources.dockerfiles.items() if text is not None})
        self.findings.add(check_sources(images, sources, grants))
        reader = DockerfileReader(sources.dockerfiles, self._host)
        self._reader = reader
        self._dockerfiles = sources.digests
        edges, found = find_edges(images, reader, expansion.families)
        self.findings.add(found)
        self.findings.add(check_single_platform(images, reader, edges))
        self.findings.add(check_replaced_stages(images, reader))
        self.findings.add(reader.found)
        order = order_images(tuple(image.name for image in images), edges)
        if isinstance(order, Diagnostic):
            self.findings.add((order,))
            order = Order(waves=(), parents={})
        return Declared(project=project.name, images=images, edges=edges, order=order, platforms=project.root.platforms)

    def _check_lock(
        self, declared: Declared, images: tuple[Image, ...], nodes: Mapping[str, tuple[Node, ...]]
    ) -> Iterator[Diagnostic]:
        """What `builds.lock` lacks, has for nobody, or has for other platforms than are built."""
        if declared.lock is not None:
            yield from check_lock(find_bases(declared.images, declared.edges, self.reader, self._host), declared.lock)
            bases = find_bases(images, declared.edges, self.reader, self._host)
            built_on = (platform for several in nodes.values() for node in several for platform in node.platforms)
            yield from check_platforms(bases, declared.lock, tuple(built_on))

    @property
    def reader(self) -> DockerfileReader:
        """What reads the Dockerfiles of what was loaded; `load` comes first."""
        if self._reader is None:
            message = "nothing is loaded"
            raise RuntimeError(message)
        return self._reader

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
            ConfigurationError: the selection names something unknown.
        """
        findings = self.findings
        names = tuple(image.name for image in loaded.expansion.images)
        selection, found = select(options.names, names, loaded.expansion.families, loaded.project.groups)
        if has_errors(found):
            raise UsageError(found[0].message, hints=found[0].hints)
        findings.add(found)
        backend, by_name = default_backend(loaded.project, self._found, self._options.backend)
        scope = Scope(
            destination=destination,
            selection=selection,
            with_parents=not options.no_deps,
            platforms=parse_platform_options(options.platforms),
            layout_folder=layout_folder(loaded.root, options.oci) if options.oci else ".orchestrate/oci",
            backend=backend,
            backend_by_name=by_name,
            rules=ReleaseRules(
                replace_tags=options.replace_tags, allow_downgrade=options.allow_downgrade, released=released or {}
            ),
        )
        images = selected_images(loaded.declared, scope)
        _check_selection(images, scope)
        names_used = (image.backend or backend for image in images)
        backends = configure_backends(loaded.project, self._found, names_used, default=backend)
        nodes = read_nodes(backends, self._environment, offline=self._options.offline)
        facts = RunFacts(nodes=nodes, host=self._host, tags=self._tags(loaded, images, destination))
        findings.add(self._check_lock(loaded.declared, images, nodes))
        placed = place_selected(loaded.declared, scope, facts, backends)
        listings: Mapping[Digest, Listing] = {}
        if destination.uses_registry and not self._options.offline:
            asked = Asked(
                root=loaded.root,
                images=images,
                dockerfiles=self._dockerfiles,
                placed=placed,
                published=published_parents(loaded.declared, images, facts),
                rules=self._state_rules(loaded, options, selection),
                takes_over=released is None,
            )
            recollected = recollect(asked, loaded.declared, facts, self.reader, self._environment)
            findings.add(recollected.found)
            findings.texts.update(recollected.texts)
            facts, listings = recollected.facts, recollected.listings
        plan = compile_plan(loaded.declared, scope, facts, placed, self.reader)
        findings.add(plan.diagnostics)
        lowered = lower_plan(plan, backends, nodes)
        findings.add(_refusals(lowered))
        return Prepared(
            loaded=loaded,
            plan=plan,
            lowered=lowered,
            backends=backends,
            nodes=nodes,
            listings=listings,
            now=self._now,
        )

    def _state_rules(self, loaded: Loaded, options: PlanOptions, selection: tuple[str, ...]) -> StateRules:
        try:
            scope = choose_scope(options.state_scope, self._environment)
        except ValueError as error:
            raise UsageError(str(error), hints=("for example `--state-scope pr-12`",)) from error
        reads = read_scopes(scope, tuple(loaded.project.root.state.read))
        return StateRules(scope=scope, reads=reads, forced=frozenset(selection if options.force else ()))

    def _registry(self, project: Project) -> str | None:
        """`{{ registry }}`: command line over environment over file."""
        file = project.files[0].path
        given = (
            ("`--registry`", self._options.registry, None),
            (f"`{REGISTRY}`", self._environment.get(REGISTRY), None),
            ("`registry`", project.root.project.registry or None, KeyPlace(file=file, keys=("project", "registry"))),
        )
        source, chosen, place = next((one for one in given if one[1]), ("", None, None))
        if chosen is None:
            return None
        chosen = chosen.rstrip("/")
        try:
            parse_repository(f"{chosen}/x")
        except ValueError as error:
            reason = str(error).replace(f"{chosen}/x", chosen).removesuffix(f" in `{chosen}`")
            message = f"{source} `{chosen}`: {reason}"
            hints = ("write it like `ghcr.io/acme`: a host, and what all repositories begin with",)
            self.findings.add((Diagnostic(code="registry", message=message, place=place, hints=hints),))
        return chosen

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


def find_root(options: ProjectOptions) -> Path:
    """The folder of the root file.

    Raises:
        UsageError: there is no `builds.toml`.
    """
    return Path(os.path.realpath((options.file or find_build_file(Path.cwd())).parent))


def layout_folder(root: Path, asked: str) -> str:
    """The folder of `--oci`, which the user says from where they stand; relative to the root where it is below it.

    Raises:
        UsageError: buildx could not tell its path from what follows it.
    """
    path = str(Path(asked).resolve())
    folder = os.path.relpath(path, root) if Path(path).is_relative_to(root) else path
    if any(mark in folder for mark in ":@,"):
        message = f"`--oci {asked}`: buildx takes `:`, `@` and `,` in the path of a layout for its own"
        raise UsageError(message, hints=("choose a folder without them",))
    return folder


def destination_of(options: PlanOptions, *, unless_said: Destination) -> Destination:
    """How far the results go."""
    if options.push:
        return Destination.PUSH
    if options.stage:
        return Destination.STAGE
    if options.load:
        return Destination.LOAD
    return Destination.LAYOUT if options.oci else unless_said


def _boundary(root: Path) -> Path:
    """The repository's root: the nearest folder upwards that git knows, else the root file's own folder."""
    return next((folder for folder in (root, *root.parents) if os.path.lexists(folder / ".git")), root)


def _check_selection(images: tuple[Image, ...], scope: Scope) -> None:
    if not images:
        platforms = ", ".join(f"`{platform}`" for platform in scope.platforms)
        if platforms:
            message = f"no selected image is built for {platforms}"
            raise UsageError(message, hints=("`orchestrate plan` shows the platforms of each image",))
        message = "there is no image to build"
        raise UsageError(message, hints=("declare one: `[images.NAME]`",))
    if scope.platforms and scope.destination is Destination.PUSH:
        message = "`--platform` builds a part of each index, and a part is never published"
        raise PlanBlockedError(message, hints=("use `--stage` or `--oci DIR`, or leave `--platform` out",))


def _refusals(lowered: Lowered) -> tuple[Diagnostic, ...]:
    """What backends refuse to do, once each: a warning in a plan, the end of a build."""
    unique = {refusal.message: refusal for refusal in lowered.refusals.values()}
    return tuple(
        Diagnostic(code=refusal.code, message=refusal.message, severity=Severity.WARNING, hints=refusal.hints)
        for refusal in unique.values()
    )
