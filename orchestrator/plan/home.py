"""Where the results of images are kept until they are public, and remembered from then on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from orchestrator.oci.reference import Repository
from orchestrator.plan.image import Image
from orchestrator.plan.model import Destination, Home, LayoutHome, RegistryHome

STATE_FOLDER: Final = ".orchestrate/state"
"""Holds a layout for each image that is built without a registry; names of images are legal names of folders."""


def find_homes(images: Iterable[Image], destination: Destination, state: Repository | None) -> dict[str, Home]:
    """The homes of images: `state`, the one repository of `[state]`, else each one's own, else a layout."""
    return {image.name: _home(image, destination, state) for image in images}


def known_homes(homes: Mapping[str, Home], destination: Destination) -> dict[str, Home]:
    """Those that may hold results of earlier runs: what is to be pushed and has no repository stands nowhere."""
    return {
        name: home for name, home in homes.items() if isinstance(home, RegistryHome) or not destination.uses_registry
    }


def _home(image: Image, destination: Destination, state: Repository | None) -> Home:
    repository = state or image.repository
    if destination.uses_registry and repository:
        return RegistryHome(repository=repository)
    return LayoutHome(path=f"{STATE_FOLDER}/{image.name}")
