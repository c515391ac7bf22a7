"""What is a credential, by its name or inside of a URL: it is never shown, and no build arg."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Final

MASK: Final = "***"

# The words are those of BuildKit's check SecretsUsedInArgOrEnv, and a few more.
_CREDENTIALS: Final = frozenset(
    {
        "apikey", "auth", "cred", "credential", "credentials", "creds", "passphrase", "passwd", "password", "passwords",
        "pat", "pwd", "pword", "secret", "secrets", "token", "tokens",
    }
)  # fmt: skip
_ENDINGS: Final = ("passwd", "password", "secret", "token")  # of one word: `PGPASSWORD`, `GITHUBTOKEN`
_FILES: Final = ("dockerconfigjson", "kubeconfig", "netrc")  # of nothing but credentials, however they are spelled
_KEYS: Final = frozenset({"key", "keys"})
_KINDS_OF_KEYS: Final = frozenset(
    {"access", "account", "api", "deploy", "encryption", "private", "secret", "signing", "ssh", "storage"}
)
_HARMLESS: Final = frozenset(
    {
        "algorithm", "args", "count", "dir", "directory", "enabled", "expiry", "file", "host", "length", "max", "min",
        "name", "path", "port", "public", "size", "stdin", "ttl", "type", "uri", "url", "version",
    }
)  # fmt: skip
# Tables whose keys are names of things: an image `token-service` makes no credential of its tags.
_NAMING: Final = frozenset({"contexts", "groups", "images", "on", "platforms", "templates"})
_WORDS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
# RFC 3986, but that a broken URL may have `?`, `#` and `@` in it. In these two schemes `@` is before a digest.
_USERINFO: Final = re.compile(r"""(?<!docker-image)(?<!oci-layout)://([^\s/"`<>]+)@""")
_SSH: Final = "ssh"  # whose user is no secret: `ssh://git@host`


@lru_cache(maxsize=4096)
def looks_like_credential(name: str) -> bool:
    """Whether a name such as `NPM_TOKEN`, `dbPassword` or `aws-secret-access-key` is that of a credential."""
    words = [word.lower() for word in _WORDS.findall(name[:256])]
    if not words or not _HARMLESS.isdisjoint(words):
        return False
    if not _CREDENTIALS.isdisjoint(words) or any(word.endswith(_ENDINGS) for word in words):
        return words not in (["secrets"], ["pwd"])
    if any(word in _FILES for word in words) or "".join(words).endswith(_FILES):
        return True
    return not _KEYS.isdisjoint(words) and not _KINDS_OF_KEYS.isdisjoint(words)


def is_credential(keys: Iterable[str | int]) -> bool:
    """Whether a value under these keys may be a credential, and is not to be shown."""
    above: str | int | None = None
    for key in keys:
        if isinstance(key, str) and above not in _NAMING and looks_like_credential(key):
            return True
        above = key
    return False


def userinfo_spans(text: str) -> Iterator[tuple[int, int]]:
    """Where the URLs in a text have user information: a name and a password, or a token that stands for both."""
    for match in _USERINFO.finditer(text):
        start = match.start()
        if ":" in match[1] or text[max(0, start - len(_SSH)) : start].lower() != _SSH:
            yield match.span(1)


def hide_userinfo(text: str) -> str:
    """The text without the user information of its URLs."""
    return mask_spans(text, userinfo_spans(text)) if "://" in text else text


def mask_spans(text: str, spans: Iterable[tuple[int, int]]) -> str:
    """The text with `***` for each of these parts of it; two that overlap count as one."""
    pieces: list[str] = []
    position = 0
    for start, end in sorted(spans):
        if start >= position:
            pieces.extend((text[position:start], MASK))
        position = max(position, end)
    return "".join((*pieces, text[position:]))
