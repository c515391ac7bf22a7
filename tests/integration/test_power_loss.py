"""Power that goes between two tags, and files that were half written when it went."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import MakeWorkspace, end_processes
from tests.integration.faulty import FaultyRegistry
from tests.integration.gatekeeper import PUBLIC_TAG, Verdict
from tests.integration.recorder import Recorder
from tests.integration.registries import Registries
from tests.integration.remains import nothing_left
from tests.integration.workspace import MARK, Workspace
from tests.lab import Lab

pytestmark = pytest.mark.integration

FILES = {
    "builds.toml": """\
format = 1
[project]
name = "dark"
[version]
from = "git-tag"
match = "v*"
[defaults]
platforms = ["linux/amd64"]
tags = ["{{ version }}", "{{ version }}-again", { ref = "latest", moving = true }]
[images.parent]
[images.child]
""",
    "parent/Dockerfile": "FROM %BASE%\nRUN cat /proc/sys/kernel/random/uuid > /random\n",
    "child/Dockerfile": "FROM parent\nRUN cp /random /copied\n",
    ".gitignore": ".orchestrate\n",
}
NAMES = ("parent", "child")
ORDER = ("parent:1.2.3", "parent:1.2.3-again", "child:1.2.3", "child:1.2.3-again", "parent:latest", "child:latest")
AMD64 = "linux/amd64"


@pytest.fixture(scope="module", autouse=True)
def tidy(lab: Lab) -> Iterator[None]:
    """Nothing stays: no process, mount, container or file."""
    with nothing_left(lab):
        yield


@pytest.fixture
def home(lab: Lab) -> Iterator[FaultyRegistry]:
    """In front of the registry."""
    with FaultyRegistry(lab.registry.host) as started:
        yield started


@pytest.fixture
def workspace(make_workspace: MakeWorkspace, home: FaultyRegistry) -> Iterator[Workspace]:
    """A parent and a child, three tags each; whatever a killed run has left running ends with the test."""
    made = make_workspace(FILES, host=home.host)
    yield made
    end_processes(made.environ[MARK])


def cut_power(workspace: Workspace, home: FaultyRegistry, *, tags: int) -> None:
    """Run, and kill it when the registry has taken so many tags; of the last it never hears."""
    process = workspace.start("build", "--push")
    seen = 0

    def judge(request: str) -> Verdict:
        nonlocal seen
        seen += PUBLIC_TAG.fullmatch(request) is not None
        if seen < max(tags, 1):
            return Verdict.HAND_ON
        os.kill(process.pid, signal.SIGKILL)
        return Verdict.SWALLOW if tags else Verdict.RESET

    home.judge = judge
    process.communicate(timeout=180)
    home.judge = lambda _: Verdict.HAND_ON
    end_processes(workspace.environ[MARK])
    assert -signal.SIGKILL == process.returncode


def standing(workspace: Workspace, registries: Registries, lab: Lab) -> set[str]:
    """The public tags, as seen past the proxy."""
    place = workspace.registry.partition("/")[2]
    return {f"{name}:{tag}" for name in NAMES for tag in registries.public(f"{lab.registry.host}/{place}/{name}")}


@pytest.mark.parametrize("tags", range(len(ORDER) + 1))
def test_a_release_that_lost_power_between_two_tags_is_finished(
    tags: int, workspace: Workspace, home: FaultyRegistry, lab: Lab, registries: Registries, tmp_path: Path
) -> None:
    """The tags that stand are the first ones; then the others are put, each once, and nothing is built."""
    cut_power(workspace, home, tags=tags)
    assert set(ORDER[:tags]) == standing(workspace, registries, lab)

    recorder = Recorder(tmp_path, workspace.environ)
    workspace.succeed("build", "--push", "--resume", PATH=recorder.path(workspace.environ))
    assert [] == recorder.builds()
    assert set(ORDER) == standing(workspace, registries, lab)
    assert (6, {1}) == (len(home.put), set(home.put.values()))
    refs = {ref: f"{workspace.registry}/{ref}" for ref in ORDER}
    assert {ref: workspace.digest(ref.partition(":")[0]) for ref in ORDER} == {
        ref: registries.digest(where) for ref, where in refs.items()
    }
    assert [registries.file(refs["parent:latest"], AMD64, "random")] == [
        registries.file(refs["child:latest"], AMD64, "copied")
    ]
    assert [] == workspace.left_behind()


def test_a_result_that_was_half_written_is_told(workspace: Workspace, tmp_path: Path) -> None:
    """`promote` has nothing to go on from; a build does without, and builds nothing."""
    workspace.succeed("build", "--stage")
    for part in (0, 0.5, 0.99):
        tear(workspace.root / ".orchestrate/result.json", part)
        refused = workspace.run("promote")
        assert (2, True) == (refused.exit_code, "result.json" in refused.stderr), refused.output
        assert "hint: " in refused.stderr
    recorder = Recorder(tmp_path, workspace.environ)
    workspace.succeed("build", "--push", PATH=recorder.path(workspace.environ))
    assert [] == recorder.builds()


@pytest.mark.parametrize("part", [0, 0.5, 0.99])
def test_a_plan_that_was_half_written_is_told(part: float, workspace: Workspace, home: FaultyRegistry) -> None:
    """`--resume` says which file to remove; without it the release begins anew, and takes what stands."""
    cut_power(workspace, home, tags=2)
    tear(workspace.root / ".orchestrate/begun.plan.json", part)
    refused = workspace.run("build", "--push", "--resume")
    assert 2 == refused.exit_code, refused.output
    assert "hint: remove `.orchestrate/begun.plan.json`, and build without `--resume`" in refused.stderr

    workspace.succeed("build", "--push")
    assert (6, {1}) == (len(home.put), set(home.put.values()))


@pytest.mark.parametrize("part", [0, 0.5, 0.99])
def test_a_journal_that_was_half_written_stops_no_release(
    part: float, workspace: Workspace, home: FaultyRegistry
) -> None:
    """What was built and put stands in the registry, and `--resume` asks there."""
    cut_power(workspace, home, tags=3)
    tear(workspace.root / ".orchestrate/journal.jsonl", part)
    workspace.succeed("build", "--push", "--resume")
    assert (6, {1}) == (len(home.put), set(home.put.values()))


def test_what_stands_of_a_release_that_lost_power_is_known(
    workspace: Workspace, home: FaultyRegistry, lab: Lab, registries: Registries
) -> None:
    """Also where the journal's last line is torn: the new tags, which this registry does not remove, and no others."""
    cut_power(workspace, home, tags=3)
    tear(workspace.root / ".orchestrate/journal.jsonl", 0.999)
    undone = workspace.run("build", "--rollback")
    lines = [line.removeprefix(f"{workspace.registry}/") for line in undone.stdout.splitlines()]
    fates = {ref: fate for ref, _, fate in (line.partition("  ") for line in lines)}

    assert 5 == undone.exit_code, undone.output
    assert set(ORDER) == set(fates)
    assert set(ORDER[:3]) == {ref for ref, fate in fates.items() if fate.startswith("is new, ")}
    assert set(ORDER[:3]) == standing(workspace, registries, lab)


