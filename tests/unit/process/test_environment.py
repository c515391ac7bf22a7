from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator.process.environment import child_environment


def test_what_changes_a_build_unseen_is_left_out() -> None:
    """Variables of buildx and BuildKit, the epoch and the default platform do not reach children."""
    given = {
        "PATH": "/bin",
        "DOCKER_HOST": "unix:///x",
        "BUILDX_BUILDER": "other",
        "BUILDX_NO_DEFAULT_ATTESTATIONS": "1",
        "BUILDKIT_PROGRESS": "plain",
        "SOURCE_DATE_EPOCH": "0",
        "DOCKER_DEFAULT_PLATFORM": "linux/386",
        "EXPERIMENTAL_BUILDKIT_SOURCE_POLICY": "/policy",
    }
    assert child_environment(given) == {"PATH": "/bin", "DOCKER_HOST": "unix:///x"}


def test_the_folder_of_the_builders_stays() -> None:
    """Without BUILDX_CONFIG the user's builders would not be found."""
    assert child_environment({"BUILDX_CONFIG": "/b"}) == {"BUILDX_CONFIG": "/b"}


def test_names_that_only_look_alike_stay() -> None:
    """Only the prefixes with their underscore are meant."""
    assert child_environment({"BUILDXY": "1", "BUILDKIT": "2"}) == {"BUILDXY": "1", "BUILDKIT": "2"}


def test_paths_mean_the_folder_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever folder a child runs in; an empty one stays empty, and a list stays a list."""
    monkeypatch.chdir(tmp_path)
    given = {
        "KUBECONFIG": "a::/b",
        "DOCKER_CONFIG": "docker",
        "BUILDX_CONFIG": "./x",
        "DOCKER_CERT_PATH": "",
        "HOME": "h",
    }
    here = os.getcwd()  # noqa: PTH109 (text beside text)
    assert {
        "KUBECONFIG": f"{here}/a::/b", "DOCKER_CONFIG": f"{here}/docker", "BUILDX_CONFIG": f"{here}/x",
        "DOCKER_CERT_PATH": "", "HOME": "h",
    } == child_environment(given)  # fmt: skip
