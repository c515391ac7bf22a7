"""Imports point downward, and each library and each effect has one owner: read from the source of every module."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = "orchestrator"

LAYERS: tuple[frozenset[str], ...] = (
    frozenset({"errors", "model"}),
    frozenset({"diagnostics"}),
    frozenset({"oci"}),
    frozenset({"tags", "config", "dockerfile"}),
    frozenset({"api"}),
    frozenset({"plan", "buildkit"}),
    frozenset({"registry", "process", "state"}),
    frozenset({"engine", "ui", "probe", "plugins"}),
    frozenset({"cli"}),
    frozenset({"testing", "__main__"}),
)
"""From the bottom; names in one set do not import each other."""

OWNERS = {
    "networkx": {"plan.graph"},
    "jinja2": {"tags"},
    "tomlkit": {"config", "cli"},
    "urllib3": {"registry"},
    "socket": {"registry", "testing"},
    "ssl": {"registry", "testing"},
    "http": {"registry", "testing"},
    "subprocess": {"process"},
    "pluggy": {"api", "plugins"},
    "click": {"cli", "__main__"},
    "dockerfile": {"dockerfile"},
    "asyncio": {"process", "engine", "cli"},
    "multiprocessing": set(),
    "pty": set(),
    "requests": set(),
    "httpx": set(),
    "aiohttp": set(),
    "tomllib": set(),
}
"""The packages, or single modules, that may import these."""

PURE = ("oci", "config", "dockerfile", "tags", "plan", "buildkit", "api")
IMPURE_MODULES = frozenset(
    {"os", "io", "time", "random", "secrets", "uuid", "tempfile", "shutil", "pathlib", "glob", "subprocess", "socket",
     "threading", "asyncio", "logging", "signal", "select", "fcntl", "platform", "getpass", "locale", "urllib.request"}
)  # fmt: skip
# streams that prove or unpack what is read through them, without a file of their own
PURE_EXCEPTIONS = {"oci.checked": frozenset({"io"}), "oci.unpack": frozenset({"io"})}
IMPURE_CALLS = frozenset({"open", "print", "input", "exec", "eval", "__import__", "breakpoint"})


class Import(NamedTuple):
    """One import, wherever in a module it stands."""

    module: str
    target: str
    line: int
    for_types: bool


def modules() -> dict[str, Path]:
    """All modules of the package, by name without its own."""
    found = {}
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        parts = path.relative_to(ROOT / PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


@cache
def tree_of(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"))


def imports_of(name: str, path: Path) -> Iterator[Import]:
    """Every import of a module, those inside functions included."""
    typing_only = {
        id(inner)
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute"
            module = node.module or ""
            inner = [f"{module}.{alias.name}" for alias in node.names]
            targets = [one if one.removeprefix(f"{PACKAGE}.") in MODULES else module for one in inner]
        else:
            continue
        for target in dict.fromkeys(targets):
            yield Import(module=name, target=target, line=node.lineno, for_types=id(node) in typing_only)


IMPORTS = [one for name, path in MODULES.items() for one in imports_of(name, path)]
OWN = [one for one in IMPORTS if one.target.partition(".")[0] == PACKAGE]


def package_of(name: str) -> str:
    """The first part of a module's name: its layer."""
    return name.removeprefix(f"{PACKAGE}.").partition(".")[0]


def level(package: str) -> int:
    """The number of a package's layer."""
    return next(number for number, layer in enumerate(LAYERS) if package in layer)


def test_every_module_has_a_layer() -> None:
    """A new package is put into one on purpose."""
    known = {name for layer in LAYERS for name in layer}
    assert set() == {package_of(name) for name in MODULES if name} - known


def test_imports_point_downward() -> None:
    """Never upward, and never to a package of the same layer, in functions neither."""
    wrong = []
    for one in OWN:
        here, there = package_of(one.module), package_of(one.target)
        if here in {there, ""} or one.target == PACKAGE:
            continue
        if level(there) >= level(here):
            wrong.append(f"{one.module}:{one.line} imports {one.target}")
    assert [] == wrong


def test_the_package_itself_imports_nothing() -> None:
    """`import orchestrator` costs nothing."""
    assert [] == list(imports_of("", MODULES[""]))


