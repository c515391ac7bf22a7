"""What a command line selects: images by name, glob, group or family, and platforms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from orchestrator.config.cycles import find_cycles
from orchestrator.config.names import filter_names, is_glob
from orchestrator.config.nearest import Nearest
from orchestrator.config.project import DEFAULT_GROUP
from orchestrator.diagnostics import Diagnostic
from orchestrator.errors import UsageError
from orchestrator.oci.platform import Platform, parse_platform


def select(
    names: tuple[str, ...],
    images: tuple[str, ...],
    families: Mapping[str, tuple[str, ...]],
    groups: Mapping[str, tuple[str, ...]],
) -> tuple[tuple[str, ...], tuple[Diagnostic, ...]]:
    """The images that `names` select, each once, in declaration order.

    A name is an image, else a family, else a group, else a glob over images and families. What is wrong inside of
    groups is `names.check_names`' to say, but for what makes the selection meaningless.

    Args:
        names: from the command line; none means the group `default`, and without one all images.
        images: all images after expansion, in declaration order.
        families: from each image with a matrix to the names of its images.
        groups: their members: images, families, groups and globs.
    """
    asked = names or ((DEFAULT_GROUP,) if DEFAULT_GROUP in groups else images)
    findings: list[Diagnostic] = []
    chosen: set[str] = set()
    catalogue = _Catalogue(images=frozenset(images), families=families, groups=groups)
    nearest = Nearest((*images, *families, *groups))
    for name in asked:
        selected = _expand(name, catalogue)
        chosen |= selected
        if not selected:
            findings.append(_nothing(name, catalogue, nearest))
    findings.extend(
        Diagnostic(
            code="group-cycle",
            message=f"groups contain each other in a circle: `{' -> '.join(path)}`",
            hints=(f"take `{path[-1]}` out of the group `{path[-2]}`",),
        )
        for path in find_cycles(groups)
    )
    return tuple(image for image in images if image in chosen), tuple(findings)


class _Catalogue(NamedTuple):
    images: frozenset[str]
    families: Mapping[str, tuple[str, ...]]
    groups: Mapping[str, tuple[str, ...]]


def _expand(name: str, catalogue: _Catalogue) -> set[str]:
    chosen: set[str] = set()
    seen: set[str] = set()
    pending = [name]
    while pending:
        current = pending.pop()
        if current in seen:
            continue
        seen.add(current)
        if current in catalogue.images:
            chosen.add(current)
        elif current in catalogue.families:
            chosen.update(catalogue.families[current])
        elif current in catalogue.groups:
            pending.extend(catalogue.groups[current])
        elif is_glob(current):
            chosen.update(filter_names(current, catalogue.images))
            pending.extend(filter_names(current, catalogue.families))
    return chosen


def _nothing(name: str, catalogue: _Catalogue, nearest: Nearest) -> Diagnostic:
    if name in catalogue.groups or name in catalogue.families:
        kind = "group" if name in catalogue.groups else "family"
        return Diagnostic(
            code="empty-selection",
            message=f"the {kind} `{name}` has no image in it",
            hints=("name images, or `'*'` for all",),
        )
    groups = filter_names(name, catalogue.groups) if is_glob(name) else ()
    if is_glob(name):
        hints = tuple(f"a glob matches images: name the group `{group}` itself" for group in groups[:1])
        return Diagnostic(code="empty-glob", message=f"`{name}` matches no image", hints=hints or nearest.hints(name))
    image, at, _platform = name.partition("@")
    hints = (f"select `{image}` and its platform with `--platform`",) if at else nearest.hints(name)
    return Diagnostic(code="unknown-image", message=f"there is no image or group `{name}`", hints=hints)


def parse_platform_options(texts: tuple[str, ...]) -> tuple[Platform, ...]:
    """The platforms of `--platform`, which may be repeated and may hold several with commas; each once, as given.

    Raises:
        UsageError: one of them is no platform.
    """
    platforms: dict[Platform, None] = {}
    for part in (part.strip() for text in texts for part in text.split(",")):
        try:
            platforms[parse_platform(part)] = None
        except ValueError as error:
            msg = f"`--platform`: {error}"
            raise UsageError(msg, hints=("write it as `--platform linux/amd64,linux/arm64`",)) from error
    return tuple(platforms)
