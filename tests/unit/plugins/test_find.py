from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import TypeAlias

import msgspec
import pytest

from orchestrator.api.backend import BackendSpec, ConfigProblem
from orchestrator.model import Table
from orchestrator.plugins import PluginError, check_table, configure, find_backends
from orchestrator.plugins.find import _distribution
from orchestrator_qemu.backend import QemuBackend, QemuConfig

MODULE = """
from orchestrator.api import BackendSpec, Table, hookimpl
from orchestrator_qemu.backend import QemuBackend, QemuConfig

{before}

@hookimpl
def orchestrator_backends(registry):
    registry.register(BackendSpec(name={name!r}, summary="s", factory=QemuBackend.configured, config=QemuConfig{more}))
"""


Install: TypeAlias = Callable[[str, str], None]


def spec(**fields: object) -> BackendSpec:
    """A backend that works, but for these fields."""
    given = {"name": "x", "summary": "s", "factory": QemuBackend.configured, "config": QemuConfig, **fields}
    return BackendSpec(**given)  # type: ignore[arg-type]  # by name


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Installs plugins: a module, and a distribution that names it."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def add(name: str, content: str) -> None:
        monkeypatch.delitem(sys.modules, f"plugin_{name}", raising=False)
        (tmp_path / f"plugin_{name}.py").write_text(content)
        info = tmp_path / f"dist_{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: dist-{name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[orchestrator]\n{name} = plugin_{name}\n")

    return add


def module(name: str, before: str = "", more: str = "") -> str:
    """The text of a plugin."""
    return MODULE.format(name=name, before=before, more=more)


def test_a_plugin_is_found(install: Install) -> None:
    """By its entry point, beside those that ship."""
    install("mine", module("mine"))
    found = find_backends()
    assert "mine" in found.specs
    assert "mine" == found.spec("mine").name


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("raise RuntimeError('it is broken')", "it is broken"),
        ("import nobody_has_this", "nobody_has_this"),
        ("def f(:", "invalid syntax"),
        (module("broken", more=", api=(2, 0)"), "plugin API 2.0"),
        (module("broken", more=", api=(1, 999)"), "plugin API 1.999"),
        (module("qemu"), "already"),
        ("import sys\nraise RuntimeError", "RuntimeError()"),
        ("import sys\nsys.exit(3)", "SystemExit(3)"),
        ("import sys\nsys.exit()", "SystemExit("),
        (module("broken").replace("config=QemuConfig", "config=dict"), "no subclass of `orchestrator.api.Table`"),
        (module("broken").replace("config=QemuConfig", "config=None"), "no subclass of `orchestrator.api.Table`"),
        (module("broken").replace("config=QemuConfig", "config=QemuConfig()"), "no subclass of"),
    ],
)
def test_a_broken_plugin_is_named_and_stops_nobody(install: Install, content: str, message: str) -> None:
    """The others are there; who needs it is told why it is not."""
    install("broken", content)
    found = find_backends()
    assert {"qemu", "native", "bake"} <= set(found.specs)
    (plugin,) = found.broken
    assert ("broken", "dist-broken") == (plugin.name, plugin.distribution)
    assert message in plugin.message
    with pytest.raises(PluginError, match="dist-broken") as caught:
        found.spec("broken")
    assert caught.value.hints


def test_two_plugins_may_not_give_one_backend(install: Install) -> None:
    """The second is left out, and the first is named."""
    install("one", module("same"))
    install("two", module("same"))
    found = find_backends()
    assert ["two"] == [plugin.name for plugin in found.broken]
    assert "`one`" in found.broken[0].message


def test_a_plugin_without_hooks_gives_nothing(install: Install) -> None:
    """Which is no error: it may be there for something else."""
    install("empty", "x = 1")
    assert () == find_backends().broken


def test_an_unknown_backend_says_what_was_meant() -> None:
    """The nearest name."""
    with pytest.raises(PluginError, match="unknown backend `qemmu`") as caught:
        find_backends().spec("qemmu")
    assert ("did you mean `qemu`?",) == caught.value.hints


def test_an_entry_point_without_a_distribution_is_named_by_its_module() -> None:
    """As a test or an embedding program may make one."""
    entry = EntryPoint(name="x", value="some.module", group="orchestrator")
    assert "some.module" == _distribution(entry)


def test_a_backend_is_made_from_its_table() -> None:
    """Without one it has its defaults."""
    assert ("far", "default") == (
        configure(spec(), {"builder": "far"}).backend.nodes({})[0].name,
        configure(spec(), None).backend.nodes({})[0].name,
    )


def test_a_table_that_does_not_fit_is_an_error_that_names_it() -> None:
    """It was checked with the file; an assignment may still break it."""
    with pytest.raises(PluginError, match=r"\[backends.x\]"):
        configure(spec(), {"builder": 5})


def explode(config: Table) -> QemuBackend:
    """A factory that fails."""
    raise KeyError(config)


def test_a_backend_that_fails_to_start_is_named() -> None:
    """Whatever it raises."""
    with pytest.raises(PluginError, match="backend `x` failed to start: KeyError") as caught:
        configure(spec(factory=explode), None)
    assert caught.value.hints


def refuse(config: Table) -> Iterator[ConfigProblem]:
    """A check that finds something, then fails."""
    yield ConfigProblem(keys=("builder",), message="not this one", hints=("another",))
    raise ValueError(config)


def test_a_check_that_fails_is_named() -> None:
    """It is the plugin's bug, not the user's."""
    with pytest.raises(PluginError, match="backend `x` failed to check its table"):
        check_table(spec(check=refuse), {}, "f")


def test_a_spec_is_a_value() -> None:
    """New fields have defaults, so that a plugin of today fits a host of tomorrow."""
    required = {field.name for field in msgspec.structs.fields(BackendSpec) if field.required}
    assert {"name", "summary", "factory", "config"} == required
    assert () == tuple(spec().check(QemuConfig()))


def test_each_broken_plugin_is_told_for_its_own_backend(install: Install) -> None:
    """Not that of another one."""
    install("first", "raise RuntimeError('one')")
    install("second", "raise RuntimeError('two')")
    with pytest.raises(PluginError, match="two"):
        find_backends().spec("second")
