"""`Image`: what is declared, after matrix, inheritance and templates."""

from __future__ import annotations

from typing import TypeAlias

from orchestrator.api.solve import BuildOptions
from orchestrator.config.layers import Effective, place_of
from orchestrator.diagnostics import KeyPlace
from orchestrator.model import Model
from orchestrator.oci.platform import Platform
from orchestrator.oci.reference import Reference, Repository


class ImageContext(Model, tag="image"):
    """A named context that is another image; with `platform`, its data of that platform for every platform."""

    image: str
    platform: Platform | None = None


class LocalContext(Model, tag="local"):
    """A named context that is a folder, relative to the repository root."""

    path: str


class RemoteContext(Model, tag="remote"):
    """A named context that BuildKit reads itself: a URL, `docker-image://` or `oci-layout://`."""

    value: str


ContextSource: TypeAlias = ImageContext | LocalContext | RemoteContext


class DeclaredContext(Model):
    """A named context as declared: `name` as written, `key` as BuildKit looks it up."""

    name: str
    key: str
    source: ContextSource


class Variant(Model):
    """What is declared for one platform of an image."""

    platform: Platform
    options: BuildOptions
    contexts: tuple[DeclaredContext, ...] = ()


class Tag(Model):
    """A tag to be put. `reference` is None where no registry is known; then `name` is all there is."""

    name: str
    moving: bool
    position: int
    reference: Reference | None = None


class PlatformTest(Model):
    """A command that must succeed in the image on these platforms."""

    run: tuple[str, ...]
    platforms: tuple[Platform, ...]


class Image(Model):
    """One image. `family` is the name it was declared under: a matrix gives several images of one family."""

    name: str
    family: str
    variants: tuple[Variant, ...]
    effective: Effective
    repository: Repository | None = None
    tags: tuple[Tag, ...] = ()
    annotations: tuple[tuple[str, str], ...] = ()
    version: str | None = None
    publish: bool = True
    needs: tuple[str, ...] = ()
    infer: bool = True
    test: PlatformTest | None = None
    timeout: float | None = None
    retries: int = 2
    backend: str | None = None
    description: str = ""

    @property
    def platforms(self) -> tuple[Platform, ...]:
        """The declared platforms, in their order."""
        return tuple(variant.platform for variant in self.variants)

    def place(self, *keys: str | int, platform: Platform | None = None) -> KeyPlace:
        """Where the value of an attribute was written, or that of one platform."""
        return place_of(self.effective, keys, platform=platform)


def build_id(image: str, platform: Platform) -> str:
    """The name of a platform build: `api@linux/arm64`."""
    return f"{image}@{platform}"
