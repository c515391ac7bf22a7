"""Secrets taken out of text that is shown: echoes of commands, lines of logs, messages of tools."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

MASK: Final = "***"


def redact(text: str, secrets: Collection[str]) -> str:
    """`text` with every secret replaced by `***`.

    Longer secrets go first, so that one that holds another is hidden whole. Text is shown line by line, so each line
    of a secret of several lines (a key file) is hidden too.
    """
    parts = {part for secret in secrets for part in (secret, *secret.splitlines()) if part.strip()}
    if not parts:
        return text
    longest_first = sorted(parts, key=lambda part: (-len(part), part))
    return re.sub("|".join(map(re.escape, longest_first)), MASK, text)
