"""Runs what Docker, buildx and git say of themselves, and hands it to the parsers; changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from orchestrator.buildkit.builders import (
    INSTALL_BUILDX,
    NO_BUILDX,
    Builder,
    BuildxVersion,
    Engine,
    is_without_buildx,
    parse_builders,
    parse_buildx_version,
    parse_engine,
    parse_inspection,
)
from orchestrator.buildkit.untrusted import UnreadableError, clean_lines
from orchestrator.errors import UsageError
from orchestrator.probe.host import parse_git_version
from orchestrator.process.capture import capture, shown

_T = TypeVar("_T")
# buildx itself waits 20 seconds for nodes that do not answer
_SLOW: Final = 60.0
_BOOT: Final = 600.0
_ERROR: Final = "ERROR: "


class ProbeError(UsageError):
    """A tool is there and does not answer as it should."""


class BuildxMissingError(ProbeError):
    """Docker is there without its plugin buildx."""


def ask_engine(environment: Mapping[str, str]) -> Engine:
    """The engine that `docker` talks to.

    Raises:
        ToolMissingError: there is no `docker`.
        ProbeError: no engine answers.
    """
    hints = ("start it (`systemctl start docker`), or point DOCKER_HOST or `docker context use` at one that runs",)
    version = run(("docker", "version", "--format=json"), environment, hints=hints)
    info = run(("docker", "info", "--format=json"), environment, hints=hints)
    return _read("docker version", lambda: parse_engine(version, info), hints)


def ask_buildx(environment: Mapping[str, str]) -> BuildxVersion:
    """The version of buildx.

    Raises:
        ToolMissingError: there is no `docker`.
        BuildxMissingError: docker has no buildx.
        ProbeError: it does not answer.
    """
    hints = (INSTALL_BUILDX,)
    output = run(("docker", "buildx", "version"), environment, hints=hints)
    return _read("docker buildx version", lambda: parse_buildx_version(output), hints)


def ask_builders(environment: Mapping[str, str], *, engine_architecture: str = "") -> tuple[Builder, ...]:
    """All builders of the user, in buildx's order.

    Raises:
        ToolMissingError: there is no `docker`.
        ProbeError: buildx does not answer.
    """
    output = run(("docker", "buildx", "ls", "--format=json"), environment, timeout=_SLOW)
    return _read(
        "docker buildx ls",
        lambda: parse_builders(output, engine_architecture=engine_architecture),
        ("check that buildx is 0.20 or newer: `docker buildx version`",),
    )


def ask_builder(
    name: str, environment: Mapping[str, str], *, options: tuple[str, ...] = (), engine_architecture: str = ""
) -> Builder:
    """One builder; with `--bootstrap` among the options it is started first.

    Raises:
        ToolMissingError: there is no `docker`.
        ProbeError: there is no such builder, or it does not start.
    """
    output = run(
        ("docker", "buildx", "inspect", *options, name),
        environment,
        timeout=_BOOT if options else _SLOW,
        hints=("`orchestrate builders ls` lists the builders",),
    )
    return _read("docker buildx inspect", lambda: parse_inspection(output, engine_architecture=engine_architecture), ())


def ask_git(environment: Mapping[str, str]) -> str:
    """The version of git.

    Raises:
        ToolMissingError: there is no `git`.
        ProbeError: it does not answer.
    """
    output = run(("git", "--version"), environment)
    return _read("git --version", lambda: parse_git_version(output), ())


def run(
    argv: tuple[str, ...], environment: Mapping[str, str], *, timeout: float = 30.0, hints: tuple[str, ...] = ()
) -> bytes:
    """What a command printed.

    Raises:
        BuildxMissingError: it is one of buildx, which docker does not have.
        ProbeError: it failed; the message is the line that says why.
    """
    ended = capture(argv, env=environment, timeout=timeout)
    if ended.exit_code:
        if argv[:2] == ("docker", "buildx") and is_without_buildx(ended.stderr.decode(errors="replace")):
            raise BuildxMissingError(NO_BUILDX, hints=(INSTALL_BUILDX,))
        lines = clean_lines(ended.stderr) or clean_lines(ended.stdout) or (f"exit code {ended.exit_code}",)
        reason = next((line for line in reversed(lines) if line.startswith(_ERROR)), lines[0])
        message = f"`{shown(argv)}` failed: {reason.removeprefix(_ERROR)}"
        raise ProbeError(message, hints=hints)
    return ended.stdout


def _read(command: str, parse: Callable[[], _T], hints: tuple[str, ...]) -> _T:
    try:
        return parse()
    except UnreadableError as error:
        message = f"cannot read what `{command}` prints: {error}"
        raise ProbeError(message, hints=hints) from error
