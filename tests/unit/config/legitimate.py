"""Which differences between two accepted documents are a user's to make, at the decode stage.

Later stages know more (that an image of that name exists, that a template can be rendered, that a folder is there) and
accept less.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

from orchestrator.config.scan import Keys
from orchestrator.config.schema import BuildFile
from orchestrator.config.shapes import choices, element_type, fields, members, table_class, value_type
from orchestrator.oci.platform import parse_platform

FREE_TEXT = frozenset(
    {
        "args", "backend", "cache-from", "cache-to", "choices", "context", "contexts", "debian", "default",
        "description", "dockerfile", "env", "exclude", "fallback", "flavour", "go", "groups", "id", "image",
        "inherits", "labels", "match", "matrix", "mode", "name", "needs", "pg", "raw", "read", "ref", "registry",
        "repository", "run", "ssh", "tags", "target", "unset", "value", "when",
    }
)  # fmt: skip
"""The keys whose texts have no form that this stage could check, and the names that the example gives to such keys."""


class Absent(Enum):
    """No value at all."""

    ABSENT = "absent"


def differences(before: object, after: object, keys: Keys = ()) -> Iterator[tuple[Keys, object, object]]:
    """The smallest differences of two plain trees; lists of different lengths differ as wholes."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in {**before, **after}:
            yield from differences(before.get(key, Absent.ABSENT), after.get(key, Absent.ABSENT), (*keys, key))
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for position, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from differences(one, other, (*keys, position))
    elif type(before) is not type(after) or before != after:
        yield keys, before, after


def unexplained(before: object, after: object) -> list[tuple[Keys, object, object]]:
    """The differences that no rule allows."""
    return [one for one in differences(before, after) if not _is_allowed(*one)]


def _is_allowed(keys: Keys, before: object, after: object) -> bool:
    if keys[0] == "backends" and len(keys) > 2:
        return True  # a backend's own table is checked by its class, when plugins are known
    if isinstance(keys[-1], str) and Absent.ABSENT in {_hashable(before), _hashable(after)}:
        parent = _annotation(keys[:-1])
        table = table_class(parent)
        if table is not None and keys[-1] in fields(table):
            return not fields(table)[keys[-1]].required  # an optional key left out or written
        return value_type(parent) is not None  # a name that the user chooses
    annotation = _annotation(keys)
    if choices(annotation):
        return after in choices(annotation)
    if "platforms" in keys or "platform" in keys:
        return _platforms(before) == _platforms(after) or (isinstance(after, list) and len(after) != len(_list(before)))
    if isinstance(after, dict | list):  # another shape that is allowed here, such as a table for a string
        return table_class(annotation) is not None or value_type(annotation) is not None or _is_list(annotation)
    if isinstance(after, str):
        return any(key in FREE_TEXT for key in keys)
    return type(after) in {bool, int} and any(_accepts(member, type(after)) for member in members(annotation))


def _hashable(value: object) -> object:
    return value if isinstance(value, Absent) else None


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def _is_list(annotation: object) -> bool:
    return element_type(annotation) is not None


def _accepts(member: object, kind: type) -> bool:
    return member is kind or getattr(member, "__origin__", None) is kind


def _platforms(value: object) -> list[str]:
    return [str(parse_platform(str(text))) for text in _list(value)]


def _annotation(keys: Keys) -> object:
    """The type of what stands under these keys."""
    annotation: object = BuildFile
    for key in keys:
        if isinstance(key, int):
            annotation = element_type(annotation)
            continue
        table = table_class(annotation)
        known = fields(table) if table else {}
        annotation = known[key].annotation if key in known else value_type(annotation)
    return annotation
