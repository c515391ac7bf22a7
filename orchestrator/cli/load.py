"""From files and options to a project that is consistent in itself; every finding on the way is collected."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Final, NoReturn, Protocol

import msgspec

from orchestrator.cli.backends import check_backends
from orchestrator.cli.findings import Findings
from orchestrator.cli.given import check_encoding
from orchestrator.cli.options import ProjectOptions
from orchestrator.config.assign import assignment_lines, check_patterns, parse_assignments
from orchestrator.config.names import check_names
from orchestrator.config.overrides import check_overrides
from orchestrator.config.project import Project, without_broken_images
from orchestrator.config.variables import resolve_vars
from orchestrator.diagnostics import Diagnostic, KeyPlace, has_errors
from orchestrator.errors import ConfigurationError, UsageError
from orchestrator.model import Model
from orchestrator.oci.digest import Digest
from orchestrator.oci.platform import Platform
from orchestrator.oci.reference import Repository, parse_repository
from orchestrator.plan.collide import check_collisions
from orchestrator.plan.compile import Declared
from orchestrator.plan.edges import DockerfileReader, check_replaced_stages, check_single_platform, find_edges
from orchestrator.plan.expand import Expansion, Given, expand
from orchestrator.plan.facts import SourceFacts
from orchestrator.plan.grants import Grants, parse_grants
from orchestrator.plan.graph import Order, order_images
from orchestrator.plan.sources import NeededSources, check_sources, needed_sources
from orchestrator.plan.versions import version_rules
from orchestrator.plugins import Found, find_backends
from orchestrator.probe.bases import read_lock
from orchestrator.probe.facts import read_version_facts
from orchestrator.probe.project import find_build_file, read_project
from orchestrator.probe.sources import read_sources
from orchestrator.state.parsed import read_parsed, write_parsed
from orchestrator.tags.version import VersionFacts, VersionRule

REGISTRY: Final = "ORCHESTRATE_REGISTRY"


class Past(Protocol):
    """An earlier commit: what is read of it has to be laid out first."""

    def version_facts(self, rules: tuple[VersionRule, ...]) -> VersionFacts:
        """What versions are made from: git, time and environment as now, files as then."""

    def lay_out(self, needed: NeededSources) -> None:
        """Lay out Dockerfiles and folders."""


class Taken(Model):
    """What a project takes from outside of its files: the time and what git says, read now or of a frozen plan.

    `past` is the commit that the files are of, where they are not those of now.
    """

    now: datetime
    host: Platform
    facts: VersionFacts | None = None
    past: Past | None = None


class Loaded(Model):
    """A project that is consistent in itself, whatever registries and engines say.

    `dockerfiles` are the digests of Dockerfiles by path, `found` the backends that are installed.
    """

    root: Path
    project: Project
    expansion: Expansion
    declared: Declared
    facts: VersionFacts
    now: datetime
    grants: Grants
    found: Found
    host: Platform
    reader: DockerfileReader
    dockerfiles: Mapping[str, Digest]


def load_project(options: ProjectOptions, environment: Mapping[str, str], findings: Findings, taken: Taken) -> Loaded:
    """Read the project and resolve everything that needs neither an engine nor a registry.

    Raises:
        ConfigurationError: the files are wrong; all findings are in its report.
        UsageError: there is no `builds.toml`, or an option is no text.
    """
    return _Loader(options, environment, findings, taken).load()


class _Loader:
    """Holds what every part of one loading looks at."""

    def __init__(
        self, options: ProjectOptions, environment: Mapping[str, str], findings: Findings, taken: Taken
    ) -> None:
        self.findings = findings
        self._options = options
        self._environment = environment
        self._taken = taken
        self._host = taken.host

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
        installed = find_backends()
        findings.add(check_backends(project, installed))
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
        facts = self._version_facts(root, tuple(version_rules(project, assignments)))
        boundary = _boundary(root)
        grants = parse_grants(options.allow, depth=len(root.relative_to(boundary).parts))
        given = Given(
            facts=facts,
            now=self._taken.now,
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
        declared, reader, dockerfiles = self._order(project, expansion, root, boundary, grants)
        lock, found, texts = read_lock(root)
        findings.texts.update(texts)
        findings.add(found)
        state = self._state(project)
        findings.stop_on_errors()
        declared = msgspec.structs.replace(declared, lock=lock, state=state)
        return Loaded(
            root=root, project=project, expansion=expansion, declared=declared, facts=facts, now=self._taken.now,
            grants=grants, found=installed, host=self._host, reader=reader, dockerfiles=dockerfiles,
        )  # fmt: skip

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
            sources = self._sources(root, needed, boundary, given.grants)
            self.findings.add(check_sources(expansion.images, sources, given.grants))
        self.findings.stop()

    def _order(
        self, project: Project, expansion: Expansion, root: Path, boundary: Path, grants: Grants
    ) -> tuple[Declared, DockerfileReader, Mapping[str, Digest]]:
        images = expansion.images
        needed = needed_sources(images)
        sources = self._sources(root, needed, boundary, grants)
        self.findings.texts.update({path: text for path, text in sources.dockerfiles.items() if text is not None})
        self.findings.add(check_sources(images, sources, grants))
        known = read_parsed(root, sources.digests)
        reader = DockerfileReader(sources.dockerfiles, self._host, known)
        edges, found = find_edges(images, reader, expansion.families)
        self.findings.add(found)
        self.findings.add(check_single_platform(images, reader, edges))
        self.findings.add(check_replaced_stages(images, reader))
        self.findings.add(reader.found)
        if reader.learned:
            write_parsed(root, sources.digests, {**known, **reader.learned})
        order = order_images(tuple(image.name for image in images), edges)
        if isinstance(order, Diagnostic):
            self.findings.add((order,))
            order = Order(waves=(), parents={})
        declared = Declared(
            project=project.name, images=images, edges=edges, order=order, platforms=project.root.platforms
        )
        return declared, reader, sources.digests

    def _version_facts(self, root: Path, rules: tuple[VersionRule, ...]) -> VersionFacts:
        if self._taken.past is not None:
            return self._taken.past.version_facts(rules)
        return self._taken.facts or read_version_facts(root, rules, self._environment)

    def _sources(self, root: Path, needed: NeededSources, boundary: Path, grants: Grants) -> SourceFacts:
        if self._taken.past is not None:
            self._taken.past.lay_out(needed)
        return read_sources(root, needed, boundary=boundary, grants=grants)

    def _state(self, project: Project) -> Repository | None:
        """The repository of `[state]`."""
        text = project.root.state.repository
        if text is msgspec.UNSET:
            return None
        try:
            return parse_repository(text)
        except ValueError as error:
            place = KeyPlace(file=project.files[0].path, keys=("state", "repository"))
            hints = ("write it like `ghcr.io/acme/state`: a repository that nothing else is pushed to",)
            message = f"`repository` of `[state]`: {error}"
            self.findings.add((Diagnostic(code="repository", message=message, place=place, hints=hints),))
            return None

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


def find_root(options: ProjectOptions) -> Path:
    """The folder of the root file.

    Raises:
        UsageError: there is no `builds.toml`.
    """
    return Path(os.path.realpath((options.file or find_build_file(Path.cwd())).parent))


def _boundary(root: Path) -> Path:
    """The repository's root: the nearest folder upwards that git knows, else the root file's own folder."""
    return next((folder for folder in (root, *root.parents) if os.path.lexists(folder / ".git")), root)
