"""Volatile args and labels: not part of any input digest, so what is taken over keeps their old values."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from orchestrator.api.solve import BuildOptions
from orchestrator.plan.image import Image
from orchestrator.plan.model import Action, PlatformBuild, Reason

_ASKED_FOR = Reason(code="forced", message="asked for")


def volatile_names(options: BuildOptions) -> tuple[str, ...]:
    """What a build has volatile values of: `label revision`, `arg BUILD_DATE`; never the values."""
    labels = (f"label {label.name}" for label in options.labels if label.volatile)
    args = (f"arg {arg.name}" for arg in options.args if arg.volatile)
    return tuple(dict.fromkeys((*labels, *args)))


def kept_names(builds: Iterable[PlatformBuild]) -> tuple[str, ...]:
    """What keeps the values of an earlier build, among all that is volatile in these."""
    kept = (name for build in builds if build.action is Action.REUSE for name in build.volatile)
    return tuple(dict.fromkeys(kept))


def kept_by_image(builds: Iterable[PlatformBuild]) -> dict[str, tuple[str, ...]]:
    """The same, by image."""
    by_image: dict[str, list[PlatformBuild]] = {}
    for build in builds:
        by_image.setdefault(build.image, []).append(build)
    return {image: kept_names(several) for image, several in by_image.items()}


def forced_all(selection: Iterable[str]) -> dict[str, Reason]:
    """Why each selected image is built though it stands: `--force`."""
    return dict.fromkeys(selection, _ASKED_FOR)


def forced_volatile(images: Iterable[Image], selection: Collection[str]) -> dict[str, Reason]:
    """Why each selected image with volatile values is built though it stands: `--fresh-volatile`."""
    return {
        image.name: Reason(code="forced", message=f"volatile values asked for anew: {', '.join(names)}", items=names)
        for image in images
        if image.name in selection and (names := _names(image))
    }


def _names(image: Image) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for variant in image.variants for name in volatile_names(variant.options)))
