"""The values of `[vars]`: command line over environment over default."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import UNSET

from orchestrator.config.findings import shown
from orchestrator.config.nearest import Nearest
from orchestrator.config.project import Project
from orchestrator.config.schema import Scalar, VarTable
from orchestrator.diagnostics import Diagnostic, KeyPlace, Severity

PREFIX: Final = "ORCHESTRATE_VAR_"
"""`ORCHESTRATE_VAR_GO` gives the var `go`."""

_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,18}\Z")
_FLOAT: Final = re.compile(r"[+-]?[0-9]{1,18}(?:\.[0-9]{1,18})?(?:[eE][+-]?[0-9]{1,3})?\Z")
_BOOLEANS: Final = {"true": True, "false": False}
_TYPES: Final[Mapping[type, str]] = {str: "a string", int: "an integer", float: "a number", bool: "`true` or `false`"}


def resolve_vars(
    project: Project, environment: Mapping[str, str], command_line: Mapping[str, str]
) -> tuple[Mapping[str, Scalar], tuple[Diagnostic, ...]]:
    """The value of every var; one with an error keeps its default, or is left out where it has none.

    Args:
        project: declares the vars.
        environment: of which `ORCHESTRATE_VAR_…` are looked at; letter case is ignored, `-` is written `_`.
        command_line: what `--var NAME=VALUE` gave, by name.
    """
    findings = [
        Diagnostic(
            code="unknown-var",
            message=f"`--var {name}`: there is no var `{name}`",
            hints=Nearest(project.vars).hints(name),
        )
        for name in command_line
        if name not in project.vars
    ]
    given = _from_environment(project, environment, findings)
    given.update({name: (f"--var {name}", text) for name, text in command_line.items() if name in project.vars})
    values: dict[str, Scalar] = {}
    for name, declared in project.vars.items():
        place = KeyPlace(file=project.var_files[name], keys=("vars", name))
        table = declared if isinstance(declared, VarTable) else VarTable(default=declared)
        value, problems = _value(name, table, place, given.get(name))
        findings.extend(problems)
        if value is not None:
            values[name] = value
    return values, tuple(findings)


def _from_environment(
    project: Project, environment: Mapping[str, str], findings: list[Diagnostic]
) -> dict[str, tuple[str, str]]:
    by_folded: dict[str, list[str]] = {}
    for name in project.vars:
        by_folded.setdefault(_fold(name), []).append(name)
    nearest = Nearest([PREFIX + folded for folded in by_folded])
    given: dict[str, tuple[str, str]] = {}
    for variable in sorted(environment):
        if not variable.upper().startswith(PREFIX):
            continue
        names = by_folded.get(_fold(variable[len(PREFIX) :]), [])
        if not names:
            findings.append(
                Diagnostic(
                    code="unknown-var",
                    message=f"the environment variable `{variable}` gives no var of this project",
                    severity=Severity.WARNING,
                    hints=nearest.hints(variable.upper()),
                )
            )
        elif len(names) > 1 or (names[0] in given and given[names[0]][1] != environment[variable]):
            findings.append(_ambiguous(variable, names, given))
        else:
            given[names[0]] = (variable, environment[variable])
    return given


def _ambiguous(variable: str, names: list[str], given: Mapping[str, tuple[str, str]]) -> Diagnostic:
    if len(names) > 1:
        message = f"the environment variable `{variable}` could give {' or '.join(f'`{name}`' for name in names)}"
        hint = "rename one of the vars, or use `--var`"
    else:
        message = (
            f"the environment variables `{given[names[0]][0]}` and `{variable}` give `{names[0]}` different values"
        )
        hint = f"unset `{variable}`"
    return Diagnostic(code="ambiguous-var", message=message, hints=(hint,))


def _fold(name: str) -> str:
    return name.upper().replace("-", "_")


def _value(
    name: str, table: VarTable, place: KeyPlace, given: tuple[str, str] | None
) -> tuple[Scalar | None, list[Diagnostic]]:
    findings: list[Diagnostic] = []
    default = None if table.default is UNSET else table.default
    if given is None:
        if default is None:
            findings.append(
                Diagnostic(
                    code="var-without-value",
                    message=f"the var `{name}` has no default and was given no value",
                    place=place,
                    hints=(f"pass `--var {name}=…`, set `{PREFIX}{_fold(name)}`, or write a `default`",),
                )
            )
        return default, findings
    origin, text = given
    value, wanted = _convert(table, text)
    if value is None:
        findings.append(
            Diagnostic(
                code="var-value",
                message=f"`{origin}`: expected {wanted}, got {shown(text, ('vars', name))}",
                related=(place,),
                hints=_hints_for(name, table, text),
            )
        )
        return default, findings
    return value, findings


def _convert(table: VarTable, text: str) -> tuple[Scalar | None, str]:
    """The value, or None and what was expected: the type is the default's, else that of the choices."""
    choices = None if table.choices is UNSET else table.choices
    if table.default is UNSET and choices:
        value = next((choice for choice in choices if _text(choice) == text), None)
    else:
        kind = str if table.default is UNSET else type(table.default)
        value = _parse(kind, text)
        if value is None:
            return None, _TYPES[kind]
    if choices is not None and (value is None or not _is_among(value, choices)):
        return None, "one of " + ", ".join(f"`{_text(choice)}`" for choice in choices[:20])
    return value, ""


def _hints_for(name: str, table: VarTable, text: str) -> tuple[str, ...]:
    if table.choices is not UNSET and table.choices:
        return Nearest([_text(choice) for choice in table.choices]).hints(text)
    if table.default is UNSET:
        return ()
    return (f"the default is {shown(_text(table.default), ('vars', name))}, and a value has its type",)


def _parse(kind: type, text: str) -> Scalar | None:
    if kind is bool:
        return _BOOLEANS.get(text)
    if kind is int:
        return int(text) if _INTEGER.match(text) else None
    if kind is float:
        number = float(text) if _FLOAT.match(text) else math.inf
        return number if math.isfinite(number) else None
    return text


def _is_among(value: Scalar, choices: Iterable[Scalar]) -> bool:
    # In Python `True == 1 == 1.0`; in TOML these are three values.
    return any(value == choice and type(value) is type(choice) for choice in choices)


def _text(value: Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
