"""The rules of versions that a project declares, for the probe to read what they need and the expansion to follow."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import TypeAlias

from msgspec import UNSET, UnsetType

from orchestrator.config.assign import Assignment
from orchestrator.config.project import Project
from orchestrator.config.schema import VersionTable
from orchestrator.tags.errors import TemplateError
from orchestrator.tags.version import VersionRule, parse_rule

Declaration: TypeAlias = str | VersionTable


def version_rules(project: Project, assignments: tuple[Assignment, ...] = ()) -> Iterator[VersionRule]:
    """Every version that is declared anywhere; illegal ones are left out."""
    root = project.root.version
    if root is not UNSET:
        yield from _legal(root, "", UNSET)
    folders = {file.path: file.folder for file in project.files}
    tables = (
        *((image.folder, image.table) for image in project.images),
        *((template.folder, template.table) for template in project.templates.values()),
        *((folders[file], defaults) for file, defaults in project.defaults.items()),
        *(("", assignment.table) for assignment in assignments),
    )
    for folder, table in tables:
        if table.version is not UNSET:
            yield from _legal(table.version, folder, root)


def _legal(table: Declaration, folder: str, base: Declaration | UnsetType) -> Iterator[VersionRule]:
    try:
        yield version_rule(table, folder, base)
    except TemplateError:
        return


def version_rule(table: Declaration, folder: str, base: Declaration | UnsetType) -> VersionRule:
    """The rule of a version table.

    Args:
        table: as it is written.
        folder: what its file is relative to.
        base: the project's own, from which a table that names no source takes what it does not say.

    Raises:
        TemplateError: its keys contradict each other.
    """
    if isinstance(table, str):
        return parse_rule(value=table)
    if not table.source and not table.value:
        table, folder = _completed(table, VersionTable(value=base) if isinstance(base, str) else base), ""
    source = table.source or ""
    if source.startswith("file:"):
        source = "file:" + posixpath.normpath(posixpath.join(folder, source.removeprefix("file:")))
    return parse_rule(source=source, value=table.value or "", match=table.match or "", fallback=table.fallback or None)


def _completed(table: VersionTable, base: VersionTable | UnsetType) -> VersionTable:
    """A glob of tags alone means git, whatever the project's version comes from."""
    base = base or VersionTable()
    if table.match:
        return VersionTable(source="git-tag", match=table.match, fallback=table.fallback or base.fallback)
    return VersionTable(
        source=base.source, value=base.value, match=base.match, fallback=table.fallback or base.fallback
    )
