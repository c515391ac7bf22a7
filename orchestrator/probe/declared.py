"""What a `builds.toml` asks of the machine: platforms, registries and backends, read leniently.

A doctor must speak although the file has mistakes; `orchestrate plan` is what names them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from orchestrator.api.backend import Emulation
from orchestrator.buildkit.untrusted import UnreadableError, at, clean, items_at, text_at
from orchestrator.model import Model
from orchestrator.oci.platform import Platform, parse_platform


class Wanted(Model):
    """A platform that is to be built; `emulation` is what the file says of it, which may be nothing."""

    platform: Platform
    declared: bool = True
    emulation: Emulation | None = None

    @property
    def forbidden(self) -> bool:
        """Whether the file forbids to emulate it; where it says nothing, that depends on the backend."""
        return self.emulation is Emulation.FORBID


class ConfiguredBuilder(Model):
    """A buildx builder that a backend is told to use; `node` is that of its nodes which it is for, if any."""

    name: str
    backend: str
    node: str = ""

    @property
    def place(self) -> str:
        """Where it is named, as a message says it."""
        return f"node `{self.node}` of `backends.{self.backend}`" if self.node else f"`backends.{self.backend}.builder`"


class UsedBackend(Model):
    """A backend that images are built with, and its table; `by_name`: somebody wrote its name."""

    name: str
    table: object = None
    by_name: bool = True


class Declared(Model):
    """What the file asks for; `backends` are those with nodes of their own, `nodes_only` that there is no other."""

    platforms: tuple[Wanted, ...] = ()
    registry: str = ""
    builders: tuple[ConfiguredBuilder, ...] = ()
    backends: tuple[UsedBackend, ...] = ()
    nodes_only: bool = False


# their node is a builder, which has a line; what `builder` means to the backend of a plugin only that plugin knows
_ONE_BUILDER: Final = ("qemu", "bake")
_NODES: Final = "native"
_AUTO: Final = "auto"
_MOST_BACKENDS: Final = 20
_FOREIGN: Final = {"amd64": "arm64", "arm64": "amd64"}


def parse_declared(content: bytes) -> Declared:
    """Read platforms, their rules of emulation, the registry's host, backends, and the builders that they are to use.

    Raises:
        UnreadableError: it is no TOML at all.
    """
    import tomli  # noqa: PLC0415  # only where there is a file to be read

    try:
        tree: object = tomli.loads(content.decode())
    except (ValueError, RecursionError) as error:
        raise UnreadableError(clean(str(error))) from error
    found: dict[Platform, None] = {}
    for text in _listed(tree):
        try:
            found[parse_platform(text)] = None
        except ValueError:
            continue
    wanted = tuple(Wanted(platform=platform, emulation=_emulation(tree, platform)) for platform in found)
    used = _used(tree)
    return Declared(
        platforms=wanted,
        registry=registry_host(text_at(tree, "project", "registry")),
        builders=tuple(_builders(tree)),
        backends=tuple(backend for backend in used if backend.name not in _ONE_BUILDER),
        nodes_only=all(backend.name not in _ONE_BUILDER for backend in used),
    )


def _listed(tree: object) -> Iterator[str]:
    for table in (at(tree, "defaults"), *_tables(tree, "templates"), *_tables(tree, "images")):
        for item in (*items_at(table, "platforms"), *items_at(table, "extend", "platforms")):
            if isinstance(item, str):
                yield item


def _builders(tree: object) -> Iterator[ConfiguredBuilder]:
    for backend in _ONE_BUILDER:
        if name := text_at(tree, "backends", backend, "builder"):
            yield ConfiguredBuilder(name=name, backend=backend)
    for position, node in enumerate(items_at(tree, "backends", _NODES, "nodes")):
        if name := text_at(node, "builder"):
            yield ConfiguredBuilder(name=name, backend=_NODES, node=text_at(node, "name") or str(position))


def _used(tree: object) -> tuple[UsedBackend, ...]:
    """The backends of the images that stand in this file, and of those that it includes the default one."""
    default = _default(tree)
    common = text_at(tree, "defaults", "backend")
    images = _tables(tree, "images")
    used: dict[str, UsedBackend] = {}
    if not images or any(not text_at(image, "backend") for image in images):
        used |= _named(tree, common) if common else {default.name: default}
    if at(tree, "include"):
        used.setdefault(default.name, default)
    for table in (*_tables(tree, "templates"), *images):
        if name := text_at(table, "backend"):
            used |= _named(tree, name)
    return tuple(used.values())[:_MOST_BACKENDS]


def _default(tree: object) -> UsedBackend:
    """That of `[backends]`; where it names none, native nodes where there are some."""
    written = text_at(tree, "backends", "default")
    if written and written != _AUTO:
        return UsedBackend(name=written, table=at(tree, "backends", written))
    name = _NODES if items_at(tree, "backends", _NODES, "nodes") else _ONE_BUILDER[0]
    return UsedBackend(name=name, table=at(tree, "backends", name), by_name=False)


def _named(tree: object, name: str) -> dict[str, UsedBackend]:
    return {name: UsedBackend(name=name, table=at(tree, "backends", name))}


def _tables(tree: object, kind: str) -> tuple[object, ...]:
    group = at(tree, kind)
    return tuple(group.values()) if isinstance(group, dict) else ()


def _emulation(tree: object, platform: Platform) -> Emulation | None:
    rule = text_at(tree, "platforms", str(platform), "emulation") or text_at(tree, "platforms", "*", "emulation")
    return next((emulation for emulation in Emulation if emulation.value == rule), None)


def registry_host(registry: str) -> str:
    """The host of `ghcr.io/acme`; empty where it is a template, or names no host."""
    host = registry.partition("/")[0]
    return host if host == "localhost" or (("." in host or ":" in host) and "{" not in host) else ""


def foreign_platform(architecture: str) -> Wanted:
    """What to look for where nothing is declared: the other one of the two that everybody builds."""
    other = _FOREIGN.get(architecture, "amd64")
    return Wanted(platform=Platform(os="linux", architecture=other), declared=False)
