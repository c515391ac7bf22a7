"""Which names look like those of credentials: their values are never shown, and are no build args."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

# The words are those of BuildKit's check SecretsUsedInArgOrEnv, and a few more.
_CREDENTIALS: Final = frozenset(
    {
        "apikey", "auth", "credential", "credentials", "passphrase", "passwd", "password", "passwords", "pwd", "pword",
        "secret", "secrets", "token", "tokens",
    }
)  # fmt: skip
_KEYS: Final = frozenset({"key", "keys"})
_KINDS_OF_KEYS: Final = frozenset({"access", "api", "deploy", "encryption", "private", "secret", "signing", "ssh"})
_HARMLESS: Final = frozenset(
    {
        "algorithm", "args", "count", "dir", "directory", "enabled", "expiry", "file", "host", "length", "max", "min",
        "name", "path", "port", "public", "size", "ttl", "type", "uri", "url", "version",
    }
)  # fmt: skip
# Tables whose keys are names of things: an image `token-service` makes no credential of its tags.
_NAMING: Final = frozenset({"contexts", "groups", "images", "on", "platforms", "templates"})
_WORDS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


@lru_cache(maxsize=4096)
def looks_like_credential(name: str) -> bool:
    """Whether a name such as `NPM_TOKEN`, `dbPassword` or `aws-secret-access-key` is that of a credential."""
    words = [word.lower() for word in _WORDS.findall(name[:256])]
    if not words or not _HARMLESS.isdisjoint(words):
        return False
    if not _CREDENTIALS.isdisjoint(words):
        return words not in (["secrets"], ["pwd"])
    return not _KEYS.isdisjoint(words) and not _KINDS_OF_KEYS.isdisjoint(words)


def is_credential(keys: Iterable[str | int]) -> bool:
    """Whether a value under these keys may be a credential, and is not to be shown."""
    above: str | int | None = None
    for key in keys:
        if isinstance(key, str) and above not in _NAMING and looks_like_credential(key):
            return True
        above = key
    return False