def test_the_engine_knows_the_outside_as_ports() -> None:
    """`cli` wires the real ones: no registry, no layouts, no children in the engine itself."""
    allowed = {"orchestrator.process.ended"}
    outside = {"registry", "process", "state"}
    wrong = [
        one for one in OWN
        if package_of(one.module) == "engine" and package_of(one.target) in outside and one.target not in allowed
    ]  # fmt: skip
    assert [] == wrong


def test_testing_is_for_tests() -> None:
    """Nothing that ships uses it."""
    assert [] == [one for one in OWN if package_of(one.target) == "testing" and package_of(one.module) != "testing"]


def test_every_library_has_its_owner() -> None:
    """One package each, so that it can be replaced, and is loaded only where it is needed."""
    wrong = []
    for one in IMPORTS:
        library = next((name for name in (one.target, one.target.partition(".")[0]) if name in OWNERS), None)
        if library is None or one.for_types:
            continue
        owners = OWNERS[library]
        if one.module not in owners and package_of(one.module) not in owners:
            wrong.append(f"{one.module}:{one.line} imports {one.target}")
    assert [] == wrong


def test_only_what_is_declared_is_imported() -> None:
    """The standard library, the dependencies of `pyproject.toml`, and ourselves."""
    import tomli  # noqa: PLC0415 (this test alone reads TOML)

    project = tomli.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {requirement.split(";")[0].split(">")[0].strip() for requirement in project["dependencies"]}
    declared |= {name.partition(".")[0] for name in declared}
    known = declared | set(sys.stdlib_module_names) | {PACKAGE, "__future__"}
    known |= {"compression"}  # of the standard library from 3.14 on
    wrong = {one.target for one in IMPORTS if not one.for_types and one.target.partition(".")[0] not in known}
    assert set() == wrong


@pytest.mark.parametrize("package", PURE)
def test_pure_packages_have_no_effects(package: str) -> None:
    """No files, clock, environment, chance, children or sockets: facts are arguments."""
    wrong = []
    for one in IMPORTS:
        if package_of(one.module) != package or one.for_types:
            continue
        roots = {one.target, one.target.partition(".")[0]}
        if roots & (IMPURE_MODULES - PURE_EXCEPTIONS.get(one.module, frozenset())):
            wrong.append(f"{one.module}:{one.line} imports {one.target}")
    for name, path in MODULES.items():
        if package_of(name) != package:
            continue
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in IMPURE_CALLS:
                wrong.append(f"{name}:{node.lineno} calls {node.func.id}")
            if isinstance(node, ast.Attribute) and node.attr in {"now", "today", "utcnow"}:
                base = ast.unparse(node.value)
                if base.endswith(("datetime", "date")):
                    wrong.append(f"{name}:{node.lineno} reads the clock")
    assert [] == wrong


STARTS = frozenset(
    {
        "Popen", "create_subprocess_exec", "create_subprocess_shell", "execv", "execve", "execvp", "fork", "forkpty",
        "popen", "posix_spawn", "spawnv", "startfile", "subprocess_exec", "subprocess_shell", "system",
    }
)  # fmt: skip


def test_only_process_starts_children() -> None:
    """By whatever name: asyncio's, os's or subprocess's."""
    assert [] == [
        f"{name}:{node.lineno} {ast.unparse(node)}"
        for name, path in MODULES.items()
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Attribute) and node.attr in STARTS and package_of(name) != "process"
    ]


def test_nobody_asks_a_shell() -> None:
    """No `shell=True`, anywhere."""
    assert [] == [
        f"{name}:{node.value.lineno}"
        for name, path in MODULES.items()
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.keyword) and node.arg == "shell"
    ]


def plugin_modules() -> list[Path]:
    """The modules of the plugins that ship."""
    return sorted((ROOT / "plugins").rglob("*.py"))


@pytest.mark.parametrize("path", plugin_modules(), ids=lambda path: "/".join(path.parts[-2:]))
def test_plugins_use_the_public_api_alone(path: Path) -> None:
    """`orchestrator.api` and `orchestrator.buildkit`, like anybody's."""
    own = path.parent.name
    allowed = {f"{PACKAGE}.api", f"{PACKAGE}.buildkit", own}
    wrong = [
        one.target
        for one in imports_of(own, path)
        if one.target.partition(".")[0] in {PACKAGE, "urllib3", "subprocess", "asyncio", "os", "socket"}
        and not any(one.target == name or one.target.startswith(f"{name}.") for name in allowed)
    ]
    assert [] == wrong
