"""What a doctor concludes from each thing that the probes found; pure."""

from __future__ import annotations

from enum import Enum
from typing import Final, TypeAlias

from orchestrator.api.backend import Node
from orchestrator.buildkit.builders import (
    INSTALL_BUILDX,
    Builder,
    BuilderNode,
    BuildxVersion,
    Engine,
    builds_several_platforms,
    is_builder_name,
)
from orchestrator.config.nearest import Nearest
from orchestrator.model import Model
from orchestrator.oci.platform import Platform
from orchestrator.probe.declared import ConfiguredBuilder, Wanted
from orchestrator.probe.host import Handlers

BUILDER_NAME: Final = "orchestrate"
_SCARCE: Final = 10_000_000_000
_FULL: Final = 1_000_000_000
_NODE_HINT: Final = "add a machine that has this CPU: `orchestrate builders create NAME --node ENDPOINT={platform}`"


class Status(Enum):
    """`FAIL` means that builds will not succeed; the command then ends with 3."""

    OK = "ok"
    WARN = "warn"
    FAIL = "FAIL"


class CreateBuilder(Model, tag="create-builder"):
    """A builder of the docker-container driver has to be created."""

    name: str = BUILDER_NAME


class StartBuilder(Model, tag="start-builder"):
    """A builder that is there has to be started."""

    name: str


class RegisterHandlers(Model, tag="register-handlers"):
    """The kernel has to be told how to run programs of these architectures."""

    architectures: tuple[str, ...]


Fix: TypeAlias = CreateBuilder | StartBuilder | RegisterHandlers


class Check(Model):
    """One line of the doctor: what was looked at, what was found, what to do; `fix` is what `--fix` can do about it."""

    status: Status
    subject: str
    message: str
    hint: str = ""
    fix: Fix | None = None


class Problem(Model):
    """What was found instead of an answer."""

    message: str
    hint: str = ""


class RegistryAnswer(Model):
    """How a registry answered to the login that there is for it; there need not be one."""

    host: str
    problem: Problem | None = None


class Space(Model):
    """The bytes that are free in a folder."""

    folder: str
    free: int


def check_problem(subject: str, problem: Problem, *, status: Status = Status.FAIL) -> Check:
    """Nobody answered."""
    return Check(status=status, subject=subject, message=problem.message, hint=problem.hint)


def check_engine(engine: Engine | Problem, builders: tuple[Builder, ...], nodes: tuple[Node, ...] = ()) -> Check:
    """An engine is not needed where a builder runs somewhere else, or a node answers."""
    if isinstance(engine, Problem):
        elsewhere = any(node.running for builder in builders for node in builder.nodes)
        elsewhere = elsewhere or any(not node.provisional for node in nodes)
        return check_problem("docker", engine, status=Status.WARN if elsewhere else Status.FAIL)
    store = "containerd image store" if engine.containerd_snapshotter else "without the containerd image store"
    return Check(status=Status.OK, subject="docker", message=f"{engine.version}, {store}")


def check_buildx(buildx: BuildxVersion | Problem) -> Check:
    """0.20 or newer: older ones lack what the backends use."""
    if isinstance(buildx, Problem):
        return check_problem("buildx", buildx)
    if buildx.supported:
        return Check(status=Status.OK, subject="buildx", message=buildx.text)
    return Check(
        status=Status.FAIL,
        subject="buildx",
        message=f"{buildx.text} is too old, 0.20 or newer is needed",
        hint=INSTALL_BUILDX,
    )


def check_builders(
    builders: tuple[Builder, ...],
    engine: Engine | None,
    configured: tuple[ConfiguredBuilder, ...] = (),
    *,
    needed: bool = True,
) -> list[Check]:
    """One line for each builder, those that the file names and nobody has too.

    One more where none builds for several platforms, unless one is to be created anyhow, or none is `needed`.
    """
    users: dict[str, list[ConfiguredBuilder]] = {}
    for each in configured:
        users.setdefault(each.name, []).append(each)
    checks = [_check_builder(builder, engine, users.pop(builder.name, []), needed=needed) for builder in builders]
    checks += [_check_absent(name, chosen, builders) for name, chosen in users.items()]
    if not needed or engine is None:
        return checks
    if any(builder.ready and builds_several_platforms(builder, engine) for builder in builders):
        return checks
    if any(isinstance(check.fix, CreateBuilder) for check in checks):
        return checks
    missing = Check(
        status=Status.FAIL,
        subject="builders",
        message="none that builds for several platforms",
        hint=f"`docker buildx create --name={BUILDER_NAME} --driver=docker-container --bootstrap`, and name it in "
        f'`builds.toml`: `[backends.qemu]`, `builder = "{BUILDER_NAME}"`',
        fix=CreateBuilder(),
    )
    return [*checks, missing]


def _check_absent(name: str, users: list[ConfiguredBuilder], builders: tuple[Builder, ...]) -> Check:
    """A builder of one's own can be made here; what a node is to be only the user knows."""
    node = next((user for user in users if user.node), None)
    backend = users[0].backend
    choice = (
        "`orchestrate builders use NAME`"
        if backend == "qemu"
        else f"`orchestrate builders use NAME --backend {backend}`"
    )
    creation = f"`orchestrate builders create {name}`, or "
    if node is not None:
        choice = f"name another one in {node.place}"
        creation = f"`orchestrate builders create {name} --node ENDPOINT`, or "
    legal = is_builder_name(name)
    nearest = Nearest(tuple(builder.name for builder in builders)).hints(name) if builders else ()
    return Check(
        status=Status.FAIL,
        subject=f"builder {name}",
        message="does not exist" + _named_by(users),
        hint="; ".join(((creation if legal else "") + choice, *nearest)),
        fix=CreateBuilder(name=name) if legal and node is None else None,
    )


