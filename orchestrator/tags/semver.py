"""Semantic versions: parsing and precedence (https://semver.org/spec/v2.0.0.html)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, TypeAlias

from orchestrator.model import Model

MAX_LENGTH: Final = 255

_NUMBER: Final = r"(0|[1-9][0-9]*)"
_PRERELEASE: Final = r"(?:0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)"
_SEMVER: Final = re.compile(
    rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}"
    rf"(?:-({_PRERELEASE}(?:\.{_PRERELEASE})*))?"
    r"(?:\+([0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*))?\Z"
)

Precedence: TypeAlias = tuple[int, int, int, bool, tuple[tuple[bool, int, str], ...]]


class SemVer(Model):
    """A semantic version; a leading `v` is no part of one."""

    major: int
    minor: int
    patch: int
    prerelease: str = ""
    build: str = ""

    def __str__(self) -> str:
        prerelease = f"-{self.prerelease}" if self.prerelease else ""
        build = f"+{self.build}" if self.build else ""
        return f"{self.major}.{self.minor}.{self.patch}{prerelease}{build}"

    @property
    def precedence(self) -> Precedence:
        """The sort key of section 11: numbers before words, a pre-release before its release, no build metadata."""
        identifiers = tuple(
            (False, int(part), "") if part.isdecimal() else (True, 0, part)
            for part in self.prerelease.split(".")
            if part
        )
        return (self.major, self.minor, self.patch, not self.prerelease, identifiers)


@lru_cache(maxsize=4096)
def parse_semver(text: str) -> SemVer:
    """Parse `major.minor.patch[-prerelease][+build]`.

    Raises:
        ValueError: it has another shape, or is longer than `MAX_LENGTH`.
    """
    match = _SEMVER.match(text) if len(text) <= MAX_LENGTH else None
    if match is None:
        msg = f"`{text[:80]}` is no semantic version, expected `major.minor.patch[-prerelease][+build]`"
        raise ValueError(msg)
    return SemVer(
        major=int(match[1]),
        minor=int(match[2]),
        patch=int(match[3]),
        prerelease=match[4] or "",
        build=match[5] or "",
    )


def find_semver(text: str) -> SemVer | None:
    """The semantic version that a text is; None where it is none."""
    try:
        return parse_semver(text)
    except ValueError:
        return None
