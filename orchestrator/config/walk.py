"""The collecting pass: everything in a plain tree that its types forbid, and the rest of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from orchestrator.config.findings import Findings, quote, shown
from orchestrator.config.keys import render_key
from orchestrator.config.scan import Keys
from orchestrator.config.shapes import (
    bare_type,
    choices,
    describe,
    element_type,
    fields,
    fits,
    kind,
    members,
    table_class,
    value_type,
)
from orchestrator.config.suggest import (
    misplaced,
    nested_names,
    unknown_key_hints,
    what_table,
    wrong_type_hints,
)
from orchestrator.diagnostics import Diagnostic, KeyPlace, Place

_GONE: Final = object()
_NO_MORE_HINTS: Final = ("the reference of `builds.toml` lists all keys",)


class Walk:
    """One pass over a plain tree.

    What stays of the tree after `run` fits its type, so that further checks can look at all that is well; elements
    that were dropped from lists are remembered, and `original` gives a place its position in the file back.
    """

    def __init__(self, findings: Findings) -> None:
        self._found = findings
        self._kept: dict[Keys, tuple[int, ...]] = {}

    def run(self, tree: object, annotation: object, keys: Keys = ()) -> object | None:
        """Report every finding; what is left of the tree, or None where that is nothing."""
        left = self._check(tree, annotation, keys)
        return None if left is _GONE else left

    def original(self, finding: Diagnostic) -> Diagnostic:
        """A finding about what was left, with the places that the file has."""
        place = finding.place and self._original(finding.place)
        return msgspec.structs.replace(finding, place=place, related=tuple(map(self._original, finding.related)))

    def _original(self, place: Place) -> Place:
        if not isinstance(place, KeyPlace):
            return place
        keys: Keys = ()
        for key in place.keys:
            kept = self._kept.get(keys) if isinstance(key, int) else None
            keys = (*keys, kept[int(key)] if kept else key)
        return msgspec.structs.replace(place, keys=keys)

    def _check(self, value: object, annotation: object, keys: Keys) -> object:
        if fits(value, annotation):
            return value
        before = len(self._found)
        left = self._descend(value, annotation, keys)
        if len(self._found) == before:
            self._mismatch(value, annotation, keys)
            return _GONE
        return left if left is not _GONE and fits(left, annotation) else _GONE

    def _descend(self, value: object, annotation: object, keys: Keys) -> object:
        if isinstance(value, dict):
            table = table_class(annotation)
            if table is not None:
                return self._table(value, table, keys)
            free = value_type(annotation)
            return _GONE if free is None else self._mapping(value, free, keys)
        element = element_type(annotation)
        if isinstance(value, list) and element is not None:
            return self._elements(value, element, keys)
        return _GONE

    def _table(self, value: Mapping[str, object], table: type[msgspec.Struct], keys: Keys) -> object:
        known = fields(table)
        left: dict[str, object] = {}
        for key, inner in value.items():
            field = known.get(key)
            if field is None:
                self._unknown(key, inner, table, (*keys, key))
                continue
            kept = self._check(inner, field.annotation, (*keys, key))
            if kept is not _GONE:
                left[key] = kept
        strangers = [key for key in value if key not in known]
        for field in known.values():
            # A misspelled key was reported where it stands; that it is missing as well would be said elsewhere.
            if field.required and field.key not in value and self._found.nearest(field.key, strangers) is None:
                self._missing(field.key, field.annotation, keys)
        return left

    def _unknown(self, key: str, value: object, table: type[msgspec.Struct], keys: Keys) -> None:
        elsewhere = misplaced(key, table)
        if elsewhere is not None:
            code, message, hint = elsewhere
            self._found(code, message, self._found.key(*keys), hint)
            return
        message = f"unknown key {quote(key)} in {what_table(keys[:-1])}"
        hints = _NO_MORE_HINTS if self._found.many else unknown_key_hints(key, value, table, keys[:-1])
        self._found("unknown-key", message, self._found.key(*keys), *hints)

    def _missing(self, key: str, annotation: object, keys: Keys) -> None:
        message = f"missing key `{key}` in {what_table(keys)}"
        self._found("missing-key", message, self._found.key(*keys), f"add `{key} = …`: {describe(annotation)}")

    def _mapping(self, value: Mapping[str, object], annotation: object, keys: Keys) -> object:
        left: dict[str, object] = {}
        for key, inner in value.items():
            leaves = nested_names(key, inner, annotation)
            if leaves:
                for leaf, hint in leaves:
                    message = f"dots in the name {quote('.'.join(leaf))} make tables of its parts"
                    self._found("dotted-name", message, self._found.key(*keys, *leaf), hint)
                continue
            kept = self._check(inner, annotation, (*keys, key))
            if kept is not _GONE:
                left[key] = kept
        return left

    def _elements(self, value: list[object], annotation: object, keys: Keys) -> object:
        checked = [self._check(inner, annotation, (*keys, position)) for position, inner in enumerate(value)]
        positions = tuple(position for position, kept in enumerate(checked) if kept is not _GONE)
        self._kept[keys] = positions
        return [checked[position] for position in positions]

    def _mismatch(self, value: object, annotation: object, keys: Keys) -> None:
        expected, place = describe(annotation), self._found.value(*keys)
        where = _where(keys)
        if not _same_kind(value, annotation):
            message = f"expected {expected} {where}, got {kind(value)}"
            self._found("wrong-type", message, place, *wrong_type_hints(value, annotation, keys))
            return
        if value in ("", []):
            message = f"expected {expected} {where}, got an empty one"
            self._found("empty-value", message, place, "write something, or remove it")
            return
        close = self._found.nearest(value, choices(annotation)) if isinstance(value, str) else None
        message = f"expected {expected} {where}, got {shown(value, keys)}"
        self._found("illegal-value", message, place, close or f"write {expected}")


def _where(keys: Keys) -> str:
    if not keys:
        return "as the whole file"
    names = [key for key in keys if isinstance(key, str)]
    return f"{'in' if isinstance(keys[-1], int) else 'for'} {quote(render_key(tuple(names[-1:])))}"


def _same_kind(value: object, annotation: object) -> bool:
    """Whether the value is of a kind that its type allows, so that it is its content that is wrong."""
    kinds = {describe(bare_type(member)).partition(" of ")[0] for member in members(annotation)}
    return kind(value) in kinds or (bool(choices(annotation)) and isinstance(value, str))
