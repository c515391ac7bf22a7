"""A run that was killed is gone on with: same version, nothing built twice, and not where something has changed."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.integration.conftest import MakeWorkspace, end_processes, processes
from tests.integration.recorder import Recorder
from tests.integration.registries import Registries
from tests.integration.workspace import MARK, Workspace

pytestmark = pytest.mark.integration

PROJECT = """\
format = 1
[project]
name = "resumed"
[version]
from = "git-tag"
match = "v*"
[defaults]
platforms = ["linux/amd64"]
tags = ["{{ version }}", { ref = "latest", moving = true }]
[images.base]
[images.slow]
[images.last]
"""
FILES: Mapping[str, str] = {
    "builds.toml": PROJECT,
    "base/Dockerfile": "FROM %BASE%\nRUN cat /proc/sys/kernel/random/uuid > /random\n",
    "slow/Dockerfile": "FROM base\nCOPY file /file\nRUN sleep 5\n",
    "slow/file": "one",
    "last/Dockerfile": "FROM slow\nCOPY --from=base /random /again\n",
    ".gitignore": ".orchestrate\n",
}


@pytest.fixture
def killed(make_workspace: MakeWorkspace) -> Workspace:
    """A repository of which one image was built when the run was killed; there is a newer version by now."""
    workspace = make_workspace(FILES)
    with workspace.start("build", "--push") as process:
        assert process.stderr is not None
        assert any("solve:slow  started" in line for line in iter(process.stderr.readline, ""))
        os.kill(process.pid, signal.SIGKILL)
    end_processes(workspace.environ[MARK])
    workspace.commit("v2.0.0")
    return workspace


def test_a_killed_run_is_gone_on_with(killed: Workspace, registries: Registries, tmp_path: Path) -> None:
    """Version and tags are those of the run that died, and what it had built is not built again."""
    recorder = Recorder(tmp_path, killed.environ)
    killed.succeed("build", "--push", "--resume", PATH=recorder.path(killed.environ))
    assert ["slow", "last"] == [call.argv[-1] for call in recorder.builds()]
    for name in ("base", "slow", "last"):
        assert ["1.2.3", "latest"] == registries.public(f"{killed.registry}/{name}")
    built = registries.file(f"{killed.registry}/base:1.2.3", "linux/amd64", "random")
    assert built == registries.file(f"{killed.registry}/last:1.2.3", "linux/amd64", "again")
    # that run is over, so the next one is a run of its own
    ran = killed.succeed("build", "--push", "--resume")
    assert "nothing to go on with" in ran.stderr
    assert ["1.2.3", "2.0.0", "latest"] == registries.public(f"{killed.registry}/last")


def test_what_a_killed_run_has_left_running_is_ended_by_the_next(make_workspace: MakeWorkspace) -> None:
    """A child that says nothing does not notice that nobody listens, and would go on for as long as it builds."""
    workspace = make_workspace({**FILES, "slow/Dockerfile": "FROM base\nCOPY file /file\nRUN sleep 600\n"})
    with workspace.start("build", "--push", "-v") as process:
        assert process.stderr is not None
        assert any("RUN sleep 600" in line for line in process.stderr)
        os.kill(process.pid, signal.SIGKILL)
    assert [] != processes(workspace.environ[MARK])
    workspace.succeed("build", "--push", "base")
    assert [] == processes(workspace.environ[MARK])


def test_what_changed_since_stops_it(killed: Workspace, registries: Registries) -> None:
    """Exit 3, with the file; and plain `build` begins anew, with the version of now."""
    killed.write({"slow/file": "two"})
    ran = killed.run("build", "--push", "--resume")
    assert 3 == ran.exit_code, ran.output
    assert "`slow@linux/amd64`: files changed: `file`" in ran.stderr
    killed.succeed("build", "--push")
    assert ["2.0.0", "latest"] == registries.public(f"{killed.registry}/slow")


def test_something_else_is_not_gone_on_with(killed: Workspace) -> None:
    """Another destination, or other images, are another run."""
    ran = killed.run("build", "--stage", "--resume")
    assert (2, True) == (ran.exit_code, "had the destination `push`, not `stage`" in ran.stderr), ran.output
    ran = killed.run("build", "--push", "--resume", "base")
    assert (2, True) == (ran.exit_code, "was about `base`, `slow`, `last`" in ran.stderr), ran.output
    killed.succeed("build", "--push", "--resume", "base", "slow", "last")


def test_a_plan_that_was_damaged_is_told(killed: Workspace) -> None:
    """With the file to remove."""
    kept = killed.root / ".orchestrate/begun.plan.json"
    kept.write_text("{}")
    ran = killed.run("build", "--push", "--resume")
    assert (2, True) == (ran.exit_code, "remove `.orchestrate/begun.plan.json`" in ran.stderr), ran.output
    kept.unlink()
    killed.succeed("build", "--push", "--resume")
