"""A target of a bake file: what one solve builds, by a name under which other targets of the file take it."""

from __future__ import annotations

from orchestrator.api.solve import BuildOptions
from orchestrator.model import Model
from orchestrator.oci.platform import Platform


class TargetContext(Model):
    """A named context, called as BuildKit looks it up; the value `target:NAME` is another target of the file."""

    name: str
    value: str


class Target(Model):
    """Some platforms of one image. Without `tags` nothing of it leaves the builder; `annotations` are the index's."""

    name: str
    image: str
    platforms: tuple[Platform, ...]
    options: BuildOptions
    contexts: tuple[TargetContext, ...] = ()
    tags: tuple[str, ...] = ()
    annotations: tuple[tuple[str, str], ...] = ()
    description: str = ""
