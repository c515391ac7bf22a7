"""One repository through everything that a user does: nothing of any command stays but what was asked for.

Every other module ends with the same proof for its own repositories (`make_workspace`).
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.integration.conftest import MakeWorkspace, builders, processes
from tests.integration.workspace import MARK, Workspace
from tests.lab import Lab

pytestmark = pytest.mark.integration

FILES = {
    "builds.toml": """\
format = 1
[project]
name = "tidy"
[version]
from = "git-tag"
match = "v*"
[defaults]
platforms = ["linux/amd64"]
tags = ["{{ version }}"]
[images.base]
[images.staged]
dockerfile-inline = "FROM base AS base\\nRUN true"
context = "base"
[images.broken]
""",
    "base/Dockerfile": "FROM %BASE%\nRUN echo base\n",
    "broken/Dockerfile": "FROM %BASE%\nRUN exit 1\n",
}
COMMANDS = {
    ("plan",): 0,
    ("graph",): 0,
    ("build", "--oci=out", "base"): 0,
    ("build", "--load", "base"): 0,
    ("build", "--stage", "base", "staged"): 0,
    ("promote",): 0,
    ("build", "--push", "base"): 0,
    ("build", "--push", "--force", "base"): 3,
    ("build", "--push", "--replace-tags", "base", "staged"): 0,
    ("build", "broken"): 4,
    ("build", "nothing"): 2,
    ("verify", "oci:out/base"): 0,
    ("doctor",): 0,
    ("builders", "ls"): 0,
}


@pytest.fixture(scope="module")
def before(lab: Lab) -> list[str]:
    """What Docker has before."""
    return holdings(lab)


@pytest.fixture(scope="module")
def workspace(before: list[str], make_workspace: MakeWorkspace) -> Workspace:
    """The repository, after every command has run in it."""
    assert before
    made = make_workspace(FILES)
    codes = {command: made.run(*command).exit_code for command in COMMANDS}
    assert COMMANDS == codes
    return made


def holdings(lab: Lab) -> list[str]:
    """Builders, containers, volumes and networks."""
    asked = (["ps", "--all", "--quiet"], ["volume", "ls", "--quiet"], ["network", "ls", "--quiet"])
    told = [
        subprocess.run(["docker", *argv], env=lab.environ, capture_output=True, text=True, check=True).stdout
        for argv in asked
    ]
    return [*builders(lab), *"".join(told).split()]


def test_no_process_runs_on(workspace: Workspace) -> None:
    """Nothing that carries this repository's mark in its environment is alive."""
    assert [] == processes(workspace.environ[MARK])


def test_no_folder_of_a_run_stays(workspace: Workspace) -> None:
    """Of `.orchestrate` stay the result, the layouts, the lock and what hides it from git; no temporary file does."""
    assert [] == workspace.left_behind()


def test_git_sees_only_what_was_asked_for(workspace: Workspace) -> None:
    """The layouts that `--oci` named, and nothing else."""
    assert "?? out/" == workspace.git("status", "--porcelain")


def test_docker_has_no_more_than_before(lab: Lab, before: list[str], workspace: Workspace) -> None:
    """No builder, container, volume or network was made."""
    assert workspace.root.exists()
    assert before == holdings(lab)


def test_a_process_that_stays_would_be_seen(workspace: Workspace, tmp_path: Path) -> None:
    """The proof can fail: a child that is left over is found by its mark."""
    argv = ["sh", "-c", f"echo > {tmp_path}/ready; read line"]
    child = subprocess.Popen(argv, env=workspace.environ, stdin=subprocess.PIPE)
    try:
        assert any("read line" in found for found in processes(workspace.environ[MARK]))
    finally:
        child.communicate(b"end\n")
