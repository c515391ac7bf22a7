"""`[backends]`: held against the plugins that are there, and made ready to be asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from orchestrator.config.nearest import Nearest
from orchestrator.config.project import Project
from orchestrator.diagnostics import Diagnostic, KeyPlace
from orchestrator.plan.place import ConfiguredBackend
from orchestrator.plugins import Found, check_table, configure

AUTO: Final = "auto"


def check_backends(project: Project, found: Found) -> Iterator[Diagnostic]:
    """Hold every table of `[backends]` against the configuration class of its backend."""
    file = project.files[0].path
    nearest = Nearest((*found.specs, "default"))
    for name, table in project.root.backends.items():
        if name == "default":
            yield from _check_default(table, found, file)
        elif name in found.specs:
            yield from check_table(found.specs[name], table, file)
        elif not any(plugin.name == name for plugin in found.broken):
            yield Diagnostic(
                code="unknown-backend",
                message=f"unknown backend `{name}`",
                place=KeyPlace(file=file, keys=("backends", name), on_key=True),
                hints=nearest.hints(name),
            )


def _check_default(value: object, found: Found, file: str) -> Iterator[Diagnostic]:
    known = (AUTO, *found.specs, *(plugin.name for plugin in found.broken))
    if isinstance(value, str) and value in known:
        return
    text = isinstance(value, str)
    yield Diagnostic(
        code="unknown-backend",
        message=f"unknown backend `{value}`" if text else "`default` is the name of a backend",
        place=KeyPlace(file=file, keys=("backends", "default")),
        hints=Nearest(known).hints(value) if isinstance(value, str) else ('for example `default = "qemu"`',),
    )


def default_backend(project: Project, found: Found, asked: str | None) -> tuple[str, bool]:
    """The default backend and whether somebody chose it by name; `auto` takes native nodes where there are some.

    Raises:
        PluginError: the one that was asked for is not there.
    """
    written = project.root.backends.get("default")
    chosen = asked or (written if isinstance(written, str) else AUTO)
    if chosen != AUTO:
        found.spec(chosen)
        return chosen, True
    table = project.root.backends.get("native")
    return ("native" if isinstance(table, dict) and table.get("nodes") else "qemu"), False


def configure_backends(
    project: Project, found: Found, names: Iterable[str], *, default: str
) -> dict[str, ConfiguredBackend]:
    """These backends, ready to be asked; one that is not there is told at the line of the image that names it.

    Raises:
        PluginError: one of them cannot be used.
    """
    return {
        name: configure(found.spec(name), project.root.backends.get(name))
        for name in dict.fromkeys(names)
        if name in found.specs or name == default
    }
