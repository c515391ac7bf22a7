"""Reads what versions, nodes and tags are made from; each once."""

from __future__ import annotations

import os
import platform as host_platform
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Protocol

from orchestrator.api.backend import Node, Probe
from orchestrator.api.invocation import FileOf, Outcome, Word, late_values
from orchestrator.buildkit.onebuilder import builder_probes, chosen_node
from orchestrator.errors import OrchestratorError, RegistryError, UsageError, disk_error
from orchestrator.oci.digest import Digest
from orchestrator.oci.manifest import Manifest
from orchestrator.oci.note import read_note
from orchestrator.oci.platform import Platform, normalise, parse_platform
from orchestrator.oci.reference import Reference, Repository
from orchestrator.plan.facts import TagState
from orchestrator.plan.names import note_tag
from orchestrator.plan.place import ConfiguredBackend
from orchestrator.probe.git import read_git
from orchestrator.probe.regular import read_regular
from orchestrator.process.capture import Captured, capture
from orchestrator.process.environment import child_environment
from orchestrator.tags.version import (
    MAX_FILE,
    VersionFacts,
    VersionRule,
    needed_environment,
    needed_files,
    needed_matches,
)

_REGISTRY_THREADS: Final = 32
_MOST_ASKED: Final = 64
_NOT_RUN: Final = 127


class TagStore(Protocol):
    """What reading tags needs of a store."""

    def find(self, locator: str) -> Digest | None:
        """The digest behind a tag."""

    def fetch_manifest(self, locator: str) -> Manifest | None:
        """The manifest behind a digest."""


def read_version_facts(root: Path, rules: Iterable[VersionRule], environment: Mapping[str, str]) -> VersionFacts:
    """Read git, and of files and environment what the rules need."""
    rules = tuple(rules)
    matches = tuple(dict.fromkeys(match for rule in rules for match in needed_matches(rule)))
    names = dict.fromkeys(name for rule in rules for name in needed_environment(rule))
    paths = dict.fromkeys(path for rule in rules for path in needed_files(rule))
    return VersionFacts(
        git=read_git(root, matches),
        environment={name: environment[name] for name in names if name in environment},
        files={path: read_version_file(root, path) for path in paths},
    )


def read_version_file(root: Path, path: str) -> str | None:
    """The text of a file below the root; a file that is not there, or not below it, is None."""
    target = Path(os.path.realpath(root / path))
    if not target.is_relative_to(os.path.realpath(root)):
        return None
    content = read_regular(str(target), MAX_FILE + 1)
    try:
        return None if content is None else content.decode("utf-8")
    except UnicodeDecodeError:
        return None


def host() -> Platform:
    """The platform of this machine."""
    try:
        return parse_platform(f"linux/{host_platform.machine()}")
    except ValueError:
        return normalise("linux", host_platform.machine().lower(), "")


def read_nodes(
    backends: Mapping[str, ConfiguredBackend], environment: Mapping[str, str], *, root: Path, offline: bool
) -> dict[str, tuple[Node, ...]]:
    """The nodes of each backend, asked at the same time; offline, or where nobody answers, what they say unasked.

    Those that only an answer tells of are asked after it, once.
    """
    answers: dict[str, dict[str, Outcome]] = {name: {} for name in backends}

    def ask_all(probes: list[tuple[str, Probe]]) -> dict[str, tuple[Node, ...]]:
        if probes and not offline:
            with ThreadPoolExecutor(min(len(probes), _MOST_ASKED)) as threads:
                outcomes = threads.map(lambda pair: ask(pair[1], environment, root), probes)
                for (name, probe), outcome in zip(probes, outcomes, strict=True):
                    answers[name][probe.name] = outcome
        return {name: chosen.backend.nodes(answers[name]) for name, chosen in backends.items()}

    nodes = ask_all([(name, probe) for name, chosen in backends.items() for probe in chosen.backend.probes()])
    found = [(name, node.probe) for name, several in nodes.items() for node in several if node.probe]
    return ask_all(found) if found else nodes


