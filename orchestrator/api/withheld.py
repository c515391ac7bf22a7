"""Environment variables of the user's that children do not get, as they would change what is built unseen."""

from __future__ import annotations

from typing import Final

WITHHELD_HINT: Final = "give the variable another name: those of buildx and BuildKit would change builds unseen"
_PREFIXES: Final = ("BUILDX_", "BUILDKIT_")
_NAMES: Final = frozenset(
    {"SOURCE_DATE_EPOCH", "DOCKER_DEFAULT_PLATFORM", "EXPERIMENTAL_BUILDKIT_SOURCE_POLICY"},
)
# It does not change a build: it is the folder where buildx keeps the user's builders. Without it a builder that
# the user created and named in `builds.toml` would not be found.
_KEPT: Final = frozenset({"BUILDX_CONFIG"})


def is_withheld(name: str) -> bool:
    """Whether children do not get this variable, whatever it holds."""
    return name not in _KEPT and (name in _NAMES or name.startswith(_PREFIXES))
