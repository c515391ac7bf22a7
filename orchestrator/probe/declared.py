"""What a `builds.toml` asks of the machine: platforms and registries, read leniently.

A doctor must speak although the file has mistakes; `orchestrate plan` is what names them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from orchestrator.buildkit.untrusted import UnreadableError, at, clean, items_at, text_at
from orchestrator.model import Model
from orchestrator.oci.platform import Platform, parse_platform


class Wanted(Model):
    """A platform that is to be built; `forbidden` says that the file forbids to emulate it."""

    platform: Platform
    declared: bool = True
    forbidden: bool = False


class ConfiguredBuilder(Model):
    """A buildx builder that a backend is told to use; `node` is that of its nodes which it is for, if any."""

    name: str
    backend: str
    node: str = ""

    @property
    def place(self) -> str:
        """Where it is named, as a message says it."""
        return f"node `{self.node}` of `backends.{self.backend}`" if self.node else f"`backends.{self.backend}.builder`"


class Declared(Model):
    """What the file asks for."""

    platforms: tuple[Wanted, ...] = ()
    registry: str = ""
    builders: tuple[ConfiguredBuilder, ...] = ()


# what `builder` means to the backend of a plugin only that plugin knows
_ONE_BUILDER: Final = ("qemu", "bake")
_NODES: Final = "native"
_FOREIGN: Final = {"amd64": "arm64", "arm64": "amd64"}


def parse_declared(content: bytes) -> Declared:
    """Read platforms, their rules of emulation, the registry's host, and the builders that backends are to use.

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
    wanted = tuple(Wanted(platform=platform, forbidden=_forbidden(tree, platform)) for platform in found)
    return Declared(
        platforms=wanted,
        registry=registry_host(text_at(tree, "project", "registry")),
        builders=tuple(_builders(tree)),
    )


def _listed(tree: object) -> Iterator[str]:
    tables = [at(tree, "defaults")]
    for kind in ("templates", "images"):
        group = at(tree, kind)
        tables += group.values() if isinstance(group, dict) else ()
    for table in tables:
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


def _forbidden(tree: object, platform: Platform) -> bool:
    """Whether it says so; where it says nothing, that depends on the backend."""
    rule = text_at(tree, "platforms", str(platform), "emulation") or text_at(tree, "platforms", "*", "emulation")
    return rule == "forbid"


def registry_host(registry: str) -> str:
    """The host of `ghcr.io/acme`; empty where it is a template, or names no host."""
    host = registry.partition("/")[0]
    return host if host == "localhost" or (("." in host or ":" in host) and "{" not in host) else ""


def foreign_platform(architecture: str) -> Wanted:
    """What to look for where nothing is declared: the other one of the two that everybody builds."""
    other = _FOREIGN.get(architecture, "amd64")
    return Wanted(platform=Platform(os="linux", architecture=other), declared=False)
