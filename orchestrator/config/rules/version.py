"""Where a version comes from."""

from __future__ import annotations

import re
from typing import Final

from msgspec import UNSET

from orchestrator.config.credentials import looks_like_credential
from orchestrator.config.findings import Findings, quote
from orchestrator.config.scan import Keys
from orchestrator.config.schema import VersionTable

_SOURCE: Final = re.compile(r"git-tag|env:[A-Za-z_][A-Za-z0-9_]*|file:[^#]+(?:#.+)?")
_KINDS: Final = "`git-tag`, `env:NAME`, `file:PATH` or `file:PATH#dotted.key`"


def check_version(version: VersionTable, findings: Findings, keys: Keys) -> None:
    """Whether the keys of a version table go together; a table of an image may leave the source to the file's."""
    literal, source = version.value is not UNSET, version.source
    if literal and source is not UNSET:
        place, other = findings.key(*keys, "value"), findings.key(*keys, "from")
        message = "`from` and `value` exclude each other"
        findings("conflicting-keys", message, place, "remove one of the two", related=(other,))
    if source is not UNSET and not _SOURCE.fullmatch(source):
        kind = source.partition(":")[0]
        close = findings.nearest(kind, ("env", "file") if ":" in source else ("git-tag",))
        message = f"unknown source of versions {quote(source)}: expected {_KINDS}"
        findings("illegal-value", message, findings.value(*keys, "from"), close or "a version itself goes into `value`")
    kind, _, name = ("" if source is UNSET else source).partition(":")
    if kind == "env" and looks_like_credential(name):
        message = f"the variable {quote(name)} looks like a credential, and versions are shown to everybody"
        findings("secret-in-version", message, findings.value(*keys, "from"), "name a variable that holds a version")
    for key, value in (("match", version.match), ("fallback", version.fallback)):
        if literal and value is not UNSET:
            findings(
                "conflicting-keys",
                f"`{key}` says nothing beside `value`",
                findings.key(*keys, key),
                f"remove `{key}`",
                related=(findings.key(*keys, "value"),),
            )
    if version.match is not UNSET and source is not UNSET and _SOURCE.fullmatch(source) and source != "git-tag":
        hint = 'remove `match`, or write `from = "git-tag"`'
        findings("conflicting-keys", "`match` chooses among git tags only", findings.key(*keys, "match"), hint)
