"""The environment that children get: the user's, less what would silently change what is built."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_PREFIXES: Final = ("BUILDX_", "BUILDKIT_")
_NAMES: Final = frozenset(
    {"SOURCE_DATE_EPOCH", "DOCKER_DEFAULT_PLATFORM", "EXPERIMENTAL_BUILDKIT_SOURCE_POLICY"},
)
# It does not change a build: it is the folder where buildx keeps the user's builders. Without it a builder that
# the user created and named in `builds.toml` would not be found.
_KEPT: Final = frozenset({"BUILDX_CONFIG"})


def child_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The user's environment less `BUILDX_*`, `BUILDKIT_*` and the other variables that change a build unseen.

    What decides a build is in `builds.toml` or on the command line, and so in the plan; `BUILDX_CONFIG` stays.
    """
    return {
        name: value
        for name, value in environment.items()
        if name in _KEPT or not (name in _NAMES or name.startswith(_PREFIXES))
    }
