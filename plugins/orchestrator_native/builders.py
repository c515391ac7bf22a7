"""The buildx builder of an endpoint: one of its own, made for a run, and described to a probe without being made."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from typing import Final

from orchestrator.api import BuilderOf, FileOf, Invocation, Phase, Probe, Word, WrittenFile
from orchestrator_native.config import NodeTable, certificates_of, driver_of

CONFIG_VARIABLE: Final = "BUILDX_CONFIG"
PATIENCE: Final = 12.0
"""Seconds; buildx itself waits 20 for a node that takes connections and says nothing."""
_FOREIGN: Final = re.compile(r"[^A-Za-z0-9]+")
_LIMIT: Final = 40
_MARK: Final = 8
SHORT: Final = 60.0
"""Seconds, for what changes only the files of buildx."""
_BOOT: Final = 600.0
"""Seconds: to start BuildKit it may have to be fetched first."""


def builder_name(table: NodeTable) -> str:
    """A name that is a function of where the node is, and how it is reached."""
    return name_builder(
        table.name, table.endpoint or "", driver_of(table), sorted(table.options.items()), certificates_of(table)
    )


def name_builder(node: str, *told: object) -> str:
    """The name of the builder of a node of which this is told; deployments, too, are called so: in small letters."""
    mark = hashlib.sha256(json.dumps([node, *told]).encode()).hexdigest()[:_MARK]
    return "-".join(filter(None, ("orchestrate", _FOREIGN.sub("-", node).strip("-").lower()[:_LIMIT], mark)))


def make_builder(table: NodeTable, node: str) -> tuple[Invocation, ...]:
    """Make it, or make it as it is declared where one is left; then start BuildKit, where that is buildx's to do.

    `node` is what the plan calls it. In the builder it has a name without the project's ending: BuildKit in a
    container is called by it, and serves all projects.
    """
    driver, certificates = driver_of(table), certificates_of(table)
    words: list[Word] = [
        "docker", "buildx", "create", ("--name=", BuilderOf(node=node)), f"--node={builder_name(table)}",
        f"--driver={driver}",
    ]  # fmt: skip
    words += driver_options(table.options.items())
    words += [(f'--driver-opt="{name}=', FileOf(given=path, quoting="csv"), '"') for name, path in certificates.items()]
    if table.endpoint and driver != "kubernetes":
        words.append(table.endpoint)
    variables = tuple(file.variable for file in map(_file, certificates.values()) if file.variable)
    creation = Invocation(argv=tuple(words), phase=Phase.SETUP, inherits=variables, timeout=SHORT)
    return (creation,) if driver == "remote" else (creation, start_builder(node))


def driver_options(options: Iterable[tuple[str, str]]) -> list[Word]:
    """The words for `create`: each a field of CSV, always quoted, as options hold anything."""
    return ['--driver-opt="' + f"{name}={value}".replace('"', '""') + '"' for name, value in options]


def start_builder(node: str) -> Invocation:
    """Start BuildKit where it does not run yet."""
    argv: tuple[Word, ...] = ("docker", "buildx", "inspect", "--bootstrap", (BuilderOf(node=node),))
    return Invocation(argv=argv, phase=Phase.SETUP, timeout=_BOOT)


def remove_builder(node: str) -> Invocation:
    """Forget the builder; BuildKit and its cache stay where they are, as others may be using them."""
    argv: tuple[Word, ...] = ("docker", "buildx", "rm", "--keep-daemon", "--keep-state", (BuilderOf(node=node),))
    return Invocation(argv=argv, phase=Phase.SETUP, timeout=SHORT)


def probe_builder(table: NodeTable, name: str) -> Probe:
    """Ask the node of an endpoint."""
    return probe_instance(builder_name(table), _render_instance(table), name=name, node=table.name)


def probe_instance(builder: str, instance: Word, *, name: str, node: str) -> Probe:
    """Ask a node as the builder that there will be: in a configuration of buildx that holds nothing else."""
    return Probe(
        name=name,
        argv=("docker", "buildx", "inspect", builder),
        timeout=PATIENCE,
        writes=(WrittenFile(name=f"instances/{builder}", content=instance),),
        folder=CONFIG_VARIABLE,
        node=node,
    )


def _render_instance(table: NodeTable) -> Word:
    """What `buildx create` would write (`NodeGroup` in its store/nodegroup.go); every later buildx reads it."""
    builder, driver = builder_name(table), driver_of(table)
    endpoint = f"kubernetes:///{builder}?deployment={builder}" if driver == "kubernetes" else table.endpoint or ""
    certificates = certificates_of(table)
    plain = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in table.options.items()]
    head = json.dumps({"Name": builder, "Driver": driver})[:-1]
    node = json.dumps({"Name": builder, "Endpoint": endpoint})[:-1]
    parts: list[str | FileOf] = [f'{head}, "Nodes": [{node}, "DriverOpts": {{{", ".join(plain)}']
    for number, (name, path) in enumerate(certificates.items()):
        parts += [f'{", " if plain or number else ""}"{name}": "', FileOf(given=path, quoting="json"), '"']
    return (*parts, "}}]}")


def _file(path: str) -> FileOf:
    return FileOf(given=path)
