"""Without a registry nothing is built twice either: `.orchestrate/state` remembers, as far as it can be believed."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from orchestrator.plan.document import PlanDocument
from tests.integration.conftest import MakeWorkspace
from tests.integration.recorder import Recorder
from tests.integration.registries import Registries
from tests.integration.workspace import Workspace
from tests.lab import Lab

pytestmark = pytest.mark.integration

FILES: Mapping[str, str] = {
    "builds.toml": """\
format = 1
[project]
name = "local"
[version]
value = "1.2.3"
[defaults]
platforms = ["linux/amd64", "linux/arm64"]
tags = ["{{ version }}"]
[platforms."*"]
emulation = "allow"
[images.base]
no-cache = true
[images.api]
[images.other]
""",
    "base/Dockerfile": "FROM busybox\nCOPY seed /seed\nRUN cat /proc/sys/kernel/random/uuid > /random\n",
    "base/seed": "a",
    "api/Dockerfile": "FROM base\nCOPY app /app\nRUN cp /random /copied\n",
    "api/app": "one",
    "other/Dockerfile": "FROM busybox\nRUN echo other > /other\n",
}
NAMES = ("base", "api", "other")


@pytest.fixture
def built(make_workspace: MakeWorkspace, base_layout: tuple[str, ...]) -> Workspace:
    """A repository of which everything was built into layouts."""
    workspace = make_workspace(FILES, options=base_layout)
    workspace.succeed("build", "--oci=out")
    return workspace


def actions(plan: PlanDocument) -> dict[str, str]:
    """What is to become of each image."""
    return {image.name: image.action for image in plan.images}


def reasons(plan: PlanDocument, build: str) -> list[tuple[str, tuple[str, ...]]]:
    """Why a platform build is built."""
    return next([(why.code, why.items) for why in each.reasons] for each in plan.builds if each.id == build)


def started(workspace: Workspace, folder: Path, *arguments: str) -> set[str]:
    """The contexts of the builds that a command starts."""
    recorder = Recorder(folder, workspace.environ)
    workspace.succeed(*arguments, PATH=recorder.path(workspace.environ))
    return {call.argv[-1] for call in recorder.builds()}


def state(workspace: Workspace, name: str) -> Path:
    """The layout that remembers an image."""
    return workspace.root / ".orchestrate/state" / name


def blobs(layout: Path) -> list[Path]:
    """The blobs of a layout, the largest first."""
    return sorted((layout / "blobs/sha256").iterdir(), key=lambda path: -path.stat().st_size)


def damage(blob: Path) -> None:
    """Change a file in place, in every folder that has it, and nothing that a listing shows."""
    status = blob.stat()
    content = bytearray(blob.read_bytes())
    content[len(content) // 2] ^= 1
    blob.write_bytes(content)
    subprocess.run(["touch", "-d", f"@{status.st_mtime}", str(blob)], check=True)


def test_nothing_is_built_twice(built: Workspace, tmp_path: Path) -> None:
    """The plan says so with and without being offline, and the second run starts no child and keeps every digest."""
    before = {name: built.digest(name) for name in NAMES}
    for options in (("--oci=out",), ("--oci=out", "--offline"), ("--load",)):
        assert dict.fromkeys(NAMES, "reuse") == actions(built.plan(*options))
    assert set() == started(built, tmp_path, "build", "--oci=out")
    assert before == {name: built.digest(name) for name in NAMES}
    assert dict.fromkeys(NAMES, "verified") == built.states()
    assert {"reused"} == {each.state for image in built.result().images for each in image.platforms}


def test_only_what_changed_and_its_descendants_are_built(built: Workspace, tmp_path: Path) -> None:
    """With the path of the file; the others keep their digests."""
    before = {name: built.digest(name) for name in NAMES}
    built.write({"api/app": "two"})
    plan = built.plan("--oci=out", "--offline")
    assert {"base": "reuse", "api": "build", "other": "reuse"} == actions(plan)
    assert [("files_changed", ("app",))] == reasons(plan, "api@linux/arm64")
    assert {"api"} == started(built, tmp_path / "a", "build", "--oci=out")
    assert ["base", "other"] == sorted(name for name in NAMES if built.digest(name) == before[name])
    built.write({"base/seed": "b"})
    assert {"base", "api"} == started(built, tmp_path / "b", "build", "--oci=out")


def test_a_child_is_never_taken_over_another_parent(built: Workspace, registries: Registries, tmp_path: Path) -> None:
    """A parent that was built again gives other bytes."""
    built.succeed("build", "--oci=out", "--force", "base")
    plan = built.plan("--oci=out")
    assert {"base": "reuse", "api": "build", "other": "reuse"} == actions(plan)
    assert ["upstream_rebuilt"] == [code for code, _ in reasons(plan, "api@linux/amd64")]
    assert {"api"} == started(built, tmp_path, "build", "--oci=out")
    out = built.root / "out"
    for platform in ("linux/amd64", "linux/arm64"):
        parent = registries.layout_file(out / "base", platform, "random")
        assert parent == registries.layout_file(out / "api", platform, "copied")


def test_what_was_asked_for_is_put_again(built: Workspace, tmp_path: Path) -> None:
    """A folder that was removed, a new one, and one in which a blob is gone or damaged: all without a build."""
    shutil.rmtree(built.root / "out")
    assert set() == started(built, tmp_path / "a", "build", "--oci=out")
    assert set() == started(built, tmp_path / "b", "build", "--oci=else")
    largest = blobs(built.root / "out/api")[0]
    largest.unlink()
    largest.write_bytes(b"x")
    assert set() == started(built, tmp_path / "c", "build", "--oci=out")
    for name in NAMES:
        for folder in ("out", "else"):
            built.succeed("verify", f"oci:{built.root}/{folder}/{name}")
            (root,) = json.loads((built.root / folder / name / "index.json").read_text())["manifests"]
            assert built.digest(name) == root["digest"]


def test_the_disk_holds_one_copy(built: Workspace) -> None:
    """What was asked for and what is remembered are the same files."""
    for name in NAMES:
        out = {path.name: path.stat().st_ino for path in blobs(built.root / "out" / name)}
        kept = {path.name: path.stat().st_ino for path in blobs(state(built, name))}
        assert out.items() <= kept.items()


@pytest.mark.parametrize("how", ["damaged", "gone"])
def test_what_is_not_what_it_says_is_built_again(built: Workspace, tmp_path: Path, how: str) -> None:
    """A blob of which a byte was changed, and one that is missing: the platform that it is of."""
    blob = blobs(state(built, "api"))[0]
    if how == "gone":
        blob.unlink()
    else:
        damage(blob)
    plan = built.plan("--oci=out")
    assert {"base": "reuse", "api": "graft", "other": "reuse"} == actions(plan)
    assert ["missing_in_registry"] == [why.code for build in plan.builds for why in build.reasons]
    assert {"api"} == started(built, tmp_path / "a", "build", "--oci=out")
    built.succeed("verify", f"oci:{built.root}/out/api")
    assert set() == started(built, tmp_path / "b", "build", "--oci=out")


def test_an_index_that_cannot_be_read_is_begun_anew(built: Workspace, tmp_path: Path) -> None:
    """Whatever is in it."""
    (state(built, "other") / "index.json").write_text('{"manifests": 7')
    assert {"base": "reuse", "api": "reuse", "other": "build"} == actions(built.plan("--oci=out"))
    assert {"other"} == started(built, tmp_path, "build", "--oci=out")


def test_nothing_piles_up(built: Workspace) -> None:
    """After many builds there is what there was after the first, and the listings of as many contexts."""
    counts = []
    for number in range(3):
        built.write({"api/app": str(number)})
        built.succeed("build", "--oci=out")
        counts.append((len(blobs(state(built, "api"))), len(blobs(built.root / "out/api"))))
    assert 1 == len(set(counts))


def test_another_platform_alone_costs_nothing_of_the_others(built: Workspace, tmp_path: Path) -> None:
    """A build of one platform does not take away what is remembered of the other."""
    assert set() == started(built, tmp_path / "a", "build", "--oci=narrow", "--platform=linux/arm64")
    assert set() == started(built, tmp_path / "b", "build", "--oci=out")


def test_loading_builds_nothing_again(lab: Lab, built: Workspace, tmp_path: Path) -> None:
    """What is in layouts is loaded."""
    assert set() == started(built, tmp_path, "build", "--load", "api")
    name = f"{built.registry}/api:1.2.3"
    argv = ["docker", "run", "--rm", "--pull=never", "--network=none", name, "cat", "/app"]
    done = subprocess.run(argv, env=lab.environ, capture_output=True, text=True, check=True)
    assert "one" == done.stdout


def test_what_a_commit_brings_is_not_taken(
    built: Workspace, make_workspace: MakeWorkspace, base_layout: tuple[str, ...], tmp_path: Path
) -> None:
    """Neither a clone with a state in it, nor one into which a commit puts something later, nor a copied folder."""
    built.git("add", "--force", ".orchestrate/state")
    built.git("commit", "--quiet", "--message=bring it along")
    clone = make_workspace({}, options=base_layout)
    shutil.rmtree(clone.root)
    built.git("clone", "--quiet", str(built.root), str(clone.root))
    shown = clone.run("plan", "--oci=out")
    assert ("git tracks files in it" in shown.stderr, shown.stdout.count("  + ")) == (True, 3)
    assert dict.fromkeys(NAMES, "build") == actions(built.plan("--oci=out"))
    built.git("rm", "-r", "--quiet", "--cached", ".orchestrate/state")
    assert dict.fromkeys(NAMES, "reuse") == actions(built.plan("--oci=out"))
    clone.git("rm", "-r", "--quiet", "--cached", ".orchestrate/state")
    shutil.rmtree(clone.root / ".orchestrate")
    shutil.copytree(built.root / ".orchestrate", clone.root / ".orchestrate")
    assert "it was copied here" in clone.run("plan", "--oci=out").stderr
    assert set(NAMES) == started(clone, tmp_path / "a", "build", "--oci=out")
    assert set() == started(clone, tmp_path / "b", "build", "--oci=out")


def test_no_link_is_followed(built: Workspace, tmp_path: Path) -> None:
    """Neither in the place of the state nor in the place of a layout in it."""
    away = tmp_path / "away"
    shutil.move(state(built, "api"), away)
    state(built, "api").symlink_to(away)
    before = sorted(path.name for path in blobs(away))
    assert {"base": "reuse", "api": "build", "other": "reuse"} == actions(built.plan("--oci=out"))
    shutil.move(built.root / ".orchestrate/state", tmp_path / "state")
    (built.root / ".orchestrate/state").symlink_to(tmp_path / "state")
    assert dict.fromkeys(NAMES, "build") == actions(built.plan("--oci=out"))
    assert set(NAMES) == started(built, tmp_path / "a", "build", "--oci=out")
    assert before == sorted(path.name for path in blobs(away))


def test_a_base_of_a_registry_is_looked_up(make_workspace: MakeWorkspace, lab: Lab, tmp_path: Path) -> None:
    """Or locked; where it is neither, what stands on it is built, and the plan says why."""
    busybox = f"{lab.registry.host}/lab/busybox:stable"
    workspace = make_workspace({name: text.replace("FROM busybox", f"FROM {busybox}") for name, text in FILES.items()})
    workspace.succeed("build", "--oci=out")
    assert set() == started(workspace, tmp_path, "build", "--oci=out")
    plan = workspace.plan("--oci=out", "--offline")
    assert dict.fromkeys(NAMES, "build") == actions(plan)
    ((code, items),) = reasons(plan, "other@linux/amd64")
    assert ("new", True) == (code, busybox in items)
    workspace.succeed("lock")
    workspace.succeed("build", "--oci=out")
    assert dict.fromkeys(NAMES, "reuse") == actions(workspace.plan("--oci=out", "--offline"))
