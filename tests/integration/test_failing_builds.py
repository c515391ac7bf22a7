"""Builds that fail, or that are stopped: what depends on them is left out, the rest is finished, no tag moves."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.conftest import MakeWorkspace, end_processes, processes
from tests.integration.registries import Registries
from tests.integration.workspace import MARK, Workspace

pytestmark = pytest.mark.integration

PROJECT = """\
format = 1
[project]
name = "failing"
[version]
from = "git-tag"
match = "v*"
[defaults]
platforms = ["linux/amd64"]
tags = ["{{ version }}"]
"""
CHAIN = {
    "builds.toml": PROJECT + "[images.good]\n[images.broken]\n[images.child]\n[images.grandchild]\n[images.other]\n",
    "good/Dockerfile": "FROM %BASE%\nRUN echo good\n",
    "broken/Dockerfile": "FROM good\nRUN for i in 1 2 3; do echo line $i of the failure; done; exit 7\n",
    "child/Dockerfile": "FROM broken\nRUN echo child\n",
    "grandchild/Dockerfile": "FROM child\nRUN echo grandchild\n",
    "other/Dockerfile": "FROM good\nRUN echo other\n",
}

# tells through a pipe that it runs and that it was interrupted, and goes on for hours all the same
_STUBBORN = """#!{python} -SE
import os, signal, sys, time
def tell(word):
    with open({noticed!r}, "w") as pipe:
        pipe.write(word)
if sys.argv[1:3] != ["buildx", "build"]:
    os.execv({real!r}, sys.argv)
signal.signal(signal.SIGINT, lambda *_: tell("interrupted"))
signal.signal(signal.SIGTERM, signal.SIG_IGN)
tell("begun")
while True:
    time.sleep(3600)
"""


def stuck(workspace: Workspace, word: str, *, command: str = "sleep") -> subprocess.Popen[str]:
    """Start a push whose `RUN` never ends, and return when that `RUN` has said that it runs."""
    process = workspace.start("build", "--push", "--verbose")
    assert process.stderr is not None
    seen = []
    for line in process.stderr:
        seen.append(line)
        if f"| {word} runs {command}" in line:
            return process
    raise AssertionError("".join(seen))


def running(word: str) -> list[str]:
    """The processes, builders' ones included, with this word in their command line."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            text = (folder / "cmdline").read_text()
        except OSError:
            continue
        if word in text and folder.name != str(os.getpid()):
            found.append(text)
    return found


@pytest.fixture
def make_stuck(make_workspace: MakeWorkspace) -> Callable[[str], Workspace]:
    """A repository whose second image hangs in a `RUN` that can be told from all others."""

    def make(word: str) -> Workspace:
        hang = f'FROM good\nRUN echo "{word} runs sleep"; sleep 86400 "{word}" || sleep 86400; echo never\n'
        files = {
            "builds.toml": PROJECT + "[images.good]\n[images.hangs]\n",
            "good/Dockerfile": CHAIN["good/Dockerfile"],
        }
        return make_workspace({**files, "hangs/Dockerfile": hang.replace(f' "{word}" || sleep 86400', f"; : {word}")})

    return make


def test_a_failing_run_stops_only_its_descendants(make_workspace: MakeWorkspace, registries: Registries) -> None:
    """Exit 4; what needs the failed image is skipped, what does not is finished, and not one tag was put."""
    workspace = make_workspace(CHAIN)
    failed = workspace.run("build", "--push")

    assert 4 == failed.exit_code
    assert {
        "good": "verified",
        "broken": "failed",
        "child": "skipped",
        "grandchild": "skipped",
        "other": "verified",
    } == workspace.states()
    assert [] == [tag for name in workspace.states() for tag in registries.public(f"{workspace.registry}/{name}")]


def test_the_end_says_what_failed_and_what_to_do(make_workspace: MakeWorkspace) -> None:
    """The last lines of the failing instruction stand at the end, with the step's name and a hint."""
    failed = make_workspace(CHAIN).run("build", "--push")
    end = failed.stderr[failed.stderr.index("failed: solve:broken") :]

    assert [f"  | line {number} of the failure" for number in (1, 2, 3)] == [
        line for line in end.splitlines() if "of the failure" in line and line.startswith("  |")
    ]
    assert "exit code: 7" in end
    assert "no tag was put" in end
    assert "error: step `solve:broken` failed\nhint: " in end


def test_a_failing_run_is_not_tried_again(make_workspace: MakeWorkspace) -> None:
    """Retries are for what passes; an instruction that ends with 7 will do so again."""
    assert "retry" not in make_workspace(CHAIN).run("build", "--oci=out", "broken").stderr


def test_json_of_a_failed_build_names_the_failure(make_workspace: MakeWorkspace) -> None:
    """`--format=json` and `result.json` are the same, and hold the failure with its lines."""
    workspace = make_workspace(CHAIN)
    failed = workspace.run("build", "--oci=out", "--format=json", "broken")
    (failure,) = workspace.result().failures

    assert (workspace.root / ".orchestrate/result.json").read_text() == failed.stdout
    assert ("solve:broken", "broken") == (failure.step, failure.image)
    assert "line 3 of the failure" in failure.lines