def read_builder(name: str, environment: Mapping[str, str]) -> Node:
    """A buildx builder of this machine as a node; a provisional one where it does not answer."""
    answers = {probe.name: ask(probe, environment, Path()) for probe in builder_probes(name)}
    return chosen_node(name, answers)


def ask(probe: Probe, environment: Mapping[str, str], root: Path) -> Outcome:
    """Ask one node of a project in this folder; what nobody could be asked is an outcome like any other."""
    env = child_environment(environment)
    try:
        if not probe.writes:
            return _outcome(capture(probe.argv, env=env, timeout=probe.timeout))
        with TemporaryDirectory(prefix="orchestrate-") as folder:
            for file in probe.writes:
                path = Path(folder, file.name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(_fill(file.content, str(root), env), encoding="utf-8")
            return _outcome(capture(probe.argv, env={**env, probe.folder: folder}, timeout=probe.timeout))
    except OrchestratorError as error:
        return Outcome(exit_code=_NOT_RUN, stderr=error.message)
    except OSError as error:
        return Outcome(exit_code=_NOT_RUN, stderr=disk_error(error).message)


def _fill(word: Word, root: str, environment: Mapping[str, str]) -> str:
    """The word with the paths of the user's files, which have to be there: who cannot read one says so badly.

    Raises:
        UsageError: a file, or the variable that holds its path, is not there.
    """
    files = [late for late in late_values(word) if isinstance(late, FileOf)]
    for late in files:
        if late.variable and late.variable not in environment:
            message = f"environment variable `{late.variable}` is not set"
            raise UsageError(message)
        path = FileOf(given=late.given).locate(root, environment)
        if not os.path.isfile(path):  # noqa: PTH113 (the path is text)
            message = f"no file `{path}`"
            raise UsageError(message)
    parts = (word,) if isinstance(word, str) else word
    return "".join(part.locate(root, environment) if isinstance(part, FileOf) else str(part) for part in parts)


def _outcome(captured: Captured) -> Outcome:
    return Outcome(
        exit_code=captured.exit_code,
        stdout=captured.stdout.decode("utf-8", "replace"),
        stderr=captured.stderr.decode("utf-8", "replace"),
    )


def read_tags(
    references: Mapping[Reference, bool], open_store: Callable[[Repository], TagStore]
) -> dict[str, TagState]:
    """What these tags point at now; for moving ones (True) also the version noted there.

    One tag of each registry is looked up before the others: a registry that cannot be reached is waited for once.
    """
    first = {reference.repository.registry: reference for reference in references}
    with ThreadPoolExecutor(_REGISTRY_THREADS) as threads:

        def read_all(chosen: Iterable[Reference]) -> dict[Reference, TagState]:
            chosen = tuple(chosen)
            states = threads.map(lambda reference: _read_tag(reference, references[reference], open_store), chosen)
            return dict(zip(chosen, states, strict=True))

        states = read_all(first.values())
        silent = {registry: states[reference] for registry, reference in first.items() if states[reference].unknown}
        for reference in references:
            if reference.repository.registry in silent:
                states[reference] = silent[reference.repository.registry]
        states |= read_all(reference for reference in references if reference not in states)
    return {str(reference): states[reference] for reference in references}


def _read_tag(reference: Reference, moving: bool, open_store: Callable[[Repository], TagStore]) -> TagState:  # noqa: FBT001 (mapped over)
    try:
        store = open_store(reference.repository)
        digest = store.find(reference.tag)
        version = _noted_version(store, reference.tag, digest) if digest and moving else None
    except RegistryError as error:
        return TagState(unknown=error.message, hints=error.hints)
    return TagState(digest=digest, version=version)


def _noted_version(store: TagStore, tag: str, digest: Digest) -> str | None:
    note = store.fetch_manifest(note_tag(tag))
    return read_note(note, digest) if note else None
