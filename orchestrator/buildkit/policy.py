"""BuildKit's source policy: replace one image source by another, digest and all, while stages keep their names.

A named context `base` replaces a stage `base` too, in silence; a CONVERT rule replaces only what is pulled
(buildkit `sourcepolicy/pb/policy.proto`, `docs/build-repro.md`).
"""

from __future__ import annotations

import json
from typing import Final

from orchestrator.api.invocation import Late, Word
from orchestrator.api.solve import SourcePin

POLICY_VARIABLE: Final = "EXPERIMENTAL_BUILDKIT_SOURCE_POLICY"


def render_policy(pins: tuple[SourcePin, ...]) -> Word:
    """The policy file: JSON in which late values stand where the digests will be."""
    parts: list[str | Late] = ['{"rules": [']
    for position, pin in enumerate(pins):
        separator = ", " if position else ""
        source = json.dumps(pin.source)
        parts.append(
            f'{separator}{{"action": "CONVERT", "selector": {{"identifier": {source}, "matchType": "EXACT"}}, '
            '"updates": {"identifier": "'
        )
        words = (pin.value,) if isinstance(pin.value, str) else pin.value
        parts += [json.dumps(word)[1:-1] if isinstance(word, str) else word for word in words]
        parts.append('"}}')
    parts.append("]}\n")
    return tuple(parts)
