"""Exactly what changed is built; everything else keeps its digest, and the bytes behind it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.conftest import MakeWorkspace
from tests.integration.family import AMD64, ARM64, FILES, PROJECT, actions
from tests.integration.recorder import Recorder
from tests.integration.registries import Registries
from tests.integration.workspace import Workspace

pytestmark = pytest.mark.integration

NAMES = ("base", "left", "right", "leaf")
CHAIN = {
    **FILES,
    "builds.toml": PROJECT + "[images.leaf]\n",
    "leaf/Dockerfile": "FROM left\nCOPY --from=base /random /copied\n",
}
RELEASED = PROJECT.replace(
    "tags = [", 'labels = { "version" = { value = "{{ version }}", volatile = true } }\ntags = ["{{ version }}", '
)


def contents(registries: Registries, workspace: Workspace, *names: str) -> dict[str, str]:
    """The bytes of indexes."""
    found = (f"{workspace.registry}/{name}:latest" for name in names)
    return {
        name: registries.tool("crane", "manifest", "--insecure", each) for name, each in zip(names, found, strict=True)
    }


def build(workspace: Workspace, folder: Path) -> list[list[str]]:
    """Build; the argvs of all builds that were started."""
    recorder = Recorder(folder, workspace.environ)
    workspace.succeed("build", "--push", PATH=recorder.path(workspace.environ))
    return [call.argv for call in recorder.builds()]


def test_one_file_of_the_second_level(make_workspace: MakeWorkspace, registries: Registries, tmp_path: Path) -> None:
    """Its image and what stands on it are built, with the path named; the others are not, to the last byte."""
    workspace = make_workspace(CHAIN)
    workspace.succeed("build", "--push")
    before = contents(registries, workspace, *NAMES)
    workspace.write({"left/app": "two"})

    plan = workspace.plan("--push")
    expected = {"base": "reuse", "left": "build", "right": "reuse", "leaf": "build"}
    assert expected == {image.name: image.action for image in plan.images}
    assert {f"{name}@{platform}": expected[name] for name in expected for platform in (AMD64, ARM64)} == actions(plan)
    reasons = {each.id: [(why.code, why.items) for why in each.reasons] for each in plan.builds if each.reasons}
    assert {
        **{f"left@{platform}": [("files_changed", ("app",))] for platform in (AMD64, ARM64)},
        **{f"leaf@{platform}": [("upstream_changed", ("left",))] for platform in (AMD64, ARM64)},
    } == reasons

    assert ["left", "leaf"] == [argv[-1] for argv in build(workspace, tmp_path)]
    after = contents(registries, workspace, *NAMES)
    assert {"base", "right"} == {name for name in NAMES if before[name] == after[name]}


def test_a_new_platform_of_one_image(make_workspace: MakeWorkspace, registries: Registries, tmp_path: Path) -> None:
    """It alone is built, the index has both; what stands on the old one is not touched."""
    only = 'platforms = ["linux/amd64"]\n'
    workspace = make_workspace(
        {
            **FILES,
            "builds.toml": PROJECT.replace("[images.left]\n", f"[images.left]\n{only}[images.leaf]\n{only}"),
            "leaf/Dockerfile": CHAIN["leaf/Dockerfile"],
        }
    )
    workspace.succeed("build", "--push")
    before = contents(registries, workspace, *NAMES)
    old = registries.index(f"{workspace.registry}/left:latest")
    workspace.write({"builds.toml": PROJECT + f"[images.leaf]\n{only}"})

    plan = workspace.plan("--push")
    assert {"base": "reuse", "left": "graft", "right": "reuse", "leaf": "reuse"} == {
        image.name: image.action for image in plan.images
    }
    assert ["left@linux/arm64"] == [each for each, action in actions(plan).items() if action == "build"]
    (argv,) = build(workspace, tmp_path)
    assert ["--platform=linux/arm64"] == [word for word in argv if word.startswith("--platform")]
    after = contents(registries, workspace, *NAMES)
    assert ["left"] == [name for name in NAMES if before[name] != after[name]]
    new = registries.index(f"{workspace.registry}/left:latest")
    assert {AMD64, ARM64} == set(new.images)
    assert old.images[AMD64] == new.images[AMD64]
    assert old.attestations.items() <= new.attestations.items()


def test_a_new_version_alone(make_workspace: MakeWorkspace, registries: Registries, tmp_path: Path) -> None:
    """It stands in tags and in a volatile label, which keeps the value that it was built with."""
    workspace = make_workspace({**FILES, "builds.toml": RELEASED})
    workspace.succeed("build", "--push")
    names = ("base", "left", "right")
    before = contents(registries, workspace, *names)
    workspace.write({"builds.toml": RELEASED.replace('"1.0.0"', '"2.0.0"')})

    plan = workspace.plan("--push")
    assert dict.fromkeys(names, "retag") == {image.name: image.action for image in plan.images}
    assert {"reuse"} == set(actions(plan).values())
    assert [] == build(workspace, tmp_path)
    assert before == contents(registries, workspace, *names)
    for name in names:
        image = f"{workspace.registry}/{name}"
        assert ["1.0.0", "2.0.0", "latest"] == registries.public(image)
        assert 1 == len({registries.digest(f"{image}:{tag}") for tag in ("1.0.0", "2.0.0", "latest")})
        assert "1.0.0" == registries.labels(f"{image}:2.0.0", ARM64)["version"]
