"""Keys of `builds.toml`: dotted keys as text, and the attributes that tables have."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Final

import tomli

from orchestrator.config.schema import BuildTable, CommonTable, ExtendTable
from orchestrator.oci.platform import parse_platform

BUILD_ATTRIBUTES: Final = MappingProxyType(
    dict(zip(BuildTable.__struct_encode_fields__, BuildTable.__struct_fields__, strict=True))
)
"""From the key in TOML to the name of the field: what one platform build is made of."""

ATTRIBUTES: Final = MappingProxyType(
    dict(zip(CommonTable.__struct_encode_fields__, CommonTable.__struct_fields__, strict=True))
)
"""As `BUILD_ATTRIBUTES`: what images, templates and `[defaults]` share."""

EXTENDABLE: Final = MappingProxyType(
    dict(zip(ExtendTable.__struct_encode_fields__, ExtendTable.__struct_fields__, strict=True))
)
"""As `BUILD_ATTRIBUTES`: the lists that `extend` appends to."""

MERGED: Final = frozenset({"args", "labels", "contexts", "annotations", "extra_hosts"})
"""The fields whose tables merge key by key; `on` merges platform by platform and then as these."""

_PART: Final = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\[^\n])*"|'[^'\n]*')"""
_KEY: Final = re.compile(rf"[ \t]*{_PART}(?:[ \t]*\.[ \t]*{_PART})*[ \t]*\Z")
_PARTS: Final = re.compile(_PART)
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+\Z")
_LONGEST: Final = 4096


def parse_key(text: str) -> tuple[str, ...]:
    """Parse a dotted key as TOML writes it: `labels."org.opencontainers.image.revision"`.

    Raises:
        ValueError: it is not such a key.
    """
    if len(text) > _LONGEST or not _KEY.match(text):
        msg = f"not a dotted key: {_shown(text)}"
        raise ValueError(msg)
    return tuple(_parse_part(part) for part in _PARTS.findall(text))


def _parse_part(part: str) -> str:
    if part[0] not in "\"'":
        return part
    # The pattern made sure that this is one string and nothing else, so TOML's own rules for escapes can decide.
    try:
        return str(tomli.loads(f"key = {part}")["key"])
    except tomli.TOMLDecodeError as error:
        msg = f"not a quoted key: {_shown(part)}"
        raise ValueError(msg) from error


def render_key(keys: tuple[str | int, ...]) -> str:
    """Write keys as TOML does: bare where that is allowed, quoted elsewhere; a position in a list as `[2]`."""
    text = ""
    for key in keys:
        if isinstance(key, int):
            text += f"[{key}]"
        else:
            text += ("." if text else "") + (key if _BARE.match(key) else _quoted(key))
    return text


def _shown(text: str) -> str:
    return f"`{_escaped(text[:80])}`"


def _quoted(key: str) -> str:
    escaped = key.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{_escaped(escaped)}"'


def _escaped(text: str) -> str:
    return "".join(letter if letter.isprintable() else f"\\U{ord(letter):08x}" for letter in text)


def canonical_platform(text: str) -> str:
    """The normal spelling of a platform that is a key of `on`; what is no platform, which `decode` reports, stays."""
    try:
        return str(parse_platform(text))
    except ValueError:
        return text
