"""The JSON Schema of `builds.toml`, made from the classes that decode it: what an editor completes and underlines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

import msgspec

from orchestrator.config import schema
from orchestrator.config.duration import DURATION_PATTERN
from orchestrator.config.rules.build import CACHES, LIMIT_PATTERN, SIZE_PATTERN
from orchestrator.config.rules.names import MAX_NAME, NAME_PATTERN, VARIABLE_PATTERN
from orchestrator.config.shapes import is_table_class
from orchestrator.model import Table

Schema: TypeAlias = dict[str, object]

_REFERENCE: Final = "#/$defs/{name}"
_CACHES: Final = frozenset({"cache-from", "cache-to"})
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def _whole(pattern: str) -> Schema:
    return {"pattern": f"^(?:{pattern})$"}


_PLATFORM: Final = r"[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)?"
_NAMES: Final[Schema] = {"propertyNames": {**_whole(NAME_PATTERN), "maxLength": MAX_NAME}}
_VARIABLES: Final[Schema] = {"propertyNames": {**_whole(VARIABLE_PATTERN), "maxLength": MAX_NAME}}
_CACHE: Final[Schema] = {"required": ["type"], "properties": {"type": {"enum": list(CACHES)}}}
# What the rules demand beyond the types, by the key that it is about, wherever that key is allowed.
_STRINGS: Final[Mapping[str, Schema]] = {"timeout": _whole(DURATION_PATTERN), "shm-size": _whole(SIZE_PATTERN)}
_TABLES: Final[Mapping[str, Schema]] = {
    "groups": _NAMES,
    "images": _NAMES,
    "matrix": _VARIABLES,
    "on": {"propertyNames": _whole(_PLATFORM)},
    "platforms": {"propertyNames": _whole(rf"{_PLATFORM}|\*")},
    "templates": _NAMES,
    "vars": _VARIABLES,
}
_ELEMENTS: Final[Mapping[str, Schema]] = {"platforms": _whole(_PLATFORM), "ulimits": _whole(LIMIT_PATTERN)}


def build_schema(extra_backends: Mapping[str, type[Table]]) -> Schema:
    """The JSON Schema of a `builds.toml`, with the tables of these backends under `backends`.

    Args:
        extra_backends: by name, the class of each backend's table. The tables of others are accepted as they are.
    """
    own = [table for table in vars(schema).values() if is_table_class(table) and table.__module__ == schema.__name__]
    references, components = msgspec.json.schema_components(
        [*own, *extra_backends.values()], schema_hook=_free, ref_template=_REFERENCE
    )
    names = [reference["$ref"].removeprefix(_REFERENCE.format(name="")) for reference in references]
    for name in names[: len(own)]:
        for key, refined in components[name].get("properties", {}).items():
            _refine(key, refined)
    components[names[own.index(schema.ValueTable)]]["oneOf"] = [{"required": ["value"]}, {"required": ["raw"]}]
    components.pop(names[own.index(schema.IncludedFile)])
    root = components.pop(names[own.index(schema.BuildFile)])
    root["properties"]["format"]["const"] = schema.FORMAT
    root["properties"]["backends"] |= {
        "properties": {
            "default": {"type": "string"},
            **dict(zip(extra_backends, references[len(own) :], strict=True)),
        },
        "additionalProperties": {"type": "object"},
    }
    return {"$schema": DIALECT, **root, "title": "builds.toml", "$defs": components}


def _free(annotation: type) -> Schema:
    """The schema of `object`: whatever a backend that is not known here has in its table."""
    return {"title": annotation.__name__}


def _refine(key: str, found: Schema) -> None:
    """Add what the rules demand to the schema of one key; a key means different things in a list and in a table."""
    kind, items = found.get("type"), found.get("items")
    if kind == "string":
        found |= _STRINGS.get(key, {})
    elif kind == "object":
        found |= _TABLES.get(key, {})
    elif isinstance(items, dict):
        items |= _ELEMENTS.get(key, {})
        if key in _CACHES:
            for alternative in items["anyOf"]:
                alternative.update(_CACHE if alternative["type"] == "object" else {})