@pytest.mark.parametrize("part", [0, 0.5, 0.99])
def test_whatever_else_was_half_written_is_done_without(part: float, workspace: Workspace, tmp_path: Path) -> None:
    """All files of `.orchestrate` at once, but for those of which somebody has to be told."""
    workspace.succeed("build", "--push")
    digests = [workspace.digest(name) for name in NAMES]
    torn = [path for path in (workspace.root / ".orchestrate").rglob("*") if path.is_file()]
    assert len(torn) > 5
    for path in torn:
        tear(path, part)
    recorder = Recorder(tmp_path, workspace.environ)
    for command in (("plan",), ("build", "--push", "--resume"), ("build", "--push"), ("why", "child")):
        ran = workspace.run(*command, PATH=recorder.path(workspace.environ))
        assert (0, False) == (ran.exit_code, "Traceback" in ran.stderr), ran.output
    assert [] == recorder.builds()
    assert digests == [workspace.digest(name) for name in NAMES]


@pytest.mark.parametrize("part", [0, 0.5])
@pytest.mark.parametrize("what", ["index.json", "oci-layout", "made-here", "blobs/sha256/*"])
def test_local_state_that_was_half_written_is_built_again(
    what: str, part: float, workspace: Workspace, registries: Registries
) -> None:
    """Nothing is taken from what is not whole: the images are right, and `verify` finds nothing."""
    workspace.succeed("build")
    torn = list((workspace.root / ".orchestrate/state").rglob(what))
    assert torn
    for path in torn:
        tear(path, part)
    workspace.succeed("build")

    for name in NAMES:
        workspace.succeed("verify", f"oci:.orchestrate/oci/{name}")
    made = [
        registries.layout_file(workspace.root / f".orchestrate/oci/{name}", AMD64, file)
        for name, file in zip(NAMES, ("random", "copied"), strict=True)
    ]
    assert made[0] == made[1]


def tear(path: Path, part: float) -> None:
    """Leave only the beginning of a file, as a disk may that lost its power."""
    os.truncate(path, int(path.stat().st_size * part))
