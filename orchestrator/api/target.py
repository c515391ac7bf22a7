"""A target of a bake file: what one solve builds, by a name under which other targets of the file take it."""

from __future__ import annotations

from typing import Final

from orchestrator.api.invocation import Word
from orchestrator.api.solve import BuildOptions, Output, is_remote
from orchestrator.model import Model
from orchestrator.oci.platform import Platform
from orchestrator.oci.reference import familiar, parse_reference

LINK: Final = "target:"
_SCHEMES: Final = ("docker-image://", "oci-layout://")


class TargetContext(Model):
    """A named context, called as BuildKit looks it up; the value `target:NAME` is another target of the file."""

    name: str
    value: Word

    @property
    def target(self) -> str:
        """The target of the file that makes it; empty where it is something else."""
        is_link = isinstance(self.value, str) and self.value.startswith(LINK)
        return str(self.value).removeprefix(LINK) if is_link else ""


def target_context(name: str, value: Word) -> TargetContext:
    """A context of a solve as bake takes it: what `buildx build` does with a name, bake leaves to whoever writes it.

    A folder is never one of bake's schemes, whatever it is called.
    """
    if isinstance(value, str) and ":" in value and not is_remote(value):
        is_folder = not value.startswith((*_SCHEMES, "/", "./", "../"))
        value = f"./{value}" if is_folder else value
    return TargetContext(name=familiar(parse_reference(name)), value=value)


def linked_context(name: str, target: str) -> TargetContext:
    """A context that another target of the file makes."""
    return TargetContext(name=familiar(parse_reference(name)), value=LINK + target)


class Target(Model):
    """Some platforms of one image. `annotations` are the index's.

    What leaves the builder is what `output` says; without one it gets its `tags`, and without these stays there.
    """

    name: str
    image: str
    platforms: tuple[Platform, ...]
    options: BuildOptions
    contexts: tuple[TargetContext, ...] = ()
    tags: tuple[str, ...] = ()
    output: Output | None = None
    annotations: tuple[tuple[str, str], ...] = ()
    description: str = ""