def _named_by(users: list[ConfiguredBuilder]) -> str:
    places = " and ".join(user.place for user in users)
    return f", and {places} {'names' if len(users) == 1 else 'name'} it"


def _check_builder(builder: Builder, engine: Engine | None, users: list[ConfiguredBuilder], *, needed: bool) -> Check:
    """What is a warning for a builder that nobody named is the end of a build for one that the file names."""
    subject = f"builder {builder.name}" + (" (current)" if builder.current else "")
    silent = bool(users) and not builder.answering
    if builder.problem:
        return _check_lost(builder, subject, users if silent else [])
    if silent:
        return Check(
            status=Status.FAIL,
            subject=subject,
            message="not running" + _named_by(users),
            hint=f"`orchestrate builders inspect {builder.name} --bootstrap` starts it",
            fix=StartBuilder(name=builder.name),
        )
    message = f"{builder.driver}, {_nodes(builder.nodes)}"
    if (needed or users) and engine is not None and not builds_several_platforms(builder, engine):
        return Check(
            status=Status.FAIL if users else Status.WARN,
            subject=subject,
            message=f"{message}; builds one platform at a time and has no `oci` output",
            hint="use a builder of the docker-container driver, or switch the engine to the containerd image store: "
            "https://docs.docker.com/go/containerd-image-store/",
        )
    return Check(status=Status.OK, subject=subject, message=message)


def _check_lost(builder: Builder, subject: str, users: list[ConfiguredBuilder]) -> Check:
    # a builder of the docker driver is a context of docker, and goes with that
    removal = "" if builder.driver in {"", "docker"} else f"; `orchestrate builders rm {builder.name}` removes it"
    count = f"{len(builder.lost)} of {len(builder.nodes)} nodes lost: " if len(builder.nodes) > 1 else ""
    return Check(
        status=Status.FAIL if users else Status.WARN,
        subject=subject,
        message=f"{count}{builder.problem}" + (_named_by(users) if users else ""),
        hint=f"`orchestrate builders inspect {builder.name}` shows its nodes" + removal,
    )


def _nodes(nodes: tuple[BuilderNode, ...]) -> str:
    running = sum(node.running for node in nodes)
    parts = ["running" if len(nodes) == 1 and running else f"{running} of {len(nodes)} nodes running"]
    for word, platforms in (
        ("native", [platform for node in nodes for platform in node.native]),
        ("emulated", [platform for node in nodes for platform in node.emulated]),
    ):
        if platforms:
            parts.append(f"{word} {', '.join(dict.fromkeys(map(str, platforms)))}")
    return "; ".join(parts)


def check_platform(wanted: Wanted, builders: tuple[Builder, ...], architecture: str, handlers: Handlers) -> Check:
    """Whether something builds the platform: a node that has its CPU, or one that emulates it."""
    platform, subject = wanted.platform, f"platform {wanted.platform}"
    native = [builder.name for builder in builders if any(platform in node.native for node in builder.ready)]
    if native:
        return Check(status=Status.OK, subject=subject, message=f"native on {', '.join(native)}")
    if architecture == platform.architecture:
        return Check(status=Status.OK, subject=subject, message="native")
    emulated = [builder.name for builder in builders if any(platform in node.emulated for node in builder.ready)]
    if (emulated or handlers.emulates(platform.architecture)) and wanted.forbidden:
        return Check(
            status=Status.WARN,
            subject=subject,
            message="only emulated, and `builds.toml` forbids that",
            hint=f'{_NODE_HINT.format(platform=platform)}, or set `emulation = "allow"` in `[platforms."{platform}"]`',
        )
    if emulated:
        return Check(status=Status.OK, subject=subject, message=f"emulated on {', '.join(emulated)}")
    if handlers.emulates(platform.architecture):
        return Check(status=Status.OK, subject=subject, message="a QEMU handler is registered")
    return _missing(wanted, platform)


def _missing(wanted: Wanted, platform: Platform) -> Check:
    status = Status.FAIL if wanted.declared else Status.WARN
    subject = f"platform {platform}"
    if wanted.forbidden:
        return Check(
            status=status, subject=subject, message="no node builds it", hint=_NODE_HINT.format(platform=platform)
        )
    return Check(
        status=status,
        subject=subject,
        message=f"no node builds it, and there is no QEMU handler for {platform.architecture}",
        hint=f"`docker run --privileged --rm tonistiigi/binfmt --install {platform.architecture}`, or "
        "`orchestrate doctor --fix`",
        fix=RegisterHandlers(architectures=(platform.architecture,)),
    )


def check_registry(answer: RegistryAnswer) -> Check:
    """Whether it answers, and takes the login; what that login may push only a push tells."""
    subject = f"registry {answer.host}"
    if answer.problem is not None:
        return check_problem(subject, answer.problem)
    return Check(status=Status.OK, subject=subject, message="answers")


def check_git(git: str | Problem) -> Check:
    """Versions and tags come from git, where the file says so; nothing else needs it."""
    if isinstance(git, Problem):
        return check_problem("git", git, status=Status.WARN)
    return Check(status=Status.OK, subject="git", message=git)


def check_space(space: Space) -> Check:
    """Room for layers and layouts."""
    status = Status.FAIL if space.free < _FULL else Status.WARN if space.free < _SCARCE else Status.OK
    return Check(
        status=status,
        subject="disk",
        message=f"{space.free / 1e9:.1f} GB free in {space.folder}",
        hint="" if status is Status.OK else "`docker buildx prune` and `docker system prune` make room",
    )
