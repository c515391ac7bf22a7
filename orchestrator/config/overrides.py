"""Whether `unset` and `extend` say something that can be done, and whether what they name is there to be changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from msgspec import UNSET

from orchestrator.config.findings import quote
from orchestrator.config.keys import ATTRIBUTES, BUILD_ATTRIBUTES, EXTENDABLE, MERGED, parse_key, render_key
from orchestrator.config.layers import inherited_state
from orchestrator.config.merging import State, build_state, holds
from orchestrator.config.nearest import Nearest
from orchestrator.config.project import DeclaredImage, DeclaredTemplate, Project
from orchestrator.config.schema import BuildTable, TemplateTable
from orchestrator.diagnostics import Diagnostic, KeyPlace, Severity

_Keys: TypeAlias = tuple[str | int, ...]


def check_overrides(project: Project) -> tuple[Diagnostic, ...]:
    """What is wrong with `unset` and `extend`, once at each place where it is written."""
    findings: list[Diagnostic] = []
    for template in project.templates.values():
        findings.extend(_check_table(template, ("templates", template.name)))
    for image in project.images:
        findings.extend(_check_table(image, ("images", image.name)))
        findings.extend(_check_presence(project, image))
    return tuple(findings)


def _check_table(declared: DeclaredImage | DeclaredTemplate, keys: _Keys) -> Iterator[Diagnostic]:
    table = declared.table
    for position, text in enumerate(table.unset or ()):
        finding = _check_unset(text, KeyPlace(file=declared.file, keys=(*keys, "unset", position)))
        if finding is not None:
            yield finding
    if table.extend:
        yield from _check_extend(table, declared.file, keys)


def _check_extend(table: TemplateTable, file: str, keys: _Keys) -> Iterator[Diagnostic]:
    for key, field in EXTENDABLE.items():
        if getattr(table.extend, field, UNSET) is not UNSET and getattr(table, field) is not UNSET:
            yield Diagnostic(
                code="conflicting-keys",
                message=f"`{key}` replaces what is inherited, and `extend.{key}` appends to it",
                place=KeyPlace(file=file, keys=(*keys, "extend", key), on_key=True),
                related=(KeyPlace(file=file, keys=(*keys, key), on_key=True),),
                hints=(f"put all of it into `{key}`, or all that is new into `extend.{key}`",),
            )


def _check_unset(text: str, place: KeyPlace) -> Diagnostic | None:
    try:
        keys = parse_key(text)
    except ValueError as error:
        hint = """write a key as TOML does: `tags`, or `labels."org.opencontainers.image.revision"`"""
        return Diagnostic(code="unset-syntax", message=str(error), place=place, hints=(hint,))
    inner = keys
    known = ATTRIBUTES
    if keys[0] == "on" and len(keys) > 2:  # noqa: PLR2004 - on, platform, attribute
        inner, known = keys[2:], BUILD_ATTRIBUTES
    if inner[0] not in known:
        hints = Nearest(known).hints(inner[0])
        if inner[0] in ATTRIBUTES:
            hints = (f"`{inner[0]}` is the same for all platforms: drop `{inner[0]}`",)
        return Diagnostic(
            code="unknown-key",
            message=f"`unset` names the unknown key `{render_key(inner[:1])}`",
            place=place,
            hints=hints,
        )
    depth = 2 if known[inner[0]] in MERGED or inner[0] == "on" else 1
    if len(inner) <= depth:
        return None
    hint = f"drop `{render_key(keys[: len(keys) - len(inner) + depth])}`, or quote a key that has dots in it"
    if depth == 2:  # noqa: PLR2004 - a table whose keys often have dots
        whole = (*keys[: len(keys) - len(inner) + 1], ".".join(inner[1:]))
        hint = f"quote a key that has dots in it: `'{render_key(whole)}'`"
    return Diagnostic(
        code="unset-syntax", message=f"`unset` cannot drop as little as {quote(text)}", place=place, hints=(hint,)
    )


def _check_presence(project: Project, image: DeclaredImage) -> Iterator[Diagnostic]:
    """Only for images: what a template inherits in the end depends on the image's file."""
    if not image.table.unset:
        return
    state = inherited_state(project, image)
    for position, text in enumerate(image.table.unset):
        place = KeyPlace(file=image.file, keys=("images", image.name, "unset", position))
        if _check_unset(text, place) is not None:
            continue
        keys = parse_key(text)
        if not holds(state, keys):
            yield Diagnostic(
                code="nothing-to-unset",
                message=f"`{image.name}` inherits no `{render_key(keys)}`",
                severity=Severity.WARNING,
                place=place,
                hints=Nearest(tuple(_droppable(state))).hints(render_key(keys)),
            )


def _droppable(state: State, *outer: str) -> Iterator[str]:
    for key, field in ATTRIBUTES.items():
        value = state.get(field)
        if isinstance(value, dict):
            for inner, table in value.items():
                yield render_key((*outer, key, inner))
                if isinstance(table, BuildTable):
                    yield from _droppable(build_state(table), key, inner)
        elif value is not None:
            yield render_key((*outer, key))
