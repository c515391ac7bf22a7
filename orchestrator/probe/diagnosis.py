"""All that a doctor says of what the probes found; pure."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.buildkit.builders import Builder, BuildxVersion, Engine
from orchestrator.model import Model
from orchestrator.probe.checks import (
    Check,
    Problem,
    RegistryAnswer,
    Space,
    Status,
    check_builders,
    check_buildx,
    check_engine,
    check_git,
    check_platform,
    check_problem,
    check_registry,
    check_space,
)
from orchestrator.probe.declared import ConfiguredBuilder, Wanted
from orchestrator.probe.host import Handlers
from orchestrator.probe.node_checks import AskedBackend, check_nodes, check_placement


class Found(Model):
    """Everything that the probes found; None for what was not looked at, since something before it failed.

    `architecture` is the engine's, or else this machine's. `nodes_only`: everything is built on nodes of `backends`,
    so that builders and emulators of this machine's are not needed.
    """

    engine: Engine | Problem
    buildx: BuildxVersion | Problem | None
    builders: tuple[Builder, ...] | Problem | None
    architecture: str
    handlers: Handlers
    wanted: tuple[Wanted, ...]
    registries: tuple[RegistryAnswer, ...]
    git: str | Problem
    spaces: tuple[Space, ...]
    declared: Problem | None = None
    configured: tuple[ConfiguredBuilder, ...] = ()
    backends: tuple[AskedBackend, ...] | None = ()
    nodes_only: bool = False


def diagnose(found: Found) -> tuple[Check, ...]:
    """All checks, in the order in which they are shown."""
    builders = _builders(found)
    nodes = tuple(node for backend in found.backends or () for node in backend.nodes)
    checks = [check_engine(found.engine, builders, nodes)]
    if found.buildx is not None:
        checks.append(check_buildx(found.buildx))
    if isinstance(found.builders, Problem):
        checks.append(check_problem("builders", found.builders))
    elif found.builders is not None:
        engine = found.engine if isinstance(found.engine, Engine) else None
        checks += check_builders(builders, engine, _users(found), needed=not found.nodes_only)
    if found.declared is not None:
        checks.append(check_problem("builds.toml", found.declared, status=Status.WARN))
    missing = _missing(found)
    checks += [check for backend in found.backends or () for check in check_nodes(backend, missing)]
    checks += _platforms(found)
    checks += [check_registry(answer) for answer in found.registries]
    checks.append(check_git(found.git))
    checks += [check_space(space) for space in found.spaces]
    return tuple(checks)


def _builders(found: Found) -> tuple[Builder, ...]:
    return found.builders if isinstance(found.builders, tuple) else ()


def _users(found: Found) -> tuple[ConfiguredBuilder, ...]:
    """Who names a builder. Of a node that was asked its own line says what becomes of it, if its builder is there."""
    asked = {backend.name for backend in found.backends or () if backend.problem is None}
    there = {builder.name for builder in _builders(found)}
    return tuple(
        user for user in found.configured if not user.node or user.backend not in asked or user.name not in there
    )


def _missing(found: Found) -> frozenset[str]:
    """The builders that nodes name and nobody has, where that is known."""
    if not isinstance(found.builders, tuple):
        return frozenset()
    return frozenset(user.name for user in found.configured) - {builder.name for builder in found.builders}


def _platforms(found: Found) -> Iterator[Check]:
    """By nodes, or else by what this machine has, unless only nodes count: where these are not known nobody knows."""
    for wanted in found.wanted:
        check = check_placement(wanted, found.backends or ())
        if not found.nodes_only and (check is None or check.status is not Status.OK):
            check = check_platform(wanted, _builders(found), found.architecture, found.handlers)
        if check is not None:
            yield check
