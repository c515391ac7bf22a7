"""Whether the names in `needs`, `contexts` and groups exist; answerable once matrices are expanded."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from orchestrator.config.findings import quote
from orchestrator.config.nearest import Nearest
from orchestrator.config.project import Project
from orchestrator.config.schema import BuildTable, CommonTable, ContextTable, TemplateTable
from orchestrator.diagnostics import Diagnostic, KeyPlace, Severity

IMAGE_PREFIX: Final = "image:"
"""What makes the value of a named context an image of this project."""

_TEMPLATE: Final = "{{"
_GLOB: Final = re.compile(r"[*?\[]")


def is_glob(text: str) -> bool:
    """Whether a name of a selection or a group is a pattern."""
    return bool(_GLOB.search(text))


class _Mention(NamedTuple):
    place: KeyPlace
    name: str
    is_data: bool  # the data of one image; otherwise an order, which a family can have as well


def check_names(
    project: Project, image_names: Collection[str], families: Mapping[str, tuple[str, ...]]
) -> tuple[Diagnostic, ...]:
    """What `needs`, `contexts` and groups name and nobody declares; one finding at each place where it is written.

    Names that are templates are left to the graph, which sees them rendered.

    Args:
        project: the declarations.
        image_names: of all images after expansion.
        families: from each image with a matrix to the names of its images.
    """
    names = frozenset(image_names)
    return (
        *_check_mentions(project, names, families),
        *_check_members(project, names, families),
        *_check_group_names(project, names),
    )


def _check_mentions(
    project: Project, names: frozenset[str], families: Mapping[str, tuple[str, ...]]
) -> Iterator[Diagnostic]:
    nearest = Nearest(sorted(names))
    for mention in _mentions(project):
        name = mention.name
        if name in names or _TEMPLATE in name or (name in families and not mention.is_data):
            continue
        if name in families:
            message = f"`{name}` is {len(families[name])} images, and a context is one"
            hints: tuple[str, ...] = (f"name one of them: {', '.join(f'`{one}`' for one in families[name][:5])}",)
        elif name in project.groups:
            message = f"`{name}` is a group, and an image is expected"
            hints = ("name the images themselves",)
        else:
            message = f"there is no image {quote(name)}"
            hints = nearest.hints(name)
        yield Diagnostic(code="unknown-image", message=message, place=mention.place, hints=hints)


def _mentions(project: Project) -> Iterator[_Mention]:
    for file, defaults in project.defaults.items():
        yield from _mentions_of_table(defaults, file, ("defaults",))
    for template in project.templates.values():
        yield from _mentions_of_table(template.table, template.file, ("templates", template.name))
    for image in project.images:
        yield from _mentions_of_table(image.table, image.file, ("images", image.name))


def _mentions_of_table(table: CommonTable, file: str, keys: tuple[str | int, ...]) -> Iterator[_Mention]:
    for position, name in enumerate(table.needs or ()):
        yield _Mention(KeyPlace(file=file, keys=(*keys, "needs", position)), name, is_data=False)
    if isinstance(table, TemplateTable) and table.extend:
        for position, name in enumerate(table.extend.needs or ()):
            yield _Mention(KeyPlace(file=file, keys=(*keys, "extend", "needs", position)), name, is_data=False)
    yield from _contexts(table, file, keys)
    for platform, overrides in (table.on or {}).items():
        yield from _contexts(overrides, file, (*keys, "on", platform))


def _contexts(table: BuildTable, file: str, keys: tuple[str | int, ...]) -> Iterator[_Mention]:
    for context, value in (table.contexts or {}).items():
        here = (*keys, "contexts", context)
        if isinstance(value, ContextTable):
            yield _Mention(KeyPlace(file=file, keys=(*here, "image")), value.image, is_data=True)
        elif value.startswith(IMAGE_PREFIX):
            yield _Mention(KeyPlace(file=file, keys=here), value.removeprefix(IMAGE_PREFIX), is_data=True)


def _check_members(
    project: Project, names: frozenset[str], families: Mapping[str, tuple[str, ...]]
) -> Iterator[Diagnostic]:
    selectable = names | families.keys()
    nearest = Nearest(sorted(selectable | project.groups.keys()))
    for group, members in project.groups.items():
        for position, member in enumerate(members):
            place = KeyPlace(file=project.group_files[group], keys=("groups", group, position))
            if member in selectable or member in project.groups:
                continue
            if not is_glob(member):
                yield Diagnostic(
                    code="unknown-image",
                    message=f"there is no image or group {quote(member)}",
                    place=place,
                    hints=nearest.hints(member),
                )
            elif not filter_names(member, selectable):
                yield Diagnostic(
                    code="empty-glob",
                    message=f"{quote(member)} matches no image",
                    severity=Severity.WARNING,
                    place=place,
                    hints=nearest.hints(member),
                )


def filter_names(glob: str, names: Iterable[str]) -> tuple[str, ...]:
    """Those of the names that the pattern matches, letter case respected."""
    match = re.compile(fnmatch.translate(glob)).match
    return tuple(name for name in names if match(name))


def _check_group_names(project: Project, names: frozenset[str]) -> Iterator[Diagnostic]:
    declared = {image.name for image in project.images}
    for group, file in project.group_files.items():
        if group in names and group not in declared:
            yield Diagnostic(
                code="duplicate-name",
                message=f"the group `{group}` has the name of an image that a matrix makes",
                place=KeyPlace(file=file, keys=("groups", group), on_key=True),
                hints=("rename the group",),
            )