def test_a_dockerfile_with_a_syntax_error_is_found_before_anything_runs(make_workspace: MakeWorkspace) -> None:
    """Exit 2, with the file and the line, though the other images are fine."""
    workspace = make_workspace({**CHAIN, "broken/Dockerfile": "FROM good\nRUM echo typo\n"})
    failed = workspace.run("build", "--push")

    assert 2 == failed.exit_code
    assert "broken/Dockerfile:2" in failed.stderr
    assert "solve:" not in failed.stderr


def test_what_only_buildkit_finds_wrong_in_a_dockerfile_is_told(make_workspace: MakeWorkspace) -> None:
    """A file to copy that is not there fails the step, with its name in the message."""
    workspace = make_workspace({**CHAIN, "broken/Dockerfile": "FROM good\nCOPY nowhere.txt /\n"})
    failed = workspace.run("build", "--oci=out", "broken")

    assert 4 == failed.exit_code
    assert "nowhere.txt" in failed.stderr[failed.stderr.index("failed: solve:broken") :]


def test_a_secret_that_is_not_set_is_named(make_workspace: MakeWorkspace, registries: Registries) -> None:
    """The variable is named, with what to do; its value cannot be, and no tag is put."""
    line = 'secrets = [{ id = "token", env = "TOKEN_OF_NOBODY" }]\n'
    files = {"builds.toml": PROJECT + "[images.good]\n" + line, "good/Dockerfile": CHAIN["good/Dockerfile"]}
    workspace = make_workspace(files)
    failed = workspace.run("build", "--push")

    assert 2 == failed.exit_code
    assert "`TOKEN_OF_NOBODY`, which is not set" in failed.stderr
    assert "export TOKEN_OF_NOBODY" in failed.stderr
    assert [] == registries.public(f"{workspace.registry}/good")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_stopped_run_leaves_nothing(
    number: signal.Signals, make_stuck: Callable[[str], Workspace], registries: Registries
) -> None:
    """Stopped in the middle of a `RUN`: exit 130, no child and no instruction runs on, no tag, no folder of the run."""
    word = f"w{uuid.uuid4().hex}"
    workspace = make_stuck(word)
    process = stuck(workspace, word)
    assert running(word)

    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)

    assert 130 == process.returncode, stderr
    assert "error: interrupted" in stderr
    assert [] == running(word)
    assert [] == processes(workspace.environ[MARK])
    assert [] == workspace.left_behind()
    assert [] == registries.public(f"{workspace.registry}/good") + registries.public(f"{workspace.registry}/hangs")
    assert {"good": "verified", "hangs": "cancelled"} == workspace.states()


def test_an_impatient_second_ctrl_c_ends_what_does_not_want_to_end(
    make_stuck: Callable[[str], Workspace], tmp_path: Path
) -> None:
    """A child that takes no notice of the first interrupt is killed at the second; nothing is left of it."""
    program = tmp_path / "bin/docker"
    program.parent.mkdir()
    word = f"w{uuid.uuid4().hex}"
    workspace = make_stuck(word)
    real = shutil.which("docker", path=workspace.environ["PATH"])
    program.write_text(_STUBBORN.format(python=sys.executable, real=real, noticed=str(tmp_path / "noticed")))
    program.chmod(0o755)
    os.mkfifo(tmp_path / "noticed")
    process = workspace.start("build", "--oci=out", "good", PATH=f"{program.parent}:{workspace.environ['PATH']}")

    assert "begun" == (tmp_path / "noticed").read_text()
    process.send_signal(signal.SIGINT)
    assert "interrupted" == (tmp_path / "noticed").read_text()
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)

    assert 130 == process.returncode, stderr
    assert "error: interrupted" in stderr
    assert [] == processes(workspace.environ[MARK])
    assert [] == workspace.left_behind()


def test_a_run_excludes_another_in_the_same_repository(make_stuck: Callable[[str], Workspace]) -> None:
    """The second one stops at once with exit 3 and says who is at work; the first does not notice."""
    word = f"w{uuid.uuid4().hex}"
    workspace = make_stuck(word)
    process = stuck(workspace, word)
    refused = workspace.run("build", "--oci=out", "good")

    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)

    assert 3 == refused.exit_code, refused.output
    assert f"another run is at work in `{workspace.root}/.orchestrate`, process {process.pid}" in refused.stderr
    assert 130 == process.returncode


def test_what_a_killed_run_left_goes_with_the_next(make_stuck: Callable[[str], Workspace]) -> None:
    """Nothing of ours runs after SIGKILL, so its folder stays; the next run takes it away."""
    word = f"w{uuid.uuid4().hex}"
    workspace = make_stuck(word)
    process = stuck(workspace, word)
    process.kill()
    process.communicate(timeout=60)
    end_processes(workspace.environ[MARK])
    assert workspace.left_behind()

    workspace.succeed("build", "--oci=out", "good")

    assert [] == workspace.left_behind()


def test_a_build_that_takes_longer_than_its_timeout_is_stopped(make_stuck: Callable[[str], Workspace]) -> None:
    """`timeout` ends the child and all that it started; the run says why, and goes no further."""
    word = f"w{uuid.uuid4().hex}"
    workspace = make_stuck(word)
    failed = workspace.run("build", "--oci=out", "--set=hangs.timeout=2s", "--set=hangs.retries=0")

    assert 4 == failed.exit_code
    assert "it took longer than its `timeout`" in failed.stderr
    assert [] == running(word)
