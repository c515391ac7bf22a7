"""The input manifest of a platform build: all that decides its result, and the input digest over it (design 4).

Not in it: tags, caches, nodes, time limits, volatile args and labels, and whatever only says how to build.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Final

import msgspec

from orchestrator.api.solve import BuildArg, BuildOptions
from orchestrator.model import Model
from orchestrator.oci.digest import Digest, digest_bytes
from orchestrator.oci.platform import Platform

INPUT_FORMAT: Final = 1
UNKNOWN: Final = "unknown"
"""Stands for what could not be found out, such as the digest of a base while nobody may be asked."""
MAIN_CONTEXT: Final = ""
FRONTEND: Final = "# syntax"
"""Stands among images for the one that reads the Dockerfile; no image can be called so."""
UNREAD: Final = "FROM"
"""Stands among images for those of a Dockerfile that cannot be read here; no image can be called so."""

Entries = tuple[tuple[str, str], ...]
"""Names and values, sorted by name."""


class InputManifest(Model, dict=True):
    """What one platform build is made from; equal manifests make equal images, as far as a Dockerfile can promise.

    `dockerfile` is the digest of its bytes, or its path where it lies in a remote context. `contexts` are local folders
    by the digest of their listing ("" is the main one) and remote ones by what was declared, each only where the build
    can see something of it; `images` are external ones by the digest of their index; `parents` are the input digests
    of images of this project by the name that the Dockerfile uses. `build_platform` is empty where nothing depends on
    it. What is not known is UNKNOWN.
    """

    platform: str
    dockerfile: str
    target: str = ""
    args: Entries = ()
    labels: Entries = ()
    contexts: Entries = ()
    images: Entries = ()
    parents: Entries = ()
    secrets: tuple[str, ...] = ()
    ssh: tuple[str, ...] = ()
    build_platform: str = ""
    options: Entries = ()
    format: int = INPUT_FORMAT

    @cached_property
    def content(self) -> bytes:
        """Its canonical JSON."""
        return _ENCODER.encode(self)

    @cached_property
    def digest(self) -> Digest:
        """The input digest."""
        return digest_bytes(self.content)

    @property
    def unknown(self) -> tuple[str, ...]:
        """What could not be found out; while there is something, nothing may be reused."""
        lone = (("Dockerfile", self.dockerfile), ("the platform that builds", self.build_platform))
        named = (*self.contexts, *self.images, *self.parents)
        return tuple(name or "the context" for name, value in (*named, *lone) if value == UNKNOWN)


def begin_manifest(
    options: BuildOptions,
    *,
    dockerfile: str | None,
    contexts: Mapping[str, str | None],
    images: Mapping[str, Digest | None],
) -> InputManifest:
    """What is the same for all platforms that see the same; independent of every order. A value of None is not known.

    Where an arg or a label is said twice the last one counts, as in BuildKit.
    """
    return InputManifest(
        platform="",
        dockerfile=_value(dockerfile),
        target=options.target,
        args=_fixed(options.args),
        labels=_fixed(options.labels),
        contexts=_values(contexts),
        images=_values(images),
        secrets=tuple(sorted(secret.id for secret in options.secrets)),
        ssh=tuple(sorted(agent.id for agent in options.ssh)),
        options=_entries(_options(options)),
    )


def complete_manifest(
    begun: InputManifest,
    platform: Platform,
    *,
    parents: Mapping[str, Digest | None],
    images: Mapping[str, Digest | None],
    build_platform: str | None,
) -> InputManifest:
    """The input manifest of one platform; `images` come on top of those that it was begun with."""
    return msgspec.structs.replace(
        begun,
        platform=str(platform),
        parents=_values(parents),
        images=_values({**dict(begun.images), **images}) if images else begun.images,
        build_platform=_value(build_platform),
    )


_ENCODER: Final = msgspec.json.Encoder(order="sorted")


def _value(value: str | None) -> str:
    return UNKNOWN if value is None else value


def _values(values: Mapping[str, str | None]) -> Entries:
    return tuple(sorted((name, _value(value)) for name, value in values.items()))


def _fixed(values: tuple[BuildArg, ...]) -> Entries:
    return _entries({value.name: value.value for value in values if not value.volatile})


def _entries(values: Mapping[str, str]) -> Entries:
    return tuple(sorted(values.items()))


def _options(options: BuildOptions) -> dict[str, str]:
    """The options that change what a build gives; one that is not set stays out, so that a new one changes nothing."""
    found = {
        "entitlements": ",".join(sorted(options.entitlements)),
        "extra-hosts": ",".join(f"{name}={address}" for name, address in sorted(options.extra_hosts)),
        "network": options.network.value if options.network.value != "default" else "",
        "provenance": options.provenance.value,
        "sbom": "true" if options.sbom else "",
        "shm-size": options.shm_size,
        "ulimits": ",".join(sorted(options.ulimits)),
    }
    return {name: value for name, value in found.items() if value}
