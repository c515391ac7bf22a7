"""`Model`, the base of every value in this package, and `Table`, the base of every table of `builds.toml`.

What is decoded in threads has a decoder that is made when its module is imported. msgspec (0.22) looks into a type when
it first decodes one, and a second thread that decodes it meanwhile reads memory that is not filled in yet.
"""

from __future__ import annotations

from typing import dataclass_transform

import msgspec


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class _FrozenMeta(msgspec.StructMeta):
    """Makes every subclass keyword-only and tells type checkers so; msgspec inherits `frozen` but not `kw_only`."""

    def __new__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, object], **options: object) -> type:
        merged = {"kw_only": True, **options}
        return super().__new__(cls, name, bases, namespace, **merged)  # type: ignore[arg-type]  # msgspec checks them


class Model(msgspec.Struct, frozen=True, kw_only=True, metaclass=_FrozenMeta):
    """A frozen value. Fields hold strings, numbers, enums, other values and tuples of them."""


class Table(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab", metaclass=_FrozenMeta
):
    """A table of `builds.toml`: fields are written in kebab-case, unknown keys are errors."""
