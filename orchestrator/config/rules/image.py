"""The matrix of an image."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Final, TypeAlias

from msgspec import UNSET

from orchestrator.config.findings import Findings, quote
from orchestrator.config.rules.names import check_name
from orchestrator.config.scan import Keys
from orchestrator.config.schema import ImageTable, Scalar

MAX_COMBINATIONS: Final = 10_000

_Values: TypeAlias = set[tuple[type, Scalar]]
_FEW: Final = 50


def check_image(image: ImageTable, findings: Findings, keys: Keys) -> None:
    """Whether `name`, `matrix` and `exclude` go together."""
    if image.matrix is UNSET:
        for key, value in (("name", image.name), ("exclude", image.exclude)):
            if value is not UNSET:
                hint = f"add `matrix`, or remove `{key}`"
                if key == "name":
                    hint += ": the name of an image is that of its table"
                findings("conflicting-keys", f"`{key}` without `matrix`", findings.key(*keys, key), hint)
        return
    if image.name is UNSET:
        axis = next(iter(image.matrix), "axis")
        hint = f'add a template such as `name = "{keys[-1]}-{{{{ matrix.{axis} }}}}"`'
        findings("missing-key", "`matrix` without `name`", findings.key(*keys, "matrix"), hint)
    _check_axes(image.matrix, findings, (*keys, "matrix"))
    axes = {axis: {(type(value), value) for value in values} for axis, values in image.matrix.items()}
    for position, combination in enumerate(image.exclude or ()):
        here = (*keys, "exclude", position)
        for axis in combination:
            if axis not in axes and image.name and f"matrix.{axis}" in image.name:
                message = f"`name` and `exclude` use the axis {quote(axis)}, which `matrix` does not have"
                place, related = findings.key(*keys, "matrix"), (findings.key(*here, axis),)
                known = ", ".join(f"`{name}`" for name in axes)
                hint = findings.nearest(axis, axes) or f"its axes are {known}"
                findings("unknown-axis", message, place, hint, related=related)
                return
        _check_exclude(combination, axes, findings, here)


def _check_axes(matrix: Mapping[str, list[Scalar]], findings: Findings, keys: Keys) -> None:
    if not matrix:
        findings("empty-matrix", "a matrix without axes", findings.value(*keys), "add an axis, or remove `matrix`")
    for axis, values in matrix.items():
        check_name("matrix axis", axis, findings, keys)
        if not values:
            message = f"axis {quote(axis)} has no values: there would be no image"
            findings("empty-matrix", message, findings.value(*keys, axis), "add a value, or remove the axis")
        seen: dict[str, int] = {}
        for position, value in enumerate(values):
            first = seen.setdefault(str(value), position)
            if first != position:
                message = f"value {quote(str(value))} of axis {quote(axis)} is there twice"
                related = (findings.value(*keys, axis, first),)
                place = findings.value(*keys, axis, position)
                findings("duplicate-value", message, place, "remove one of the two", related=related)
    combinations = prod(len(values) for values in matrix.values())
    if combinations > MAX_COMBINATIONS:
        message = f"a matrix of {combinations:,} images, at most {MAX_COMBINATIONS:,} are allowed"
        findings("matrix-too-large", message, findings.key(*keys), "split it into several images")


def _check_exclude(
    combination: Mapping[str, Scalar], axes: Mapping[str, _Values], findings: Findings, keys: Keys
) -> None:
    if not combination:
        message = "an empty combination excludes every image"
        findings("empty-exclude", message, findings.value(*keys), "name at least one axis, or remove it")
    for axis, value in combination.items():
        values = axes.get(axis)
        if values is None:
            known = ", ".join(f"`{name}`" for name in axes)
            hint = findings.nearest(axis, axes) or (f"the axes are {known}" if known else "")
            findings("unknown-axis", f"unknown axis {quote(axis)} in `exclude`", findings.key(*keys, axis), hint)
        elif (type(value), value) not in values:
            _unknown_value(value, values, findings, (*keys, axis))


def _unknown_value(value: Scalar, values: _Values, findings: Findings, keys: Keys) -> None:
    few = [other for _, other in values] if len(values) <= _FEW else []
    hint = findings.nearest(str(value), map(str, few)) or "it excludes nothing: remove it, or name a value of the axis"
    if str(value) in map(str, few):
        hint = "write it without quotes, as the axis does" if isinstance(value, str) else "put it in quotes"
    message = f"{quote(str(value))} is no value of axis {quote(str(keys[-1]))}"
    findings("unknown-axis-value", message, findings.value(*keys), hint)
