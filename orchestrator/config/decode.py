"""From the text of a `builds.toml` to typed tables, or to everything that keeps it from being one."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

import msgspec

from orchestrator.config.findings import Findings, shown
from orchestrator.config.rules import SecretsInArgs, check_file
from orchestrator.config.scan import Keys
from orchestrator.config.schema import FORMAT, BuildFile, IncludedFile
from orchestrator.config.shapes import fields, kind
from orchestrator.config.strict import check_strict
from orchestrator.config.syntax import Tree, decode_bytes, parse
from orchestrator.config.walk import Walk
from orchestrator.diagnostics import Diagnostic, KeyPlace, has_errors

__all__ = ["decode", "decode_bytes", "decode_included", "decode_table", "salvage", "salvage_included"]

_ABSENCES: Final = frozenset({"missing-key", "conflicting-keys"})
_EMPTINESSES: Final = frozenset({"empty-matrix", "empty-exclude", "empty-list"})

_FEW: Final = 50

_File = TypeVar("_File", bound=IncludedFile)
_Table = TypeVar("_Table", bound=msgspec.Struct)


def decode(text: str, file: str) -> tuple[BuildFile | None, tuple[Diagnostic, ...]]:
    """The tables of a `builds.toml` and all findings about them; None where one of these is an error."""
    left, findings = salvage(text, file)
    return (None if has_errors(findings) else left), findings


def decode_included(
    text: str, file: str, *, secrets_in_args: SecretsInArgs
) -> tuple[IncludedFile | None, tuple[Diagnostic, ...]]:
    """As `decode`, for a file that another one includes; what to do about credentials is said in that one."""
    left, findings = salvage_included(text, file, secrets_in_args=secrets_in_args)
    return (None if has_errors(findings) else left), findings


def salvage(text: str, file: str) -> tuple[BuildFile | None, tuple[Diagnostic, ...]]:
    """As `decode`, but with errors too there are tables: what is left without the values that have a wrong type.

    Whoever goes on with them keeps away from the tables that have errors. None: nothing can be read.
    """
    return _decode(text, file, BuildFile, "error")


def salvage_included(
    text: str, file: str, *, secrets_in_args: SecretsInArgs
) -> tuple[IncludedFile | None, tuple[Diagnostic, ...]]:
    """As `salvage`, for a file that another one includes."""
    return _decode(text, file, IncludedFile, secrets_in_args)


def decode_table(
    tree: object, table: type[_Table], file: str, keys: Keys
) -> tuple[_Table | None, tuple[Diagnostic, ...]]:
    """One table that stands under `keys`, such as a backend's own, from what the parser made of it."""
    typed = _convert(tree, table)
    findings = Findings(file)
    if typed is None:
        Walk(findings).run(tree, table, keys)
    return typed, findings.all()


def _decode(
    text: str, file: str, table: type[_File], secrets_in_args: SecretsInArgs
) -> tuple[_File | None, tuple[Diagnostic, ...]]:
    with _without_collector():
        tree, unreadable = parse(text, file)
        if tree is None:
            return None, unreadable
        typed = _convert(tree, table) if tree.get("format") == FORMAT else None
    walked = Findings(file)
    walk = Walk(walked)
    if typed is None:
        if not _check_format(tree, walked):
            return None, walked.all()
        typed = msgspec.convert(walk.run({**tree, "format": FORMAT}, table), table)
    check_strict(tree, text, walked)
    ruled = Findings(file)
    chosen = typed.project.secrets_in_args if isinstance(typed, BuildFile) else secrets_in_args
    check_file(typed, ruled, chosen)
    everything = (*walked.all(), *_independent(map(walk.original, ruled.all()), walked.all()))
    return typed, everything


def _convert(tree: object, table: type[_Table]) -> _Table | None:
    try:
        return msgspec.convert(tree, table)
    except msgspec.ValidationError:
        return None


def _check_format(tree: Tree, findings: Findings) -> bool:
    """Whether the rest may be read: nothing is said about the keys of another format, which nobody here knows."""
    if "format" not in tree:
        strangers = tuple(key for key in tree if key not in fields(BuildFile))[:_FEW]
        if findings.nearest("format", strangers) is None:
            hint = f"add `format = {FORMAT}` as the first line"
            findings("missing-format", "missing key `format`", findings.key(), hint)
        return True
    number, place = tree["format"], findings.value("format")
    if isinstance(number, bool) or not isinstance(number, int):
        hint = f"write `format = {FORMAT}`"
        findings("wrong-type", f"expected the number {FORMAT} for `format`, got {kind(number)}", place, hint)
    elif number > FORMAT:
        message = f"format {shown(number, ())} is that of a newer orchestrate: this one reads {FORMAT}"
        findings("unknown-format", message, place, "upgrade orchestrate")
        return False
    elif number < FORMAT:
        findings("unknown-format", f"there is no format {shown(number, ())}", place, f"write `format = {FORMAT}`")
    return True


def _independent(ruled: Iterable[Diagnostic], walked: Iterable[Diagnostic]) -> Iterator[Diagnostic]:
    """The findings of rules that no finding about types explains: a misspelled key is not a missing one as well."""
    tables = {finding.place.keys[:-1] for finding in walked if isinstance(finding.place, KeyPlace)}
    return (finding for finding in ruled if tables.isdisjoint(_incomplete(finding)))


def _incomplete(finding: Diagnostic) -> tuple[Keys, ...]:
    """The tables and lists that a rule took for whole: what has a wrong type in them was left out before."""
    keys = finding.place.keys if isinstance(finding.place, KeyPlace) else ()
    if finding.code in _ABSENCES:
        return keys, keys[:-1]
    if finding.code in _EMPTINESSES:
        return (keys,)
    if finding.code == "unknown-axis":
        return ((*keys[:2], "matrix"),)
    if finding.code == "unknown-axis-value":
        return ((*keys[:2], "matrix", keys[-1]),)
    return ()


@contextmanager
def _without_collector() -> Iterator[None]:
    """No cyclic garbage collection: a tree of 10,000 images has no cycles, and looking for them doubles the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
