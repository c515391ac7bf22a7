"""What builds is killed, and it is not `orchestrate`: a child of it, or the engine."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import MakeWorkspace, marked
from tests.integration.recorder import Recorder
from tests.integration.registries import Registries
from tests.integration.remains import nothing_left
from tests.integration.workspace import MARK, Workspace
from tests.lab import Lab

pytestmark = pytest.mark.integration

IMAGES = {
    "builds.toml": """\
format = 1
[project]
name = "struck"
[version]
from = "git-tag"
match = "v*"
[defaults]
platforms = ["linux/amd64"]
tags = ["{{ version }}"]
[images.parent]
[images.child]
""",
    "child/Dockerfile": "FROM parent\nRUN sleep 3; echo child > /child\n",
    ".gitignore": ".orchestrate\n",
}
AMD64 = "linux/amd64"


def files() -> dict[str, str]:
    """The project, of which nothing is in any cache."""
    return {**IMAGES, "parent/Dockerfile": f"FROM %BASE%\nRUN echo {secrets.token_hex(8)} > /parent\n"}


SLEEPS = "solve:child  started [1/2] RUN sleep"


@pytest.fixture(scope="module", autouse=True)
def tidy(lab: Lab) -> Iterator[None]:
    """Nothing stays: no process, mount, container or file."""
    with nothing_left(lab):
        yield


@pytest.fixture(scope="module")
def own(lab: Lab) -> Iterator[Lab]:
    """An engine that may be killed; it takes the first lab's registry."""
    if not lab.engines:
        pytest.skip("needs engines that may be killed, which a borrowed Docker cannot give")
    with Lab.start() as started:
        yield started


def until(process: subprocess.Popen[str], start: str) -> None:
    """Read what it says up to a line that starts so."""
    assert process.stderr is not None
    said: list[str] = []
    for line in process.stderr:
        said.append(line)
        if line.startswith(start):
            return
    raise AssertionError("".join(said))


def child_of(workspace: Workspace, program: str) -> int:
    """The process of the build: docker's own, or that of its plugin."""
    (pid,) = (
        pid
        for pid, command in marked(workspace.environ[MARK])
        if Path(command.split()[0]).name == program and " buildx build " in command
    )
    return pid


@pytest.mark.parametrize("program", ["docker", "docker-buildx"])
def test_a_build_whose_child_is_killed_is_tried_again(
    program: str, make_workspace: MakeWorkspace, registries: Registries, tmp_path: Path
) -> None:
    """Whatever killed it, such as a kernel without memory, says nothing of the image."""
    workspace = make_workspace(files())
    recorder = Recorder(tmp_path, workspace.environ)
    with workspace.start("build", "--push", "-v", PATH=recorder.path(workspace.environ)) as process:
        until(process, SLEEPS)
        os.kill(child_of(workspace, program), signal.SIGKILL)
        _, stderr = process.communicate(timeout=180)

    assert 0 == process.returncode, stderr
    assert ["parent", "child", "child"] == [Path(call.argv[-1]).name for call in recorder.builds()]
    assert "child" == registries.file(f"{workspace.registry}/child:1.2.3", AMD64, "child")
    assert "`docker buildx build` was killed" in stderr


def test_a_child_that_is_killed_every_time_fails_the_build(make_workspace: MakeWorkspace) -> None:
    """Exit 4, with the signal; the image is not blamed."""
    workspace = make_workspace(files())
    with workspace.start("build", "--push", "-v", "--set=child.retries=0") as process:
        until(process, SLEEPS)
        os.kill(child_of(workspace, "docker"), signal.SIGKILL)
        _, stderr = process.communicate(timeout=180)
    assert 4 == process.returncode, stderr
    assert "failed: solve:child: `docker buildx build` was killed: it ended with signal 9\n" in stderr
    assert {"parent": "verified", "child": "failed"} == workspace.states()


def test_an_engine_that_is_back_at_once_is_built_on_again(
    own: Lab, make_workspace: MakeWorkspace, registries: Registries
) -> None:
    """The run waits for it, and ends well."""
    workspace = make_workspace(files())
    for name in ("DOCKER_HOST", "DOCKER_CONFIG"):
        workspace.environ[name] = own.environ[name]
    with workspace.start("build", "--push", "-v") as process:
        until(process, SLEEPS)
        own.engines[0].restart()
        _, stderr = process.communicate(timeout=180)
    assert 0 == process.returncode, stderr
    assert "child" == registries.file(f"{workspace.registry}/child:1.2.3", AMD64, "child")


def test_a_release_whose_engine_is_killed_is_finished_when_it_is_back(
    own: Lab, make_workspace: MakeWorkspace, registries: Registries, tmp_path: Path
) -> None:
    """Exit 4 with the node's name, no tag; then `--resume` builds only what was not done."""
    workspace = make_workspace(files())
    for name in ("DOCKER_HOST", "DOCKER_CONFIG"):
        workspace.environ[name] = own.environ[name]
    recorder = Recorder(tmp_path, workspace.environ)
    with workspace.start("build", "--push", "-v") as process:
        until(process, SLEEPS)
        own.engines[0].kill()
        _, stderr = process.communicate(timeout=180)
    assert 4 == process.returncode, stderr
    assert "node `default` does not answer any more: " in stderr
    assert {"parent": "verified", "child": "failed"} == workspace.states()
    assert [[], []] == [registries.public(f"{workspace.registry}/{name}") for name in ("parent", "child")]

    refused = workspace.run("build", "--push", "--resume")
    assert 3 == refused.exit_code, refused.output
    assert "`default`" in refused.stderr

    own.engines[0].restart()
    workspace.succeed("build", "--push", "--resume", PATH=recorder.path(workspace.environ))
    assert ["child"] == [Path(call.argv[-1]).name for call in recorder.builds()]
    assert "child" == registries.file(f"{workspace.registry}/child:1.2.3", AMD64, "child")
    assert (
        []
        == subprocess.run(
            ["docker", "ps", "--all", "--quiet"], env=own.environ, capture_output=True, text=True, check=True
        ).stdout.split()
    )
