"""The types of tables as the collecting pass, the JSON Schema and the reference read them."""

from __future__ import annotations

import types
from collections.abc import Mapping
from datetime import date, datetime, time
from functools import lru_cache
from typing import Annotated, Final, Literal, TypeGuard, Union, get_args, get_origin

import msgspec

from orchestrator.model import Model


class Field(Model):
    """One key of a table class; `default` is how the default is written in TOML, empty where there is none."""

    key: str
    annotation: object
    required: bool
    description: str
    default: str


@lru_cache(maxsize=256)
def fields(table: type[msgspec.Struct]) -> dict[str, Field]:
    """The keys of a table class, as they are written."""
    return {
        field.encode_name: Field(
            key=field.encode_name,
            annotation=field.type,
            required=field.required,
            description=_description(field.type),
            default=_default(field),
        )
        for field in msgspec.structs.fields(table)
    }


def _description(annotation: object) -> str:
    found = [meta.description for meta in _metas(annotation) if meta.description]
    return found[0] if found else ""


def _default(field: msgspec.structs.FieldInfo) -> str:
    default = field.default
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, str) and default:
        return f'"{default}"'
    return str(default) if isinstance(default, int) else ""


def _metas(annotation: object) -> tuple[msgspec.Meta, ...]:
    if get_origin(annotation) is not Annotated:
        return ()
    return tuple(meta for meta in get_args(annotation)[1:] if isinstance(meta, msgspec.Meta))


def members(annotation: object) -> tuple[object, ...]:
    """The alternatives of a type, those of nested unions included, without those that no value in TOML can have."""
    bare = bare_type(annotation)
    if get_origin(bare) in {Union, types.UnionType}:
        return tuple(inner for member in get_args(bare) for inner in members(member))
    return () if bare in {msgspec.UnsetType, type(None)} else (annotation,)


def bare_type(annotation: object) -> object:
    """A type without what `Annotated` adds to it."""
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def is_table_class(annotation: object) -> TypeGuard[type[msgspec.Struct]]:
    """Whether a type is a class of tables."""
    return isinstance(annotation, type) and issubclass(annotation, msgspec.Struct)


def table_class(annotation: object) -> type[msgspec.Struct] | None:
    """The class of the alternative that is a table with known keys."""
    return next((bare for bare in map(bare_type, members(annotation)) if is_table_class(bare)), None)


def value_type(annotation: object) -> object | None:
    """The type of the values of the alternative that is a table with free keys."""
    return next((get_args(bare)[1] for bare in map(bare_type, members(annotation)) if get_origin(bare) is dict), None)


def element_type(annotation: object) -> object | None:
    """The type of the elements of the alternative that is a list."""
    bares = map(bare_type, members(annotation))
    return next((get_args(bare)[0] for bare in bares if get_origin(bare) in {list, tuple, set, frozenset}), None)


def choices(annotation: object) -> tuple[str, ...]:
    """The only words allowed, where a type is made of such."""
    bares = map(bare_type, members(annotation))
    return tuple(str(word) for bare in bares if get_origin(bare) is Literal for word in get_args(bare))


_SINGULAR: Final[Mapping[object, str]] = {
    str: "string", int: "integer", float: "number", bool: "Boolean",
    dict: "table", list: "list", tuple: "list", set: "list", frozenset: "list",
}  # fmt: skip
_SCALARS: Final = {"string", "integer", "number", "Boolean"}


def describe(annotation: object) -> str:
    """A type in words, with its bounds: `a string or a table`, `an integer from 0 to 10`."""
    alternatives = members(annotation)
    nouns = [_noun(alternative) for alternative in alternatives]
    if set(nouns) >= _SCALARS:
        rest = [_phrase(other) for other, noun in zip(alternatives, nouns, strict=True) if noun not in _SCALARS]
        return _either(["a string", "a number", "a Boolean", *rest])
    return _either(list(dict.fromkeys(map(_phrase, alternatives))))


def describe_plural(annotation: object) -> str:
    """A type in words, for many: `strings or tables`."""
    nouns = list(dict.fromkeys(map(_noun, members(annotation))))
    if set(nouns) >= _SCALARS:
        nouns = ["string", "number", "Boolean", *(noun for noun in nouns if noun not in _SCALARS)]
    return _either([noun if noun.startswith("`") else f"{noun}s" for noun in nouns])


def _either(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _noun(annotation: object) -> str:
    bare = bare_type(annotation)
    if get_origin(bare) is Literal:
        return _either([f"`{word}`" for word in get_args(bare)])
    if is_table_class(bare):
        return "table"
    origin = get_origin(bare) or bare
    return _SINGULAR.get(origin, str(getattr(origin, "__name__", "value")))


def _phrase(annotation: object) -> str:
    noun = _noun(annotation)
    if noun == "list":
        return f"a list of {describe_plural(element_type(annotation))}{_constraint(annotation)}"
    if noun.startswith("`"):
        return noun
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}{_constraint(annotation)}"


def example(annotation: object) -> str:
    """A value of a type as TOML writes it, with dots where only the user knows."""
    words = choices(annotation)
    if words:
        return f'"{words[0]}"'
    first = _noun(members(annotation)[0])
    return f"[{example(element_type(annotation))}]" if first == "list" else _EXAMPLES.get(first, "…")


_EXAMPLES: Final = {"string": '"…"', "integer": "1", "number": "1.5", "Boolean": "true", "table": "{ … }"}


def _constraint(annotation: object) -> str:
    for meta in _metas(annotation):
        if meta.pattern is not None:
            return f" that matches `{meta.pattern}`"
        if meta.ge is not None and meta.le is not None:
            wide = isinstance(meta.le, float) or meta.le >= 2**63 - 1
            return "" if wide else f" from {meta.ge} to {meta.le}"
        if meta.ge is not None:
            return f" of at least {meta.ge}"
        if meta.gt is not None:
            return f" greater than {meta.gt}"
    return ""


def kind(value: object) -> str:
    """What a value of a plain tree is, in words."""
    for known, words in _KINDS:
        if isinstance(value, known):
            return words
    return "a value"


_KINDS: Final[tuple[tuple[type, str], ...]] = (
    (bool, "a Boolean"),
    (str, "a string"),
    (int, "an integer"),
    (float, "a number"),
    (dict, "a table"),
    (list, "a list"),
    (datetime, "a date and time"),
    (date, "a date"),
    (time, "a time"),
)


def fits(value: object, annotation: object) -> bool:
    """Whether a plain value is one of this type; msgspec decides, so that nothing can disagree with it."""
    try:
        msgspec.convert(value, annotation)
    except msgspec.ValidationError:
        return False
    return True
