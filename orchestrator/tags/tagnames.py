"""Names of git tags: which match a glob, which is the highest, and what of it is the version."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Final

from orchestrator.tags.semver import Precedence, find_semver

_WILDCARDS: Final = re.compile(r"[*?\[]")
_VERSION_START: Final = re.compile(r"[0-9][0-9.]*\Z")


def literal_prefix(match: str) -> str:
    """The part of a glob that is no version: `v` of `v*`, `api-v` of `api-v*`, and `v` of `v1.*`.

    Digits and dots at its end are the beginning of the version; a glob without wildcards has no prefix.
    """
    wildcard = _WILDCARDS.search(match)
    return _VERSION_START.sub("", match[: wildcard.start()]) if wildcard else ""


def version_of(tag: str, match: str) -> str:
    """What of a tag is the version."""
    return tag.removeprefix(literal_prefix(match))


def highest_tag(tags: Iterable[str], match: str) -> str | None:
    """The highest of the tags that match: semantic versions by precedence, before all others by name."""
    matching = [tag for tag in tags if fnmatchcase(tag, match)]
    return max(matching, key=lambda tag: _rank(tag, match), default=None)


def _rank(tag: str, match: str) -> tuple[int, Precedence, str]:
    semver = find_semver(version_of(tag, match))
    lowest: Precedence = (0, 0, 0, False, ())
    return (0, lowest, tag) if semver is None else (1, semver.precedence, tag)
