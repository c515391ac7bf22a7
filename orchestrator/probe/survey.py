"""Looks at everything that a doctor looks at, once; changes nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol, TypeVar

from orchestrator.api.backend import Emulation, Node, Placement, PlaceRequest, Refusal
from orchestrator.buildkit.builders import BuildxVersion, Engine
from orchestrator.buildkit.untrusted import UnreadableError
from orchestrator.errors import OrchestratorError
from orchestrator.model import Model
from orchestrator.plan.place import ConfiguredBackend
from orchestrator.probe.ask import BuildxMissingError, ask_builders, ask_buildx, ask_engine, ask_git
from orchestrator.probe.checks import Problem, RegistryAnswer, Space
from orchestrator.probe.declared import Declared, UsedBackend, Wanted, foreign_platform, parse_declared
from orchestrator.probe.diagnosis import Found
from orchestrator.probe.facts import host, read_nodes
from orchestrator.probe.host import free_space, own_architecture, read_handlers
from orchestrator.probe.node_checks import AskedBackend
from orchestrator.process.capture import ToolMissingError

_T = TypeVar("_T")
_NO_IMAGE = "doctor"
"""Which of equal nodes gets an image is a matter of its name; that one of them does is not."""
_BUILD_FILE_LIMIT = 16 * 1024 * 1024


class Ping(Protocol):
    """Asks a registry whether it is there; only the registry package opens sockets, so it is handed in."""

    def __call__(self, host: str, environment: Mapping[str, str]) -> None:
        """Raises `RegistryError` where it does not answer, or refuses the login that there is for it."""


class Configure(Protocol):
    """Makes a backend ready to be asked; only the package of plugins knows them, so it is handed in."""

    def __call__(self, name: str, table: object) -> ConfiguredBackend:
        """Raises `OrchestratorError` where there is none of this name, or its table has mistakes."""


class Scope(Model):
    """What is to be looked at: the folder and the file of the project, and a registry that overrides the file's."""

    folder: Path
    file: Path
    registry: str = ""


def survey(scope: Scope, environment: Mapping[str, str], ping: Ping, configure: Configure) -> Found:
    """Ask everybody; whoever does not answer is a `Problem` in the result, never an error."""
    declared = _declared(scope.file)
    engine, missing = _ask_engine(environment)
    architecture = engine.architecture if isinstance(engine, Engine) else own_architecture()
    asked = declared if isinstance(declared, Declared) else Declared()
    registry = scope.registry or asked.registry
    wanted = asked.platforms or (foreign_platform(architecture),)
    buildx, without_buildx = (None, True) if missing else _ask_buildx(environment)
    return Found(
        engine=engine,
        buildx=buildx,
        builders=None
        if without_buildx
        else _attempt(lambda: ask_builders(environment, engine_architecture=architecture)),
        architecture=architecture,
        handlers=read_handlers(),
        wanted=wanted,
        registries=(_ping(registry, environment, ping),) if registry else (),
        git=_attempt(lambda: ask_git(environment)),
        spaces=_spaces(scope.folder, engine),
        declared=declared if isinstance(declared, Problem) else None,
        configured=asked.builders,
        backends=None
        if without_buildx
        else tuple(_ask_backend(used, wanted, scope, environment, configure) for used in asked.backends),
        nodes_only=asked.nodes_only,
    )


def _ask_backend(
    used: UsedBackend, wanted: tuple[Wanted, ...], scope: Scope, environment: Mapping[str, str], configure: Configure
) -> AskedBackend:
    """The nodes of a backend, and where it would build, as a plan asks it."""
    try:
        chosen = configure(used.name, used.table)
    except OrchestratorError as error:
        hint = "`orchestrate plan` tells all mistakes of the file, with their lines"
        return AskedBackend(name=used.name, problem=Problem(message=f"cannot be asked: {error.message}", hint=hint))
    root = Path(os.path.realpath(scope.file.parent))
    try:
        nodes = read_nodes({used.name: chosen}, environment, root=root, offline=False)[used.name]
        placed = {each.platform: _place(chosen, nodes, each, by_name=used.by_name) for each in wanted}
    except OrchestratorError as error:
        return AskedBackend(name=used.name, problem=_problem(error))
    return AskedBackend(name=used.name, nodes=nodes, placed=placed)


def _place(chosen: ConfiguredBackend, nodes: tuple[Node, ...], wanted: Wanted, *, by_name: bool) -> Placement | Refusal:
    """Where a plan would build the platform, or why nowhere."""
    unless_said = Emulation.ALLOW if by_name and chosen.capabilities.emulation else Emulation.FORBID
    rule = wanted.emulation or unless_said
    request = PlaceRequest(image=_NO_IMAGE, platform=wanted.platform, emulation=rule, nodes=nodes, host=host())
    return chosen.backend.place(request)


def _attempt(ask: Callable[[], _T]) -> _T | Problem:
    try:
        return ask()
    except OrchestratorError as error:
        return _problem(error)


def _problem(error: OrchestratorError) -> Problem:
    return Problem(message=error.message, hint="; ".join(error.hints))


def _ask_engine(environment: Mapping[str, str]) -> tuple[Engine | Problem, bool]:
    """The engine, and whether even the program `docker` is missing: then asking for more says it again."""
    try:
        return ask_engine(environment), False
    except OrchestratorError as error:
        return _problem(error), isinstance(error, ToolMissingError)


def _ask_buildx(environment: Mapping[str, str]) -> tuple[BuildxVersion | Problem, bool]:
    """Its version, and whether it is missing: then asking for its builders says it again."""
    try:
        return ask_buildx(environment), False
    except OrchestratorError as error:
        return _problem(error), isinstance(error, BuildxMissingError)


def _ping(host: str, environment: Mapping[str, str], ping: Ping) -> RegistryAnswer:
    answer = _attempt(lambda: ping(host, environment))
    return RegistryAnswer(host=host, problem=answer)


def _declared(file: Path) -> Declared | Problem:
    """What the file asks for; nothing where there is none."""
    try:
        with file.open("rb") as opened:
            content = opened.read(_BUILD_FILE_LIMIT)
        return parse_declared(content)
    except FileNotFoundError:
        return Declared()
    except OSError as error:
        return Problem(message=f"cannot be read: {(error.strerror or str(error)).lower()}")
    except UnreadableError as error:
        return Problem(message=f"is not TOML: {error}", hint="`orchestrate plan` shows the line")


def _spaces(folder: Path, engine: Engine | Problem) -> tuple[Space, ...]:
    """The project's disk, and the engine's where it is another one of this machine's."""
    folders = [folder]
    if isinstance(engine, Engine) and engine.root:
        root = Path(engine.root)
        if root.is_dir() and root.stat().st_dev != folder.stat().st_dev:
            folders.append(root)
    measured = ((path, free_space(path)) for path in folders)
    return tuple(Space(folder=str(path), free=free) for path, free in measured if free is not None)
