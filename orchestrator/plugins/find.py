"""Finds backends: entry points of the group `orchestrator`, ours like anybody's; a broken one is named, not fatal."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points

import msgspec
import pluggy

from orchestrator.api import hookspecs
from orchestrator.api.backend import API_VERSION, BackendSpec
from orchestrator.config.decode import decode_table
from orchestrator.config.nearest import Nearest
from orchestrator.diagnostics import Diagnostic, KeyPlace
from orchestrator.model import Model, Table
from orchestrator.plan.place import ConfiguredBackend
from orchestrator.plugins.guard import GuardedBackend, PluginError, call

GROUP = "orchestrator"
_OWN = "orchestrate-builds"


class BrokenPlugin(Model):
    """A plugin that could not be loaded, or does not fit."""

    name: str
    distribution: str
    message: str


class Found(Model):
    """All backends by name, and the plugins that gave none."""

    specs: Mapping[str, BackendSpec]
    broken: tuple[BrokenPlugin, ...]

    def spec(self, name: str) -> BackendSpec:
        """The backend of this name.

        Raises:
            PluginError: there is none, or its plugin is broken.
        """
        if name in self.specs:
            return self.specs[name]
        for plugin in self.broken:
            if plugin.name == name:
                message = f"backend `{name}` of `{plugin.distribution}` cannot be used: {plugin.message}"
                raise PluginError(message, hints=("install a version of it that fits, or choose another backend",))
        message = f"unknown backend `{name}`"
        raise PluginError(message, hints=Nearest(tuple(self.specs)).hints(name))


class _Registry:
    """What a plugin's hook gets; remembers which plugin registered what."""

    def __init__(self) -> None:
        self.specs: dict[str, BackendSpec] = {}
        self._owners: dict[str, str] = {}
        self.plugin = ""

    def register(self, spec: BackendSpec) -> None:
        """Add a backend."""
        owner = self._owners.setdefault(spec.name, self.plugin)
        if spec.name in self.specs:
            message = f"backend `{spec.name}` is registered by `{owner}` already"
            raise PluginError(message)
        if spec.api[0] != API_VERSION[0] or spec.api > API_VERSION:
            wanted = ".".join(map(str, spec.api))
            message = f"it needs plugin API {wanted}, this is {'.'.join(map(str, API_VERSION))}"
            raise PluginError(message)
        if not _is_table(spec.config):
            message = f"the `config` of backend `{spec.name}` is no subclass of `orchestrator.api.Table`"
            raise PluginError(message)
        self.specs[spec.name] = spec


def find_backends() -> Found:
    """Load every plugin and ask it for its backends; whatever one of them does wrong stays its own."""
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    registry = _Registry()
    broken: list[BrokenPlugin] = []
    for entry in sorted(entry_points(group=GROUP), key=_precedence):
        registry.plugin = entry.name
        try:
            plugin = entry.load()
            others = manager.get_plugins()
            manager.register(plugin, name=entry.name)
            manager.subset_hook_caller("orchestrator_backends", others)(registry=registry)
        except (Exception, SystemExit) as error:  # noqa: BLE001 (a plugin may raise anything; it is named and left out)
            broken.append(BrokenPlugin(name=entry.name, distribution=_distribution(entry), message=_reason(error)))
    return Found(specs=registry.specs, broken=tuple(broken))


def check_table(spec: BackendSpec, table: object, file: str) -> tuple[Diagnostic, ...]:
    """What is wrong with a table of `[backends]`: its types, and then what the backend itself finds.

    Raises:
        PluginError: the backend fails to look at it.
    """
    config, found = decode_table(table, spec.config, file, ("backends", spec.name))
    if config is None:
        return found
    problems = call(spec.name, "check its table", lambda: tuple(spec.check(config)))
    return tuple(
        Diagnostic(
            code=problem.code,
            message=problem.message,
            place=KeyPlace(file=file, keys=("backends", spec.name, *problem.keys)),
            hints=problem.hints,
        )
        for problem in problems
    )


def configure(spec: BackendSpec, table: object | None) -> ConfiguredBackend:
    """Make a backend from its table of `[backends]`, which was checked when the file was decoded.

    Raises:
        PluginError: the plugin fails to make it.
    """
    try:
        config: Table = msgspec.convert(table if table is not None else {}, spec.config)
    except msgspec.ValidationError as error:
        message = f"`[backends.{spec.name}]`: {error}"
        raise PluginError(message) from error
    backend = call(spec.name, "start", lambda: spec.factory(config))
    guarded = GuardedBackend(backend, spec.name)
    return ConfiguredBackend(name=spec.name, backend=guarded, capabilities=spec.capabilities)


def _is_table(config: object) -> bool:
    """Whether this is the type of a table; nothing makes a plugin keep to what is declared."""
    return isinstance(config, type) and issubclass(config, Table)


def _reason(error: BaseException) -> str:
    """What a plugin raised, in words; how it wanted to end the program says nothing by itself."""
    return repr(error) if isinstance(error, SystemExit) else f"{error}" or repr(error)


def _precedence(entry: EntryPoint) -> tuple[bool, str]:
    """Ours first, so that nobody's plugin takes the name of a backend that ships; then by name."""
    return _distribution(entry) != _OWN, entry.name


def _distribution(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist else entry.value
