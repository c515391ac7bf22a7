"""Digests of content (OCI image-spec, descriptor.md, "Digests")."""

from __future__ import annotations

import hashlib
import re
from typing import NewType

Digest = NewType("Digest", str)
"""`sha256:` and 64 lower-case hex digits. Made by `parse_digest` and `digest_bytes` only."""

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")


def parse_digest(text: str) -> Digest:
    """Parse a sha256 digest.

    Only sha256 is taken: it is the one algorithm that every registry and BuildKit produce.

    Raises:
        ValueError: the text is no sha256 digest.
    """
    if not _DIGEST.match(text):
        msg = f"not a sha256 digest: `{text[:100]}`"
        raise ValueError(msg)
    return Digest(text)


def digest_bytes(content: bytes) -> Digest:
    """The digest of these bytes."""
    return Digest("sha256:" + hashlib.sha256(content).hexdigest())


def short(digest: Digest) -> str:
    """The first twelve hex digits, for tables."""
    return digest.removeprefix("sha256:")[:12]
