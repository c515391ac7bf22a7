"""The reference of `builds.toml` as Markdown, made from the classes that decode it."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from orchestrator.config import schema
from orchestrator.config.rules.names import MAX_NAME
from orchestrator.config.shapes import Field, choices, describe, element_type, fields, table_class, value_type
from orchestrator.model import Table

_SECTIONS: Final[tuple[tuple[str, type[msgspec.Struct], type[msgspec.Struct] | None], ...]] = (
    ("The file", schema.BuildFile, None),
    ("`[project]`", schema.ProjectTable, None),
    ("`[version]`", schema.VersionTable, None),
    ("`[vars.NAME]`", schema.VarTable, None),
    ("`[defaults]`", schema.CommonTable, None),
    ("`[templates.NAME]`", schema.TemplateTable, schema.CommonTable),
    ("`[images.NAME]`", schema.ImageTable, schema.TemplateTable),
    ('`on."PLATFORM"`', schema.BuildTable, None),
    ("`extend`", schema.ExtendTable, None),
    ("`test`", schema.TestTable, None),
    ("A tag as a table", schema.TagTable, None),
    ("A value as a table", schema.ValueTable, None),
    ("A named context as a table", schema.ContextTable, None),
    ("A secret", schema.SecretTable, None),
    ("An SSH agent as a table", schema.SshTable, None),
    ('`[platforms."PLATFORM"]`', schema.PlatformTable, None),
    ("`[state]`", schema.StateTable, None),
)
_INTRODUCTION: Final = f"""\
# `builds.toml`

Made from the classes that decode the file. A key that is not listed is an error.

Names of images, templates and groups have lower-case letters, digits, `-` and `_`, with a letter or digit at both
ends, and at most {MAX_NAME} characters. Names of variables and matrix axes have letters, digits and `_`, the first no
digit. A name with a dot or a slash, such as a platform or a label, is a key in quotes.
"""


def reference(extra_backends: Mapping[str, type[Table]]) -> str:
    """The Markdown text: a section for each table, with the tables of these backends last.

    Args:
        extra_backends: by name, the class of each backend's table.
    """
    lines = [_INTRODUCTION]
    for title, table, base in _SECTIONS:
        lines.extend(_section(title, table, base))
    for name, table in extra_backends.items():
        lines.extend(_section(f"`[backends.{name}]`", table, None))
        for key, inner in _tables_below(table):
            lines.extend(_section(f"`{key}` of `[backends.{name}]`", inner, None))
    return "\n".join(lines)


def _section(title: str, table: type[msgspec.Struct], base: type[msgspec.Struct] | None) -> Iterator[str]:
    yield f"## {title}\n"
    yield f"{inspect.getdoc(table) or ''}\n"
    inherited = fields(base) if base else {}
    if base is not None:
        above = next(title for title, known, _ in _SECTIONS if known is base)
        yield f"All keys of {above}, and:\n"
    yield "| key | type | default | meaning |"
    yield "|---|---|---|---|"
    for field in fields(table).values():
        if field.key not in inherited:
            yield _row(field)
    yield ""


def _row(field: Field) -> str:
    default = "required" if field.required else f"`{field.default}`" if field.default else ""
    cells = (f"`{field.key}`", _type(field), default, field.description)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _type(field: Field) -> str:
    inner = value_type(field.annotation)
    if inner is not None and not choices(field.annotation):
        return "a table" if inner is object else f"a table; each value {describe(inner)}"
    return describe(field.annotation)


def _tables_below(table: type[msgspec.Struct]) -> Iterator[tuple[str, type[msgspec.Struct]]]:
    for field in fields(table).values():
        for annotation in (field.annotation, element_type(field.annotation), value_type(field.annotation)):
            inner = table_class(annotation) if annotation is not None else None
            if inner is not None:
                yield field.key, inner
