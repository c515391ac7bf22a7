"""State scopes: under which name a run remembers what it built, and whose memory it reads.

Scopes are order, not access control: a pull request brings its own `builds.toml`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

DEFAULT_SCOPE: Final = "main"
VARIABLE: Final = "ORCHESTRATE_STATE_SCOPE"
_LEGAL: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}\Z")
_PULL_REQUEST: Final = re.compile(r"refs/pull/([0-9]{1,18})/")
_NUMBER: Final = re.compile(r"[0-9]{1,18}\Z")
_NUMBERS: Final = ("CI_MERGE_REQUEST_IID", "SYSTEM_PULLREQUEST_PULLREQUESTNUMBER", "BITBUCKET_PR_ID", "CHANGE_ID")
"""Variables that hold the number of a pull request: GitLab's, Azure's, Bitbucket's and Jenkins'."""


def choose_scope(asked: str | None, environment: Mapping[str, str]) -> str:
    """The scope that a run writes: what was asked for, else `pr-<n>` where CI says so, else `main`.

    Raises:
        ValueError: what was asked for is no legal name.
    """
    chosen = asked or environment.get(VARIABLE) or _from_ci(environment)
    check_scope(chosen)
    return chosen


def check_scope(name: str) -> None:
    """Hold a name against what scopes may be called.

    Raises:
        ValueError: it is no legal name.
    """
    if not _LEGAL.match(name):
        msg = f"`{name}` is no state scope: lower-case letters, digits, `.`, `_` and `-`, at most 64"
        raise ValueError(msg)


def read_scopes(written: str, read: tuple[str, ...]) -> tuple[str, ...]:
    """The scopes that a run reads, its own first."""
    return tuple(dict.fromkeys((written, *read)))


def _from_ci(environment: Mapping[str, str]) -> str:
    request = _PULL_REQUEST.match(environment.get("GITHUB_REF", ""))
    numbers = (environment.get(name, "") for name in _NUMBERS)
    number = request[1] if request else next((text for text in numbers if _NUMBER.match(text)), "")
    return f"pr-{number}" if number else DEFAULT_SCOPE
