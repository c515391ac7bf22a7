"""The combinations of a matrix, in the order of its axes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from types import MappingProxyType

from msgspec import UNSET

from orchestrator.config.schema import ImageTable, Scalar

Combination = Mapping[str, Scalar]
EMPTY: Combination = MappingProxyType({})


def combinations(table: ImageTable) -> Iterator[Combination]:
    """Every combination that is not excluded; without a matrix, one that is empty."""
    if table.matrix is UNSET:
        yield EMPTY
        return
    excluded = () if table.exclude is UNSET else table.exclude
    for values in product(*table.matrix.values()):
        combination = dict(zip(table.matrix, values, strict=True))
        if not any(_matches(rule, combination) for rule in excluded):
            yield combination


def _matches(rule: Mapping[str, Scalar], combination: Combination) -> bool:
    # `true` is no 1 in TOML, though it is in Python
    return all(
        type(combination.get(axis)) is type(value) and combination.get(axis) == value for axis, value in rule.items()
    )
