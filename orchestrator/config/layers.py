"""The layers of an image's attributes: defaults < templates < image < platform < environment < command line.

`layers_on` is that order, lowest first. Tables merge one level (`on`: platform by platform, then one level), any other
value replaces the one below; `unset` drops from what a layer inherits, `extend` appends to the inherited list.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from msgspec import UNSET, structs

from orchestrator.config.assign import Assignment, Origin, applying
from orchestrator.config.keys import ATTRIBUTES, BUILD_ATTRIBUTES, MERGED, canonical_platform
from orchestrator.config.merging import State, build_state, build_table, merge, merged, stacked
from orchestrator.config.project import DeclaredImage, Project, lineage
from orchestrator.config.schema import BuildTable, CommonTable, ImageTable, TemplateTable
from orchestrator.diagnostics import KeyPlace
from orchestrator.model import Model
from orchestrator.oci.platform import Platform

_ORIGINS: Final[tuple[Origin, ...]] = ("environment", "command line")
_OWN_FIELDS: Final = ("name", "matrix", "exclude", "inherits")
_NO_IMAGE: Final = ImageTable()


class Layer(Model):
    """One table of attributes and where it stands; `file` is None for the environment and the command line.

    `folder` is what its paths are relative to, itself relative to the root file's folder.
    """

    name: str
    table: BuildTable
    file: str | None
    folder: str
    keys: tuple[str | int, ...]


class Effective(Model):
    """What holds for an image: `table` is `layers`, lowest first, merged; `unset` and `extend` are gone from it."""

    image: DeclaredImage
    table: ImageTable
    layers: tuple[Layer, ...]


def effective(
    project: Project, image: DeclaredImage, assignments: tuple[Assignment, ...] = (), *, name: str | None = None
) -> Effective:
    """Merge the layers of an image, but for what `on` says for single platforms: see `on_platform`.

    Args:
        project: the declarations.
        image: one of its images.
        assignments: all of them; those whose pattern does not match are left out here.
        name: the image's name after expansion, where that is another than the declared one.
    """
    inherited, layers = _inherited(project, image.file, image.folder, tuple(image.table.inherits or ()))
    own = Layer(
        name=f"image {image.name}",
        table=image.table,
        file=image.file,
        folder=image.folder,
        keys=("images", image.name),
    )
    upper = (own, *_assigned(assignments, name or image.name, image.name)) if assignments else (own,)
    state = inherited
    for layer in upper:
        state = stacked(state, layer.table)
    for field in _OWN_FIELDS:
        state[field] = getattr(image.table, field)
    return Effective(image=image, table=structs.replace(_NO_IMAGE, **state), layers=(*layers, *upper))


def inherited_state(project: Project, image: DeclaredImage) -> State:
    """What an image inherits from `[defaults]` and templates; shared, so not to be changed."""
    return _inherited(project, image.file, image.folder, tuple(image.table.inherits or ()))[0]


@lru_cache(maxsize=1024)
def _inherited(project: Project, file: str, folder: str, inherits: tuple[str, ...]) -> tuple[State, tuple[Layer, ...]]:
    layers = (
        Layer(name="defaults", table=project.defaults[file], file=file, folder=folder, keys=("defaults",)),
        *(
            Layer(
                name=f"template {template.name}",
                table=template.table,
                file=template.file,
                folder=template.folder,
                keys=("templates", template.name),
            )
            for template in lineage(project.templates, inherits)
        ),
    )
    state: State = {}
    for layer in layers:
        state = stacked(state, layer.table)
    return state, layers


def _assigned(assignments: tuple[Assignment, ...], *names: str) -> Iterator[Layer]:
    mine = applying(assignments, *names)
    for origin in _ORIGINS:
        tables = [assignment.table for assignment in mine if assignment.origin == origin]
        if tables:
            yield Layer(name=origin, table=merge(*tables), file=None, folder="", keys=())


def layers_on(effective: Effective, platform: Platform) -> tuple[Layer, ...]:
    """All layers for one platform of an image, lowest first: this is the precedence."""
    written = tuple(layer for layer in effective.layers if layer.file is not None)  # defaults, templates, image
    assigned = tuple(layer for layer in effective.layers if layer.file is None)  # environment, command line
    return (
        *written,
        *(overrides for layer in written for overrides in _overrides(layer, platform)),
        *(one for layer in assigned for one in (layer, *_overrides(layer, platform))),
    )


def _overrides(layer: Layer, platform: Platform) -> Iterator[Layer]:
    on = layer.table.on if isinstance(layer.table, CommonTable) else UNSET
    for text, table in (on or {}).items():
        if canonical_platform(text) == str(platform):
            yield Layer(
                name=f'on."{platform}"',
                table=table,
                file=layer.file,
                folder=layer.folder,
                keys=(*layer.keys, "on", text),
            )


def on_platform(effective: Effective, platform: Platform) -> BuildTable:
    """The build attributes of an image for one platform.

    `effective.table` has all but the platform's layers. Merging those, and again the assignments that win over them,
    gives the same as merging `layers_on` from the bottom.
    """
    state = build_state(effective.table)
    overrides = (effective.table.on or {}).get(str(platform))
    if overrides is not None:
        state = merged(state, overrides)
        for layer in effective.layers:
            if layer.file is None:
                for one in (layer, *_overrides(layer, platform)):
                    state = merged(state, one.table)
    return build_table(state)


def place_of(effective: Effective, keys: tuple[str | int, ...], *, platform: Platform | None = None) -> KeyPlace:
    """Where an effective value was written.

    Args:
        effective: the image's attributes.
        keys: as in TOML, positions as in the effective list: `("args", "GO_VERSION")`, `("tags", 2)`.
        platform: the value is that of `on_platform` for this platform.

    Returns:
        The place; the image's own table where the value is from the environment or the command line, or from nowhere.
    """
    image = effective.image
    if keys[0] not in ATTRIBUTES:  # `name`, `matrix` and the like, which no other layer has
        return KeyPlace(file=image.file, keys=("images", image.name, *keys))
    origin = _origin(effective, keys, platform)
    file = None if origin is None else origin[0].file
    if origin is None or file is None:
        return KeyPlace(file=image.file, keys=("images", image.name), on_key=True)
    layer, inner = origin
    return KeyPlace(file=file, keys=(*layer.keys, *inner))


def folder_of(effective: Effective, keys: tuple[str | int, ...], *, platform: Platform | None = None) -> str:
    """The folder that a path in an effective value is relative to: that of the file in which the value is written.

    What nobody wrote, such as the context that is called like the image, is relative to the image's file; an assignment
    is relative to the root file.
    """
    own = effective.image.folder
    if all(layer.folder == own for layer in effective.layers):  # whoever wrote it; the usual case
        return own
    origin = _origin(effective, keys, platform) if keys[0] in ATTRIBUTES else None
    return own if origin is None else origin[0].folder


def _origin(
    effective: Effective, keys: tuple[str | int, ...], platform: Platform | None
) -> tuple[Layer, tuple[str | int, ...]] | None:
    """The uppermost layer that wrote the value, and the keys within it."""
    field = ATTRIBUTES[str(keys[0])]
    if keys[0] not in BUILD_ATTRIBUTES:
        platform = None
    value = getattr(effective.table if platform is None else on_platform(effective, platform), field)
    length = len(value) if isinstance(value, list) else 0
    overrides = None if platform is None else (effective.table.on or {}).get(str(platform))
    for layer in reversed(effective.layers if platform is None else layers_on(effective, platform)):
        is_override = not isinstance(layer.table, CommonTable)
        # What an upper layer dropped with `unset` still stands in the layer that wrote it, but not in `overrides`.
        if is_override and (overrides is None or _written(overrides, keys) is None):
            continue
        inner = _written(layer.table, keys)
        if inner is not None:
            return layer, inner
        appended = _appended(layer.table, field)
        if appended:
            inner = _written_in_extension(keys, length, appended)
            if inner is not None:
                return layer, inner
            length -= appended
    return None


def _written(table: BuildTable, keys: tuple[str | int, ...]) -> tuple[str | int, ...] | None:
    """The keys as they are spelled in `table`; None where it says nothing about them."""
    field = ATTRIBUTES[str(keys[0])]
    value = getattr(table, field, UNSET)
    if value is UNSET:
        return None
    if len(keys) == 1 or not isinstance(value, dict):
        return keys
    if field in MERGED:
        return keys if keys[1] in value else None
    for text, overrides in value.items():
        if canonical_platform(text) == canonical_platform(str(keys[1])):
            inner = _written(overrides, keys[2:]) if len(keys) > 2 else ()  # noqa: PLR2004 - on, platform, attribute
            if inner is not None:
                return ("on", text, *inner)
    return None


def _appended(table: BuildTable, field: str) -> int:
    if not isinstance(table, TemplateTable) or not table.extend:
        return 0
    values = getattr(table.extend, field, UNSET)
    return len(values) if isinstance(values, list) else 0


def _written_in_extension(keys: tuple[str | int, ...], length: int, appended: int) -> tuple[str | int, ...] | None:
    if len(keys) == 1:
        return ("extend", *keys)
    position = keys[1]
    if not isinstance(position, int) or position < length - appended:
        return None
    return ("extend", keys[0], position - (length - appended), *keys[2:])
