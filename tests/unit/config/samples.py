"""Samples of every attribute of the schema, and projects made of them."""

from __future__ import annotations

from typing import TypeAlias

import msgspec
import pytest
import tomli
from hypothesis import strategies as st
from msgspec import inspect

from orchestrator.config.assign import Assignment, Origin, parse_assignments
from orchestrator.config.keys import EXTENDABLE
from orchestrator.config.layers import Effective, effective
from orchestrator.config.project import Project, SourceFile, join
from orchestrator.config.schema import BuildFile, CommonTable, IncludedFile
from orchestrator.oci.platform import parse_platform

Tree: TypeAlias = dict[str, object]

ARM = parse_platform("linux/arm64")
AMD = parse_platform("linux/amd64")


def types_of(table: type[msgspec.Struct]) -> dict[str, inspect.Type]:
    """The type of each attribute, by its key in TOML."""
    described = inspect.type_info(table)
    assert isinstance(described, inspect.StructType)
    return {field.encode_name: field.type for field in described.fields}


TYPES = types_of(CommonTable)


def sample(kind: inspect.Type, number: int) -> object:
    """A value of this type, as TOML has it; other numbers give other values, but for types with few values."""
    match kind:
        case inspect.Metadata(type=inner):
            return sample(inner, number)
        case inspect.UnionType(types=choices):
            texts = [one for one in choices if isinstance(unwrapped(one), inspect.StrType)]
            return sample((texts or [one for one in choices if is_written(one)])[0], number)
        case inspect.ListType(item_type=item):
            return [sample(item, number), sample(item, number + 1)]
        case inspect.DictType(value_type=inspect.StructType() as inner):
            spelled = "linux/arm64" if number % 2 else "linux/arm64/v8"
            return {spelled: build_attributes(inner, number), f"linux/arm/v{5 + number % 3}": {"target": "x"}}
        case inspect.DictType(value_type=inner):
            return {"shared": sample(inner, number), f"own-{number}": sample(inner, number)}
        case inspect.StructType(fields=fields):
            return {field.encode_name: sample(field.type, number) for field in fields if field.required}
        case _:
            return scalar(kind, number)


def scalar(kind: inspect.Type, number: int) -> object:
    """As `sample`, for types without parts."""
    match kind:
        case inspect.StrType():
            return f"value-{number}"
        case inspect.BoolType():
            return number % 2 == 0
        case inspect.IntType():
            return number
        case inspect.LiteralType(values=values):
            return values[number % len(values)]
        case _:
            pytest.fail(f"no sample for {kind}")


def unwrapped(kind: inspect.Type) -> inspect.Type:
    """The type without what is said about it."""
    return unwrapped(kind.type) if isinstance(kind, inspect.Metadata) else kind


def is_written(kind: inspect.Type) -> bool:
    """Whether TOML can hold it; `UNSET` it cannot."""
    return not (isinstance(kind, inspect.CustomType) and kind.cls is msgspec.UnsetType)


def build_attributes(kind: inspect.StructType, number: int) -> Tree:
    """Some attributes of an override for one platform."""
    wanted = {"target", "args", "secrets", "no-cache"}
    return {field.encode_name: sample(field.type, number) for field in kind.fields if field.encode_name in wanted}


def common(attributes: dict[str, int]) -> Tree:
    """A table with a sample for each named attribute."""
    return {key: sample(TYPES[key], number) for key, number in attributes.items()}


ATTRIBUTE_NUMBERS = st.dictionaries(st.sampled_from(list(TYPES)), st.integers(0, 3), max_size=8)
TREES = ATTRIBUTE_NUMBERS.map(common)
TABLES = TREES.map(lambda tree: msgspec.convert(tree, CommonTable))
EXTENSIONS = st.dictionaries(st.sampled_from(list(EXTENDABLE)), st.integers(4, 6), max_size=4).map(common)
TEMPLATES = st.builds(
    lambda tree, extension, unset: {**tree, "extend": extension, "unset": unset},
    TREES,
    EXTENSIONS,
    st.lists(st.sampled_from([*TYPES, "args.shared", 'on."linux/arm64".args', "on.'linux/arm64'", "x.y"]), max_size=3),
)


def project_of(tree: Tree, **included: Tree) -> Project:
    """The project of a root file, given as what TOML would be read as, and of included ones."""
    files = tuple(
        (SourceFile(path=f"{name}/b.toml", folder=name, text=""), msgspec.convert({"format": 1, **one}, IncludedFile))
        for name, one in included.items()
    )
    root = SourceFile(path="builds.toml", folder="", text="")
    return join(root, msgspec.convert({"format": 1, **tree}, BuildFile), files)[0]


def parsed(text: str, **included: str) -> Project:
    """As `project_of`, from TOML."""
    return project_of(tomli.loads(text), **{name: tomli.loads(one) for name, one in included.items()})


def only(project: Project, *settings: str) -> Effective:
    """The attributes of the project's first image, with settings of the command line."""
    assignments, findings = parse_assignments(settings, "command line")
    assert findings == ()
    return effective(project, project.images[0], assignments)


def assignment(key: str, value: object, origin: Origin) -> Assignment:
    """An assignment for every image."""
    table = msgspec.convert({key: value}, CommonTable)
    return Assignment(pattern="*", keys=(key,), table=table, origin=origin, text="")
