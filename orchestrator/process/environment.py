"""The environment that children get: the user's, less what would silently change what is built."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from orchestrator.api.withheld import is_withheld

_PATHS: Final = frozenset({"BUILDX_CONFIG", "DOCKER_CERT_PATH", "DOCKER_CONFIG"})
_LISTS: Final = frozenset({"KUBECONFIG"})


def child_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The user's environment less `BUILDX_*`, `BUILDKIT_*` and the other variables that change a build unseen.

    What decides a build is in `builds.toml` or on the command line, and so in the plan; `BUILDX_CONFIG` stays.
    Paths are made absolute: the user means the folder that this was started in, and children run in others.
    """
    return {name: _absolute(name, value) for name, value in environment.items() if not is_withheld(name)}


def _absolute(name: str, value: str) -> str:
    if name in _LISTS:
        return os.pathsep.join(path and os.path.abspath(path) for path in value.split(os.pathsep))  # noqa: PTH100 (as below)
    return os.path.abspath(value) if value and name in _PATHS else value  # noqa: PTH100 (text, links stay as they are)
