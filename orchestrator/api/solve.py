"""A solve: one request to BuildKit, for the platforms of one image that differ in nothing but the platform."""

from __future__ import annotations

from enum import Enum
from typing import Final, TypeAlias

from orchestrator.api.invocation import StepId, Word
from orchestrator.model import Model
from orchestrator.oci.platform import Platform
from orchestrator.oci.reference import Reference

_FETCHED: Final = ("https://", "http://", "git://", "ssh://", "git@")


def is_remote(path: str) -> bool:
    """Whether a context is fetched by BuildKit rather than read from this machine's disk.

    A closed list, to the letter: buildx takes every scheme that it does not know for a path on disk.
    """
    return path.startswith(_FETCHED)


class BuildArg(Model):
    """A build arg or a label; a volatile one is not part of the input digest."""

    name: str
    value: str
    volatile: bool = False


class Secret(Model):
    """A secret by name: where BuildKit's client reads the value, never the value."""

    id: str
    env: str = ""
    src: str = ""


class SshAgent(Model):
    """An SSH agent or keys, by id."""

    id: str
    paths: tuple[str, ...] = ()


class Cache(Model):
    """A cache to import or export: a type and its attributes, in their order."""

    type: str
    attributes: tuple[tuple[str, str], ...] = ()


class NetworkMode(Enum):
    """The network of `RUN`."""

    DEFAULT = "default"
    NONE = "none"
    HOST = "host"


class Provenance(Enum):
    """How much the provenance attestation says."""

    OFF = "off"
    MIN = "min"
    MAX = "max"


class BuildOptions(Model):
    """What is declared for one platform build, rendered; paths are relative to the repository root."""

    context: str
    dockerfile: str
    dockerfile_inline: str | None = None
    target: str = ""
    args: tuple[BuildArg, ...] = ()
    labels: tuple[BuildArg, ...] = ()
    secrets: tuple[Secret, ...] = ()
    ssh: tuple[SshAgent, ...] = ()
    cache_from: tuple[Cache, ...] = ()
    cache_to: tuple[Cache, ...] = ()
    no_cache: bool = False
    no_cache_filter: tuple[str, ...] = ()
    pull: bool = False
    network: NetworkMode = NetworkMode.DEFAULT
    entitlements: tuple[str, ...] = ()
    extra_hosts: tuple[tuple[str, str], ...] = ()
    shm_size: str = ""
    ulimits: tuple[str, ...] = ()
    provenance: Provenance = Provenance.MIN
    sbom: bool = False


class NamedContext(Model):
    """A named context as BuildKit gets it: `docker-image://…`, `oci-layout://…`, a folder or a URL."""

    name: str
    value: Word


class SourcePin(Model):
    """Replaces a source in BuildKit's source policy (CONVERT), where a stage of that name forbids a named context."""

    source: str
    value: Word


class PushOutput(Model, tag="push"):
    """Push the index under a private tag."""

    reference: Reference


class LayoutOutput(Model, tag="layout"):
    """Write an OCI layout into a fresh folder of the run, at `PathOf(name)`."""

    name: str


class NoOutput(Model, tag="none"):
    """Keep nothing: all that counts is whether it succeeds, as for a test."""


Output: TypeAlias = PushOutput | LayoutOutput | NoOutput


class Solve(Model):
    """One request to BuildKit."""

    id: StepId
    image: str
    platforms: tuple[Platform, ...]
    options: BuildOptions
    output: Output
    contexts: tuple[NamedContext, ...] = ()
    pins: tuple[SourcePin, ...] = ()
    timeout: float | None = None
    retries: int = 2
