"""Builds without a registry and without the internet: a layout for each image, and one platform in Docker."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import MakeWorkspace
from tests.integration.registries import Registries
from tests.integration.workspace import Workspace
from tests.lab import Lab

pytestmark = pytest.mark.integration

FILES = {
    "builds.toml": """\
format = 1
[project]
name = "offline"
[version]
from = "git-tag"
match = "v*"
[defaults]
platforms = ["linux/amd64", "linux/arm64"]
tags = ["{{ version }}", { ref = "latest", moving = true }]
[platforms."*"]
emulation = "allow"
[images.base]
[images.api]
annotations = { "org.example.note" = "kept" }
[images.lone]
platforms = ["linux/arm64"]
provenance = "off"
""",
    "base/Dockerfile": "FROM busybox\nRUN uname -m > /etc/built-on\n",
    "api/Dockerfile": 'FROM base\nRUN cat /etc/built-on > /api\nCMD ["cat", "/api"]\n',
    "lone/Dockerfile": "FROM base\n",
}
MACHINES = {"linux/amd64": "x86_64", "linux/arm64": "aarch64"}


@pytest.fixture(scope="module")
def workspace(lab: Lab, make_workspace: MakeWorkspace, base_layout: tuple[str, ...]) -> Iterator[Workspace]:
    """The project, while no registry answers."""
    made = make_workspace(FILES, options=base_layout)
    lab.registry.kill()
    yield made
    lab.registry.restart()


@pytest.fixture(scope="module")
def built(workspace: Workspace) -> Path:
    """The folder of layouts that a build left."""
    workspace.succeed("build", "--oci=out")
    return workspace.root / "out"


def blobs(layout: Path) -> dict[str, int]:
    """The blobs of a layout and their sizes."""
    return {path.name: path.stat().st_size for path in (layout / "blobs/sha256").iterdir()}


def test_there_is_one_layout_for_each_image(built: Path, workspace: Workspace) -> None:
    """A folder for each image, with the one index that the result names, under the first tag."""
    found = {}
    for path in built.iterdir():
        (root,) = json.loads((path / "index.json").read_text())["manifests"]
        found[path.name] = (root["digest"], root["annotations"]["org.opencontainers.image.ref.name"])

    assert {name: (workspace.digest(name), "1.2.3") for name in ("base", "api", "lone")} == found


def test_the_table_names_the_manifests_of_the_layout(built: Path, workspace: Workspace) -> None:
    """The platforms of the result are those of the index on disk, digest by digest; each blob is what its name says."""
    image = workspace.image("api")
    index = json.loads((built / "api/blobs" / str(image.digest).replace(":", "/")).read_text())
    found = {
        "/".join(each["platform"][key] for key in ("os", "architecture")): each["digest"]
        for each in index["manifests"]
        if each["platform"]["os"] != "unknown"
    }
    sums = subprocess.run(["sha256sum", *blobs(built / "api")], cwd=built / "api/blobs/sha256", stdout=-1, check=True)

    assert {build.platform: build.digest for build in image.platforms} == found
    assert "kept" == index["annotations"]["org.example.note"]
    assert [line.split() for line in sums.stdout.decode().splitlines()] == [
        [name, name] for name in blobs(built / "api")
    ]


@pytest.mark.parametrize("name", ["base", "api"])
def test_verify_takes_the_layouts(name: str, built: Path, workspace: Workspace) -> None:
    """`orchestrate verify oci:DIR` reads all of it and finds it right."""
    workspace.succeed("verify", "--platform=linux/amd64,linux/arm64", f"oci:{built}/{name}")


def test_verify_misses_a_platform(built: Path, workspace: Workspace) -> None:
    """Held against more platforms than there are: exit 6, and the one that is missing is named."""
    missing = workspace.run("verify", "--platform=linux/amd64,linux/arm64", f"oci:{built}/lone")

    assert 6 == missing.exit_code
    assert "linux/amd64" in missing.output


@pytest.mark.parametrize("platform", MACHINES)
def test_the_child_stands_on_the_parent_of_its_platform(platform: str, built: Path, registries: Registries) -> None:
    """Parents were handed over as layouts: the child's `RUN` saw what the parent's had written on this platform."""
    assert MACHINES[platform] == registries.layout_file(built / "api", platform, "api")


def test_building_again_piles_nothing_up(built: Path, workspace: Workspace) -> None:
    """After a second run the layout has as many blobs as after the first, and still one index."""
    before = len(blobs(built / "api"))
    workspace.succeed("build", "--oci=out")

    assert before == len(blobs(built / "api"))
    assert 1 == len(json.loads((built / "api/index.json").read_text())["manifests"])
    workspace.succeed("verify", f"oci:{built}/api")


def test_a_bare_build_stays_in_the_repository(workspace: Workspace) -> None:
    """Without a destination the layouts are under `.orchestrate/oci`, which git does not see."""
    ran = workspace.succeed("build", "base")

    assert ["base"] == [path.name for path in (workspace.root / ".orchestrate/oci").iterdir()]
    assert workspace.digest("base") in ran.stdout
    assert ".orchestrate" not in workspace.git("status", "--porcelain")


def test_one_platform_alone_can_be_built(workspace: Workspace, registries: Registries) -> None:
    """`--platform` narrows the image and its parents to what was asked for."""
    workspace.succeed("build", "--platform=linux/arm64", "--oci=narrow", "api")
    images = {image.name: [build.platform for build in image.platforms] for image in workspace.result().images}

    assert {"base": ["linux/arm64"], "api": ["linux/arm64"]} == images
    assert "aarch64" == registries.layout_file(workspace.root / "narrow/api", "linux/arm64", "api")


def test_load_puts_this_machine_s_platform_into_docker(lab: Lab, workspace: Workspace) -> None:
    """After `--load` the image is there under all its tags, and runs without being pulled."""
    workspace.succeed("build", "--load", "api")
    argv = ["docker", "run", "--rm", "--pull=never", "--network=none"]
    ran = [
        subprocess.run(
            [*argv, f"{workspace.registry}/api:{tag}"], env=lab.environ, capture_output=True, text=True, check=False
        ).stdout.strip()
        for tag in ("1.2.3", "latest")
    ]

    assert ["x86_64", "x86_64"] == ran


def test_a_layout_may_lie_outside_of_the_repository(workspace: Workspace, tmp_path: Path) -> None:
    """`--oci` takes an absolute path: it is the user's own word."""
    workspace.succeed("build", f"--oci={tmp_path}/else", "api")

    assert {"api", "base"} == {path.name for path in (tmp_path / "else").iterdir()}
    workspace.succeed("verify", f"oci:{tmp_path}/else/api")


def test_no_network_is_needed(lab: Lab, workspace: Workspace) -> None:
    """In a network namespace of its own, where not even the loopback is up, the build works all the same."""
    argv = ["unshare", "--net", *workspace.command("build", "--oci=netless", "api")]
    done = subprocess.run(argv, cwd=workspace.root, env=workspace.environ, capture_output=True, text=True, check=False)

    assert 0 == done.returncode, done.stdout + done.stderr
    assert lab.engines
