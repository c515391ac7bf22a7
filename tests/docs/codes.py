"""The codes of diagnostics that the sources can give, found by reading them; nothing is run."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from tests.docs.blocks import ROOT

FOLDERS: Final = ("orchestrator", "plugins")

_CODE: Final = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*\Z")
_PARAMETER: Final = "code"
_COLLECTORS: Final = ("findings", "_found", "walked", "ruled")
"""Names under which a `config.findings.Findings` is called, with the code first."""
_NOT_DIAGNOSTICS: Final = frozenset({"Reason", "_error"})
"""Reasons of plans, and the fake registry's errors."""
_NOT_SHOWN: Final = frozenset({"edge"})
"""Carries the place of an edge to where places become lines."""


class _Source(NamedTuple):
    tree: ast.Module
    constants: dict[str, str]


def codes_in_sources() -> frozenset[str]:
    """Every code, wherever it is written: as `code=`, where a function takes a `code`, or first in a collector."""
    paths = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    sources = [_read(path) for path in paths if "testing" not in path.parts]
    positions = _positions(sources)
    found = (code for source in sources for code in _codes(source, positions))
    return frozenset(found) - _NOT_SHOWN


def _read(path: Path) -> _Source:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    constants = {
        node.target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
        if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    }
    return _Source(tree, constants)


def _positions(sources: Iterable[_Source]) -> dict[str, set[int]]:
    """Where functions that take a `code` have it among their positional arguments, by the function's name."""
    positions: dict[str, set[int]] = {}
    for source in sources:
        for function in _functions(source.tree):
            names = [argument.arg for argument in function.args.args if argument.arg not in {"self", "cls"}]
            if _PARAMETER in names and function.name != "__call__":
                positions.setdefault(function.name, set()).add(names.index(_PARAMETER))
    return positions


def _functions(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def _codes(source: _Source, positions: dict[str, set[int]]) -> Iterator[str]:
    for node in ast.walk(source.tree):
        values: list[ast.expr] = []
        if isinstance(node, ast.Call):
            values = list(_arguments(node, positions))
        elif isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple):
            values = [value for value in node.value.elts[:1] if any("-" in text for text in _texts(value, source))]
        elif isinstance(node, ast.FunctionDef):
            values = list(_defaults(node))
        yield from (code for value in values for code in _texts(value, source) if _CODE.match(code))


def _arguments(call: ast.Call, positions: dict[str, set[int]]) -> Iterator[ast.expr]:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name in _NOT_DIAGNOSTICS:
        return
    yield from (keyword.value for keyword in call.keywords if keyword.arg == _PARAMETER)
    taken = {0} if name in _COLLECTORS else positions.get(name, set())
    yield from (call.args[position] for position in taken if position < len(call.args))


def _defaults(function: ast.FunctionDef) -> Iterator[ast.expr]:
    for argument, default in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True):
        if argument.arg == _PARAMETER and default is not None:
            yield default


def _texts(value: ast.expr, source: _Source) -> Iterator[str]:
    match value:
        case ast.Constant(value=str(text)):
            yield text
        case ast.Name(id=name) if name in source.constants:
            yield source.constants[name]
        case ast.IfExp(body=body, orelse=orelse):
            yield from (*_texts(body, source), *_texts(orelse, source))
        case _:
            pass
