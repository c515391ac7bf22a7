"""Locking against a real registry: what is written down is what crane sees, and stays so when tags move."""

from __future__ import annotations

import json

import pytest

from tests.integration.conftest import MakeWorkspace
from tests.integration.registries import Registries
from tests.integration.workspace import Workspace
from tests.lab import Lab

pytestmark = pytest.mark.integration

PROJECT = """\
format = 1
[project]
name = "locked"
[defaults]
platforms = ["linux/amd64", "linux/arm64"]
tags = ["1.0"]
[images.api]
"""
EMULATED = '[platforms."*"]\nemulation = "allow"\n'
MACHINES = {"linux/amd64": "x86_64", "linux/arm64": "aarch64"}


@pytest.fixture
def workspace(make_workspace: MakeWorkspace, lab: Lab) -> Workspace:
    """One image that stands on an index, and takes data from a manifest without one."""
    workspace = make_workspace({"builds.toml": PROJECT})
    index, lone = f"{workspace.registry}/index:stable", f"{workspace.registry}/lone:1"
    lab.push_base(index)
    registries = Registries(lab)
    registries.tool("crane", "copy", "--insecure", "--platform=linux/arm64", index, lone)
    workspace.write({"api/Dockerfile": f"FROM {index}\nCOPY --from={lone} /bin/busybox /other\n"})
    return workspace


def locked(workspace: Workspace) -> str:
    """The text of the lock."""
    return (workspace.root / "builds.lock").read_text(encoding="utf-8")


def test_lock_has_what_the_registry_has(workspace: Workspace, registries: Registries) -> None:
    """The digest of an index with its platforms, and that of a lone manifest with the platform of its config."""
    ran = workspace.succeed("lock")
    index, lone = (registries.digest(f"{workspace.registry}/{name}") for name in ("index:stable", "lone:1"))
    assert (
        f'[bases."{workspace.registry}/index:stable"]\ndigest = "{index}"\nplatforms = ["linux/amd64", "linux/arm64"]\n'
        f'\n[bases."{workspace.registry}/lone:1"]\ndigest = "{lone}"\nplatforms = ["linux/arm64"]\n'
    ) == locked(workspace).split("\n\n", 1)[1]
    assert [index, lone] == [line.split()[-1] for line in ran.stdout.splitlines()]
    assert 0 == workspace.run("lock", "--check").exit_code


def test_moved_tag_is_noticed_and_followed_when_asked(workspace: Workspace, registries: Registries, lab: Lab) -> None:
    """`lock` alone keeps the digest; `--check` says 10, `--update` moves it."""
    workspace.succeed("lock")
    before = locked(workspace)
    tag = f"{workspace.registry}/index:stable"
    old = registries.digest(tag)
    new = lab.push_base(tag, ("linux/amd64",))
    checked = workspace.run("lock", "--check", "--format=json")
    assert 10 == checked.exit_code, checked.output
    assert [("moved", old, new)] == [
        (each["change"], each["old"], each["new"]) for each in json.loads(checked.stdout)["changes"]
    ]
    workspace.succeed("lock")
    assert before == locked(workspace)
    workspace.succeed("lock", "--update", "*index*")
    assert before.replace(old, new).replace('"linux/amd64", "linux/arm64"', '"linux/amd64"') == locked(workspace)


def test_registry_that_is_not_there_changes_nothing(workspace: Workspace, lab: Lab) -> None:
    """Half a lock is never written."""
    workspace.succeed("lock")
    before = locked(workspace)
    other = lab.new_registry()
    dockerfile = f"FROM {workspace.registry}/index:stable\nCOPY --from={other.host}/base:1 / /\n"
    workspace.write({"api/Dockerfile": dockerfile})
    other.kill()
    ran = workspace.run("lock")
    assert (5, "") == (ran.exit_code, ran.stdout), ran.output
    assert before == locked(workspace)


@pytest.mark.parametrize("stage", ["", " AS node"])
def test_builds_stand_on_what_is_locked(stage: str, workspace: Workspace, registries: Registries, lab: Lab) -> None:
    """Though the tag has moved on to an image that lacks a platform; a stage of that name runs all the same."""
    name = f"{workspace.registry}/index:stable"
    context = f'contexts = {{ node = "docker-image://{name}" }}\n' if stage else ""
    dockerfile = f"FROM {'node' if stage else name}{stage}\nRUN uname -m > /made\n"
    workspace.write({"builds.toml": PROJECT + context + EMULATED, "api/Dockerfile": dockerfile})
    workspace.succeed("lock")
    lab.push_base(name, ("linux/amd64",))
    workspace.succeed("build", "--push")
    image = f"{workspace.registry}/api:1.0"
    assert MACHINES == {platform: registries.file(image, platform, "made") for platform in MACHINES}
