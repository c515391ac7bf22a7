"""How the tables of two layers become one, and what `unset` and `extend` do to what is inherited."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from operator import attrgetter
from typing import Final, TypeAlias

from msgspec import UNSET, structs

from orchestrator.config.keys import (
    ATTRIBUTES,
    BUILD_ATTRIBUTES,
    EXTENDABLE,
    canonical_platform,
    parse_key,
)
from orchestrator.config.schema import BuildTable, CommonTable, ExtendTable, TemplateTable

State: TypeAlias = dict[str, object]
"""The fields that are set, by name. Its values are replaced, never changed, because images share what they inherit."""

_BUILD_FIELDS: Final = tuple(BUILD_ATTRIBUTES.values())
_COMMON_FIELDS: Final = tuple(ATTRIBUTES.values())
_EXTEND_FIELDS: Final = tuple(EXTENDABLE.values())
_BUILD_VALUES: Final = attrgetter(*_BUILD_FIELDS)
_COMMON_VALUES: Final = attrgetter(*_COMMON_FIELDS)
_EXTEND_VALUES: Final = attrgetter(*_EXTEND_FIELDS)
_NO_BUILD: Final = BuildTable()
_NO_COMMON: Final = CommonTable()


def merge(*tables: CommonTable) -> CommonTable:
    """Merge tables, lowest first, without regard to `unset` and `extend`; associative, and nothing is its neutral."""
    state: State = {}
    for table in tables:
        state = merged(state, table)
    return structs.replace(_NO_COMMON, **state)


def merged(lower: State, table: BuildTable) -> State:
    """`lower` with what `table` sets: tables merge one level, `on` by platform first, any other value replaces."""
    state = dict(lower)
    for field, value in _set_fields(table):
        if not isinstance(value, dict):
            state[field] = value
            continue
        below = state.get(field)
        if field == "on":
            state[field] = _merged_on(below, value)
        elif isinstance(below, dict):
            state[field] = {**below, **value}
        else:
            state[field] = value
    return state


def stacked(inherited: State, table: BuildTable) -> State:
    """`inherited` less what the `unset` of `table` names, lists extended by its `extend`, and then merged with it."""
    if not isinstance(table, TemplateTable) or not (table.unset or table.extend):
        return merged(inherited, table)
    state = dict(inherited)
    for text in table.unset or ():
        _drop(state, text)
    if table.extend:
        _append(state, table.extend)
    return merged(state, table)


def build_state(table: BuildTable) -> State:
    """The fields of a platform build that `table` sets."""
    return {
        field: value for field, value in zip(_BUILD_FIELDS, _BUILD_VALUES(table), strict=True) if value is not UNSET
    }


def build_table(state: State) -> BuildTable:
    """The opposite of `build_state`; fields that are no platform build's are left out."""
    return structs.replace(_NO_BUILD, **{field: state[field] for field in _BUILD_FIELDS if field in state})


def holds(state: State, keys: tuple[str, ...]) -> bool:
    """Whether `unset` of these keys would drop something."""
    match keys:
        case (key,):
            return ATTRIBUTES.get(key) in state
        case ("on", platform, *rest):
            overrides = _platforms(state).get(canonical_platform(platform))
            return overrides is not None and (not rest or holds(build_state(overrides), tuple(rest)))
        case (key, inner):
            value = state.get(ATTRIBUTES.get(key, ""))
            return isinstance(value, dict) and inner in value
        case _:
            return False


def _set_fields(table: BuildTable) -> Iterator[tuple[str, object]]:
    if isinstance(table, CommonTable):
        pairs = zip(_COMMON_FIELDS, _COMMON_VALUES(table), strict=True)
    else:
        pairs = zip(_BUILD_FIELDS, _BUILD_VALUES(table), strict=True)
    return ((field, value) for field, value in pairs if value is not UNSET)


def _merged_on(below: object, above: Mapping[str, BuildTable]) -> dict[str, BuildTable]:
    platforms: dict[str, BuildTable] = dict(below) if isinstance(below, dict) else {}
    for text, table in above.items():
        platform = canonical_platform(text)
        lower = platforms.get(platform)
        platforms[platform] = table if lower is None else build_table(merged(build_state(lower), table))
    return platforms


def _platforms(state: State) -> dict[str, BuildTable]:
    value = state.get("on")
    return value if isinstance(value, dict) else {}


def _drop(state: State, text: str) -> None:
    """Drop one key; what cannot be dropped is `overrides.check_overrides`' to report."""
    try:
        keys = parse_key(text)
    except ValueError:
        return
    if holds(state, keys):
        _drop_keys(state, keys)


def _drop_keys(state: State, keys: tuple[str, ...]) -> None:
    field = ATTRIBUTES[keys[0]]
    if len(keys) == 1:
        del state[field]
    elif field == "on":
        platforms = dict(_platforms(state))
        table = platforms.pop(canonical_platform(keys[1]))
        if len(keys) > 2:  # noqa: PLR2004 - on, platform, attribute
            inner = build_state(table)
            _drop_keys(inner, keys[2:])
            platforms[canonical_platform(keys[1])] = build_table(inner)
        state[field] = platforms
    else:
        value = state[field]
        if isinstance(value, dict):
            state[field] = {key: kept for key, kept in value.items() if key != keys[1]}


def _append(state: State, extension: ExtendTable) -> None:
    for field, values in zip(_EXTEND_FIELDS, _EXTEND_VALUES(extension), strict=True):
        if values is UNSET:
            continue
        below = state.get(field)
        state[field] = [*below, *values] if isinstance(below, list) else values
