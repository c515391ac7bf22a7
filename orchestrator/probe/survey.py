"""Looks at everything that a doctor looks at, once; changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol, TypeVar

from orchestrator.buildkit.builders import BuildxVersion, Engine
from orchestrator.buildkit.untrusted import UnreadableError
from orchestrator.errors import OrchestratorError
from orchestrator.model import Model
from orchestrator.probe.ask import BuildxMissingError, ask_builders, ask_buildx, ask_engine, ask_git
from orchestrator.probe.checks import Found, Problem, RegistryAnswer, Space
from orchestrator.probe.declared import Declared, foreign_platform, parse_declared
from orchestrator.probe.host import free_space, own_architecture, read_handlers
from orchestrator.process.capture import ToolMissingError

_T = TypeVar("_T")
_BUILD_FILE_LIMIT = 16 * 1024 * 1024


class Ping(Protocol):
    """Asks a registry whether it is there; only the registry package opens sockets, so it is handed in."""

    def __call__(self, host: str, environment: Mapping[str, str]) -> None:
        """Raises `RegistryError` where it does not answer, or refuses the login that there is for it."""


class Scope(Model):
    """What is to be looked at: the folder and the file of the project, and a registry that overrides the file's."""

    folder: Path
    file: Path
    registry: str = ""


def survey(scope: Scope, environment: Mapping[str, str], ping: Ping) -> Found:
    """Ask everybody; whoever does not answer is a `Problem` in the result, never an error."""
    declared = _declared(scope.file)
    engine, missing = _ask_engine(environment)
    architecture = engine.architecture if isinstance(engine, Engine) else own_architecture()
    asked = declared if isinstance(declared, Declared) else Declared()
    registry = scope.registry or asked.registry
    buildx, without_buildx = (None, True) if missing else _ask_buildx(environment)
    return Found(
        engine=engine,
        buildx=buildx,
        builders=None
        if without_buildx
        else _attempt(lambda: ask_builders(environment, engine_architecture=architecture)),
        architecture=architecture,
        handlers=read_handlers(),
        wanted=asked.platforms or (foreign_platform(architecture),),
        registries=(_ping(registry, environment, ping),) if registry else (),
        git=_attempt(lambda: ask_git(environment)),
        spaces=_spaces(scope.folder, engine),
        declared=declared if isinstance(declared, Problem) else None,
        configured=asked.builders,
    )


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
