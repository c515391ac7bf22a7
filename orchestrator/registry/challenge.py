"""What a registry asks for in `WWW-Authenticate` (RFC 9110, 11.6.1; distribution's token specification). Pure."""

from __future__ import annotations

import re
from typing import Final

from orchestrator.model import Model

_MAX_HEADER: Final = 8192
_PART: Final = re.compile(
    r"[ ,]*(?:(?P<scheme>[A-Za-z][A-Za-z0-9-]*)(?: +|$|(?=,)))?"
    r"(?:(?P<key>[A-Za-z_-]+) ?= ?(?:\"(?P<quoted>(?:[^\"\\]|\\.)*)\"|(?P<bare>[^ ,\"]+)))?"
)


class Challenge(Model):
    """One way to be let in; `scheme` is `basic`, `bearer` or what we cannot do."""

    scheme: str
    realm: str = ""
    service: str = ""
    scope: str = ""


def parse_challenges(header: str) -> tuple[Challenge, ...]:
    """The challenges of a header, in its order; what is illegible ends the list."""
    text = " ".join(header[:_MAX_HEADER].split())
    found: list[tuple[str, dict[str, str]]] = []
    position = 0
    while position < len(text):
        match = _PART.match(text, position)
        if match is None or match.end() == position:
            break
        position = match.end()
        if match["scheme"]:
            found.append((match["scheme"].lower(), {}))
        if match["key"] and found:
            quoted = match["quoted"]
            found[-1][1][match["key"].lower()] = match["bare"] if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
    return tuple(
        Challenge(scheme=scheme, **{key: values.get(key, "") for key in ("realm", "service", "scope")})
        for scheme, values in found
    )
