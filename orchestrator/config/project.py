"""`Project`: the root `builds.toml` and the files that it includes, as one value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, TypeVar

from msgspec import UNSET, structs

from orchestrator.config.cycles import find_cycles
from orchestrator.config.findings import quote
from orchestrator.config.nearest import Nearest
from orchestrator.config.schema import (
    BuildFile,
    CommonTable,
    ImageTable,
    IncludedFile,
    Scalar,
    TemplateTable,
    VarTable,
)
from orchestrator.diagnostics import Diagnostic, KeyPlace, Severity
from orchestrator.model import Model

DEFAULT_GROUP: Final = "default"
"""The group that a bare command takes."""

LINEAGE_LIMIT: Final = 100
"""The most templates that one image may inherit, theirs included; keeps the cost per image bounded."""

_APART: Final = (("images",), ("groups",), ("backends",), ("state",))
"""The tables of which a mistake says nothing about any other image."""

_T = TypeVar("_T")


class SourceFile(Model):
    """One file of the project.

    `path` is posix and relative to the root file's folder, as the user is shown it; `folder` is what the paths in the
    file are relative to, posix and relative to the root file's folder: empty for the root file.
    """

    path: str
    folder: str
    text: str


class DeclaredImage(Model):
    """An image as it is written, before inheritance and matrix."""

    name: str
    table: ImageTable
    file: str
    folder: str


class DeclaredTemplate(Model):
    """A template as it is written."""

    name: str
    table: TemplateTable
    file: str
    folder: str


class Project(Model, eq=False):
    """Everything that the files of the project declare; of two things with one name the first is kept.

    Images stand in declaration order: the root file's, then those of the included files in the order of their paths.
    `defaults` is by file, because each file's are for its own images alone. Compared by identity, so that what is
    computed from a project can be remembered by it.
    """

    name: str
    root: BuildFile
    files: tuple[SourceFile, ...]
    images: tuple[DeclaredImage, ...]
    templates: Mapping[str, DeclaredTemplate]
    groups: Mapping[str, tuple[str, ...]]
    group_files: Mapping[str, str]
    vars: Mapping[str, Scalar | VarTable]
    var_files: Mapping[str, str]
    defaults: Mapping[str, CommonTable]


def join(
    root: SourceFile,
    root_table: BuildFile,
    included: tuple[tuple[SourceFile, IncludedFile], ...],
    *,
    folder_name: str = "project",
) -> tuple[Project, tuple[Diagnostic, ...]]:
    """Join the root file and what it includes; the order of `included` does not matter.

    Args:
        root: the root file.
        root_table: what it says.
        included: the files that it includes, and what they say.
        folder_name: the name of the project unless the root file says one.

    Returns:
        The project, and what is wrong between its files and in `inherits` and groups. `variables.resolve_vars`,
        `overrides.check_overrides` and, after the expansion of matrices, `names.check_names` find the rest.
    """
    files = ((root, root_table), *sorted(included, key=lambda pair: pair[0].path))
    images, same_images = _unite([(file, table.images) for file, table in files], "image")
    templates, same_templates = _unite([(file, table.templates) for file, table in files], "template")
    groups, same_groups = _unite([(file, table.groups) for file, table in files], "group")
    variables, same_vars = _unite([(file, table.vars) for file, table in files], "var")
    project = Project(
        name=folder_name if root_table.project.name is UNSET else root_table.project.name,
        root=root_table,
        files=tuple(file for file, _ in files),
        images=tuple(
            DeclaredImage(name=name, table=table, file=file.path, folder=file.folder)
            for name, (file, table) in images.items()
        ),
        templates={
            name: DeclaredTemplate(name=name, table=table, file=file.path, folder=file.folder)
            for name, (file, table) in templates.items()
        },
        groups={name: tuple(members) for name, (_, members) in groups.items()},
        group_files={name: file.path for name, (file, _) in groups.items()},
        vars={name: value for name, (_, value) in variables.items()},
        var_files={name: file.path for name, (file, _) in variables.items()},
        defaults={file.path: table.defaults for file, table in files},
    )
    return project, (
        *same_images,
        *same_templates,
        *same_groups,
        *same_vars,
        *_check_reserved(project),
        *_check_inherits(project),
        *_check_group_cycles(project),
    )


def without_broken_images(project: Project, findings: tuple[Diagnostic, ...]) -> Project | None:
    """The project without the images whose tables have errors; None where an error is in what all images share."""
    broken: set[tuple[str, str]] = set()
    for finding in findings:
        if finding.severity is not Severity.ERROR:
            continue
        place = finding.place
        if not isinstance(place, KeyPlace) or place.keys[:1] not in _APART:
            return None
        for one in (place, *finding.related):
            if isinstance(one, KeyPlace) and one.keys[:1] == ("images",) and len(one.keys) > 1:
                broken.add((one.file, str(one.keys[1])))
    images = tuple(image for image in project.images if (image.file, image.name) not in broken)
    return structs.replace(project, images=images)


def lineage(templates: Mapping[str, DeclaredTemplate], inherits: tuple[str, ...]) -> tuple[DeclaredTemplate, ...]:
    """The templates that `inherits` stands for, lowest first: bases before those that name them, each once.

    Unknown names and the closing edge of a cycle are skipped, and where there are more than `LINEAGE_LIMIT` it is cut
    off there, in any order: `join` reports all three.
    """
    placed: dict[str, DeclaredTemplate] = {}
    entered: set[str] = set()
    stack = [(name, False) for name in reversed(inherits)]
    while stack:
        if len(entered) > LINEAGE_LIMIT:
            return tuple(templates[name] for name in sorted(entered))
        name, bases_are_placed = stack.pop()
        template = templates.get(name)
        if template is None:
            continue
        if bases_are_placed:
            placed[name] = template
        elif name not in entered:
            entered.add(name)
            stack.append((name, True))
            stack.extend((base, False) for base in reversed(template.table.inherits or ()))
    return tuple(placed.values())


def _unite(
    files: list[tuple[SourceFile, dict[str, _T]]], kind: str
) -> tuple[dict[str, tuple[SourceFile, _T]], list[Diagnostic]]:
    united: dict[str, tuple[SourceFile, _T]] = {}
    findings: list[Diagnostic] = []
    for file, entries in files:
        for name, value in entries.items():
            if name not in united:
                united[name] = (file, value)
                continue
            first = united[name][0].path
            findings.append(
                Diagnostic(
                    code="duplicate-name",
                    message=f"two files declare the {kind} `{name}`: `{first}` and `{file.path}`",
                    place=KeyPlace(file=file.path, keys=(f"{kind}s", name), on_key=True),
                    related=(KeyPlace(file=first, keys=(f"{kind}s", name), on_key=True),),
                    hints=("rename one of them: names are shared by all files of a project",),
                )
            )
    return united, findings


def _check_reserved(project: Project) -> Iterator[Diagnostic]:
    root = project.files[0].path
    for image in project.images:
        here = KeyPlace(file=image.file, keys=("images", image.name), on_key=True)
        if image.name == DEFAULT_GROUP:
            yield Diagnostic(
                code="reserved-name",
                message="an image cannot be called `default`: that is the group that a bare command takes",
                place=here,
                hints=("rename the image",),
            )
        elif image.name in project.groups:
            file = project.group_files[image.name]
            yield Diagnostic(
                code="duplicate-name",
                message=f"the group `{image.name}` has the name of an image",
                place=KeyPlace(file=file, keys=("groups", image.name), on_key=True),
                related=(here,),
                hints=("rename the group; an image with a matrix is already a group of all its images",),
            )
    default_file = project.group_files.get(DEFAULT_GROUP, root)
    if default_file != root:
        yield Diagnostic(
            code="reserved-name",
            message="only the root file has a group `default`: it is what a bare command takes",
            place=KeyPlace(file=default_file, keys=("groups", DEFAULT_GROUP), on_key=True),
            hints=(f"rename it, and name it in the group `default` of `{root}`",),
        )


def _check_inherits(project: Project) -> Iterator[Diagnostic]:
    nearest = Nearest(project.templates)
    lengths: dict[tuple[str, ...], int] = {}
    for section, declared in _inheritors(project):
        inherits = tuple(declared.table.inherits or ())
        for position, name in enumerate(inherits):
            if name not in project.templates:
                yield Diagnostic(
                    code="unknown-template",
                    message=f"there is no template {quote(name)}",
                    place=KeyPlace(file=declared.file, keys=(section, declared.name, "inherits", position)),
                    hints=nearest.hints(name),
                )
        if inherits not in lengths:
            lengths[inherits] = len(lineage(project.templates, inherits))
        if lengths[inherits] > LINEAGE_LIMIT:
            yield Diagnostic(
                code="too-many-templates",
                message=f"`{declared.name}` inherits more than {LINEAGE_LIMIT} templates, theirs included",
                place=KeyPlace(file=declared.file, keys=(section, declared.name, "inherits")),
                hints=("join some of the templates",),
            )
    edges = {name: tuple(template.table.inherits or ()) for name, template in project.templates.items()}
    for path in find_cycles(edges):
        last = path[-2]
        yield Diagnostic(
            code="inherits-cycle",
            message=f"templates inherit each other in a circle: `{' -> '.join(path)}`",
            place=KeyPlace(
                file=project.templates[last].file, keys=("templates", last, "inherits", edges[last].index(path[-1]))
            ),
            hints=(f"take `{path[-1]}` out of the `inherits` of `{last}`",),
        )


def _inheritors(project: Project) -> Iterator[tuple[str, DeclaredImage | DeclaredTemplate]]:
    for template in project.templates.values():
        if template.table.inherits:
            yield "templates", template
    for image in project.images:
        if image.table.inherits:
            yield "images", image


def _check_group_cycles(project: Project) -> Iterator[Diagnostic]:
    for path in find_cycles(project.groups):
        last = path[-2]
        yield Diagnostic(
            code="group-cycle",
            message=f"groups contain each other in a circle: `{' -> '.join(path)}`",
            place=KeyPlace(
                file=project.group_files[last],
                keys=("groups", last, project.groups[last].index(path[-1])),
            ),
            hints=(f"take `{path[-1]}` out of the group `{last}`",),
        )
