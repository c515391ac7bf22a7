"""`orchestrate builders`: the buildx builders, as somebody who builds for several platforms sees them."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from orchestrator.errors import OrchestratorError, UsageError
from orchestrator.ui.text import print_note, print_result, printable, table

if TYPE_CHECKING:
    from orchestrator.buildkit.builders import Builder, BuilderNode
    from orchestrator.oci.platform import Platform

_CREATE_TIMEOUT: Final = 600.0
_SHOWN: Final = 20
_INSIDE: Final = "builder"
_format = click.option(
    "--format",
    "output",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How to print it.",
)


@click.group(name="builders")
def command() -> None:
    """Show, create and remove the builders of `docker buildx`."""


@command.command(name="ls")
@_format
def list_builders(*, output: str) -> None:
    """List the builders, their nodes, and what these build natively and emulated."""
    print_result(_render(_all_builders(_environment()), output))


@command.command(name="inspect")
@click.argument("name")
@click.option("--bootstrap", is_flag=True, help="Start it first, so that its platforms are known.")
@_format
def inspect_builder(*, name: str, bootstrap: bool, output: str) -> None:
    """Show one builder."""
    from orchestrator.probe.ask import ask_builder

    environment, options = _environment(), ("--bootstrap",) if bootstrap else ()
    architecture = _engine_architecture(environment)
    builder = ask_builder(_checked(name), environment, options=options, engine_architecture=architecture)
    print_result(_render((builder,), output))


@command.command(name="create")
@click.argument("name")
@click.option(
    "--node",
    "nodes",
    multiple=True,
    metavar="ENDPOINT[=PLATFORM,…]",
    help="A node and what it is to build: `tcp://10.0.0.12:1234=linux/arm64`. Repeat it; none is this machine.",
)
@click.option(
    "--driver",
    type=click.Choice(["docker-container", "remote", "kubernetes"]),
    default="docker-container",
    show_default=True,
    help="How buildx comes to BuildKit.",
)
@click.option("--driver-opt", "driver_options", multiple=True, metavar="KEY=VALUE", help="Handed to the driver.")
@click.option("--bootstrap", is_flag=True, help="Start it at once.")
def create_builder(
    *, name: str, nodes: tuple[str, ...], driver: str, driver_options: tuple[str, ...], bootstrap: bool
) -> None:
    """Create a builder of one node or several."""
    from orchestrator.probe.ask import run

    environment = _environment()
    commands = plan_creation(_checked(name), nodes, driver, driver_options)
    if any(builder.name == name for builder in _all_builders(environment)):
        message = f"a builder `{name}` exists"
        raise UsageError(message, hints=(f"choose another name, or `orchestrate builders rm {name}` first",))
    if bootstrap:
        commands += (("docker", "buildx", "inspect", "--bootstrap", name),)
    for done, argv in enumerate(commands):
        print_note(f"+ {printable(shlex.join(argv))}")
        try:
            run(argv, environment, timeout=_CREATE_TIMEOUT)
        except OrchestratorError as error:
            hint = f"it is there, incomplete: `orchestrate builders rm {name}` removes it"
            raise UsageError(error.message, hints=(*error.hints, hint) if done else error.hints) from error
    print_result(f"{name}\n")


@command.command(name="use")
@click.argument("name")
@click.option("-f", "--file", type=click.Path(path_type=Path, dir_okay=False), help="The builds.toml.")
@click.option("--backend", default="qemu", show_default=True, help="The backend that is to use it.")
def use_builder(*, name: str, file: Path | None, backend: str) -> None:
    """Write a builder's name into builds.toml; its comments stay.

    The builder has to exist, as far as Docker can be asked.
    """
    from orchestrator.config.edit import set_value
    from orchestrator.probe.project import find_build_file

    path = file or find_build_file(Path.cwd())
    _check_backend(backend, _checked(name))
    note = _check_exists(name, _environment())
    try:
        text = path.read_bytes().decode()
        edited = set_value(text, ("backends", backend, _INSIDE), name)
        _replace(Path(os.path.realpath(path)), edited)
    except (OSError, ValueError) as error:
        reason = error.strerror.lower() if isinstance(error, OSError) and error.strerror else str(error)
        message = f"`{path}`: {reason}"
        hint = f'write it yourself: `[backends.{backend}]` with `{_INSIDE} = "{name}"`'
        raise UsageError(message, hints=(hint,)) from error
    print_result(f'{printable(str(path))}: backends.{backend}.{_INSIDE} = "{name}"\n')
    if note:
        print_note(note)


def _check_backend(backend: str, builder: str) -> None:
    """Refuse a backend that nobody installed, and one whose table has no builder: the next command would refuse it.

    Raises:
        PluginError: there is no such backend.
        UsageError: its table has no builder.
    """
    from orchestrator.plugins import PluginError, find_backends

    found = find_backends()
    keys = {name: spec.config.__struct_encode_fields__ for name, spec in found.specs.items()}
    takers = ", ".join(f"`{name}`" for name in sorted(keys) if _INSIDE in keys[name])
    known = (f"`--backend` takes {takers}",)
    try:
        found.spec(backend)
    except PluginError as error:
        raise PluginError(error.message, hints=(*error.hints, *known)) from error
    if _INSIDE not in keys[backend]:
        message = f"backend `{backend}` has no builder of its own"
        node = f'a node names its own: `[[backends.{backend}.nodes]]` with `{_INSIDE} = "{builder}"`'
        raise UsageError(message, hints=(*known, node) if "nodes" in keys[backend] else known)


def _check_exists(name: str, environment: Mapping[str, str]) -> str:
    """Refuse a builder that does not exist; what is to be noted where nobody can tell.

    Raises:
        UsageError: there is no such builder.
    """
    from orchestrator.config.nearest import Nearest

    try:
        names = tuple(builder.name for builder in _all_builders(environment))
    except OrchestratorError as error:
        return f"note: whether builder `{name}` exists could not be checked: {printable(error.message)}"
    if name in names:
        return ""
    message = f"there is no builder `{name}`"
    listed = ", ".join(f"`{known}`" for known in names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
    meant = [hint for hint in Nearest(names).hints(name) if "did you mean" in hint]
    raise UsageError(
        message,
        hints=(*meant, f"those that exist: {listed or 'none'}", f"`orchestrate builders create {name}` makes it"),
    )


def _replace(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.write_bytes(text.encode())
    scratch.chmod(path.stat().st_mode & 0o777)
    scratch.replace(path)


@command.command(name="rm")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
def remove_builder(*, name: str, yes: bool) -> None:
    """Remove a builder, with its build cache."""
    from orchestrator.probe.ask import run

    argv = ("docker", "buildx", "rm", _checked(name))
    if not yes:
        if sys.stdin is None or not sys.stdin.isatty():
            message = f"not removing builder `{name}` without being told twice"
            raise UsageError(message, hints=("add `--yes`",))
        click.confirm(f"Remove builder {name} and its build cache?", abort=True, err=True)
    print_note(f"+ {printable(shlex.join(argv))}")
    run(argv, _environment(), timeout=_CREATE_TIMEOUT, hints=("`orchestrate builders ls` lists the builders",))


def plan_creation(
    name: str, nodes: tuple[str, ...], driver: str, driver_options: tuple[str, ...]
) -> tuple[tuple[str, ...], ...]:
    """The commands that create a builder: the first makes it, the others each append a node; pure.

    Raises:
        UsageError: a node or an option is not what it should be.
    """
    shared = (f"--name={name}", f"--driver={driver}", *(f"--driver-opt={_option(text)}" for text in driver_options))
    if driver == "remote" and not nodes:
        message = "the driver `remote` needs a node"
        raise UsageError(message, hints=("add `--node tcp://HOST:PORT=linux/arm64`",))
    commands = []
    for number, text in enumerate(nodes or ("",)):
        endpoint, platforms = parse_node(text)
        append = ("--append",) if number else ()
        wanted = (f"--platform={','.join(map(str, platforms))}",) if platforms else ()
        commands.append(("docker", "buildx", "create", *append, *shared, *wanted, *((endpoint,) if endpoint else ())))
    return tuple(commands)


def parse_node(text: str) -> tuple[str, tuple[Platform, ...]]:
    """Read `ENDPOINT[=PLATFORM,…]`; what follows the last `=` is platforms where it has a slash.

    Raises:
        UsageError: the platforms are none, or the endpoint looks like an option.
    """
    from orchestrator.oci.platform import parse_platform

    endpoint, equals, listed = text.rpartition("=")
    if not equals or "/" not in listed or "//" in listed:
        endpoint, listed = text, ""
    if endpoint.startswith("-") or not endpoint.isprintable():
        message = f"not an endpoint: `{endpoint}`"
        raise UsageError(message, hints=("give a context of docker, or `ssh://`, `tcp://` or `unix://`",))
    try:
        return endpoint, tuple(parse_platform(part.strip()) for part in listed.split(",") if listed)
    except ValueError as error:
        message = f"node `{text}`: {error}"
        raise UsageError(message, hints=("write `ENDPOINT=linux/arm64`, several platforms with commas",)) from error


def _option(text: str) -> str:
    """One driver option; buildx reads the flag as CSV, so one with a comma or a quote is quoted."""
    if "=" not in text or text.startswith("="):
        message = f"not a driver option: `{text}`"
        raise UsageError(message, hints=("write `--driver-opt KEY=VALUE`",))
    return '"' + text.replace('"', '""') + '"' if re.search(r'[,"\n]', text) else text


def _checked(name: str) -> str:
    from orchestrator.buildkit.builders import is_builder_name

    if not is_builder_name(name):
        message = f"not a name of a builder: `{name}`"
        raise UsageError(message, hints=("use letters, digits, `.`, `_` and `-`, a letter first",))
    return name


def _environment() -> dict[str, str]:
    from orchestrator.process.environment import child_environment

    return child_environment(os.environ)


def _all_builders(environment: Mapping[str, str]) -> tuple[Builder, ...]:
    from orchestrator.probe.ask import ask_builders

    return ask_builders(environment, engine_architecture=_engine_architecture(environment))


def _engine_architecture(environment: Mapping[str, str]) -> str:
    """The CPU of the engine, which tells what its nodes run natively; there need not be one."""
    from orchestrator.probe.ask import ProbeError, ask_engine

    try:
        return ask_engine(environment).architecture
    except ProbeError:
        return ""


def _render(builders: tuple[Builder, ...], output: str) -> str:
    return _render_json(builders) if output == "json" else _render_text(builders)


def _render_text(builders: tuple[Builder, ...]) -> str:
    rows = [("NAME/NODE", "DRIVER/ENDPOINT", "STATUS", "BUILDKIT", "NATIVE", "EMULATED")]
    notes: list[str] = []
    for builder in builders:
        rows.append((builder.name + ("*" if builder.current else ""), builder.driver, "", "", "", ""))
        if builder.error:
            notes.append(f"{builder.name}: {builder.error}")
        for node in builder.nodes:
            native, emulated = (", ".join(map(str, each)) for each in (node.native, node.emulated))
            rows.append((f"  {node.name}", node.endpoint, node.status, node.buildkit_version, native, emulated))
            if node.error:
                notes.append(f"{builder.name}, {node.name}: {node.error}")
    lines = table([tuple(map(printable, row)) for row in rows])
    return "\n".join((*lines, *map(printable, notes), ""))


def _render_json(builders: tuple[Builder, ...]) -> str:
    import msgspec

    document = {
        "format_version": 1,
        "builders": [
            {
                "name": builder.name,
                "driver": builder.driver,
                "current": builder.current,
                "error": builder.error,
                "nodes": [_node_document(node) for node in builder.nodes],
            }
            for builder in builders
        ],
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


def _node_document(node: BuilderNode) -> dict[str, object]:
    return {
        "name": node.name,
        "endpoint": node.endpoint,
        "status": node.status,
        "buildkit_version": node.buildkit_version,
        "native": [str(platform) for platform in node.native],
        "emulated": [str(platform) for platform in node.emulated],
        "error": node.error,
    }
