"""Platforms: `os/architecture[/variant]`, normalised as containerd does (platforms/database.go)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from orchestrator.model import Model

_ARCHITECTURE_ALIASES: Final = {
    "x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "i386": "386", "armhf": "arm", "armel": "arm",
}  # fmt: skip
_ALIAS_VARIANTS: Final = {"armhf": "v7", "armel": "v6"}
_DEFAULT_VARIANTS: Final = {"arm": "v7"}
_DROPPED_VARIANTS: Final = {("arm64", "v8"), ("arm64", "8"), ("amd64", "v1")}

KNOWN_OS: Final = ("linux", "windows", "darwin", "freebsd", "wasip1")
KNOWN_ARCHITECTURES: Final = (
    "amd64", "arm64", "arm", "386", "ppc64le", "riscv64", "s390x", "mips64le", "mips64", "mipsle", "mips", "loong64",
    "ppc64", "wasm",
)  # fmt: skip
KNOWN_VARIANTS: Final = {
    "arm": ("v5", "v6", "v7", "v8"),
    "arm64": ("v8", "v9"),
    "amd64": ("v1", "v2", "v3", "v4"),
}
_COMPONENT: Final = re.compile(r"[A-Za-z0-9_.-]+\Z")


class Platform(Model, order=True):
    """A platform after normalisation: `linux/arm64/v8` is `linux/arm64`, `linux/arm` is `linux/arm/v7`."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return _spell(self.os, self.architecture, self.variant)

    @property
    def slug(self) -> str:
        """The platform as part of a tag or a file name: `linux-arm-v7`."""
        return str(self).replace("/", "-")


@lru_cache(maxsize=1024)
def _spell(system: str, architecture: str, variant: str) -> str:
    return "/".join(part for part in (system, architecture, variant) if part)


@lru_cache(maxsize=1024)
def parse_platform(text: str) -> Platform:
    """Parse and normalise `os/architecture[/variant]`.

    Raises:
        ValueError: it has another shape, or an operating system, architecture or variant that nobody builds for.
    """
    parts = text.lower().split("/")
    if len(parts) not in {2, 3} or not all(_COMPONENT.match(part) for part in parts):
        msg = f"not a platform: `{text}`, expected `os/architecture` or `os/architecture/variant`"
        raise ValueError(msg)
    system, architecture, variant = parts[0], parts[1], parts[2] if len(parts) == 3 else ""  # noqa: PLR2004 (with a variant)
    variant = variant or _ALIAS_VARIANTS.get(architecture, "")
    architecture = _ARCHITECTURE_ALIASES.get(architecture, architecture)
    if system not in KNOWN_OS:
        msg = f"unknown operating system `{system}` in platform `{text}`"
        raise ValueError(msg)
    if architecture not in KNOWN_ARCHITECTURES:
        msg = f"unknown architecture `{architecture}` in platform `{text}`"
        raise ValueError(msg)
    if variant.isdigit():
        variant = "v" + variant
    if variant and variant not in KNOWN_VARIANTS.get(architecture, ()):
        msg = f"unknown variant `{variant}` of `{architecture}` in platform `{text}`"
        raise ValueError(msg)
    return normalise(system, architecture, variant)


def normalise(system: str, architecture: str, variant: str) -> Platform:
    """Fill in or drop the variant that says nothing; unknown names pass through, as in an image config of others."""
    variant = variant or _DEFAULT_VARIANTS.get(architecture, "")
    if (architecture, variant) in _DROPPED_VARIANTS:
        variant = ""
    return Platform(os=system, architecture=architecture, variant=variant)
