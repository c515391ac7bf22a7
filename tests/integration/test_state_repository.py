"""`[state] repository`: all results stand in one repository, and only what is public goes to those of the images."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.integration.conftest import MakeWorkspace
from tests.integration.recorder import Recorder
from tests.integration.registries import Registries
from tests.integration.workspace import Workspace

pytestmark = pytest.mark.integration

PROJECT = """\
format = 1
[project]
name = "apart"
[version]
from = "git-tag"
match = "v*"
[defaults]
platforms = ["linux/amd64", "linux/arm64"]
tags = ["{{ version }}", { ref = "latest", moving = true }]
[platforms."*"]
emulation = "allow"
[state]
repository = "%STATE%"
[images.base]
[images.api]
[images.twin]
[images.inner]
publish = false
"""
FILES: Mapping[str, str] = {
    "base/Dockerfile": "FROM %BASE%\nRUN cat /proc/sys/kernel/random/uuid > /random\n",
    "api/Dockerfile": "FROM base\nCOPY app /app\nRUN cp /random /copied\n",
    "api/app": "one",
    # made from the very same as `api`, under another name
    "twin/Dockerfile": "FROM base\nCOPY app /app\nRUN cp /random /copied\n",
    "twin/app": "one",
    "inner/Dockerfile": "FROM base\nRUN cp /random /inner\n",
}
PUBLIC = ("base", "api", "twin")
_COPIED = re.compile(r"(ok|mv)-[0-9a-f]{64}\Z")


def state_of(workspace: Workspace) -> str:
    """The repository of the state."""
    return f"{workspace.registry}-state/all"


@pytest.fixture
def built(make_workspace: MakeWorkspace) -> Workspace:
    """A repository of which everything was pushed."""
    workspace = make_workspace(FILES)
    workspace.write({"builds.toml": PROJECT.replace("%STATE%", state_of(workspace))})
    workspace.commit("v1.2.3")
    workspace.succeed("build", "--push")
    return workspace


def started(workspace: Workspace, folder: Path, *arguments: str) -> int:
    """How many builds a command starts."""
    recorder = Recorder(folder, workspace.environ)
    workspace.succeed(*arguments, PATH=recorder.path(workspace.environ))
    return len(recorder.builds())


def test_nothing_private_is_where_images_are_public(built: Workspace, registries: Registries) -> None:
    """There are the tags, the name of the copy, and the notes of moving tags; what is not published is not there."""
    for name in PUBLIC:
        repository = f"{built.registry}/{name}"
        assert ["1.2.3", "latest"] == registries.public(repository)
        private = [tag for tag in registries.tags(repository) if tag not in {"1.2.3", "latest"}]
        assert ["mv", "ok"] == sorted(match[1] for tag in private if (match := _COPIED.match(tag)))
        assert 2 == len(private)
    assert [] == registries.tags(f"{built.registry}/inner")
    kinds = {tag[:3] for tag in registries.tags(state_of(built))}
    assert {"in-", "ok-", "im-", "at-", "run"} == kinds
    assert {state_of(built)} == {image.home for image in built.result().images}


def test_a_child_stands_on_its_parent(built: Workspace, registries: Registries) -> None:
    """Which it was given from there."""
    for platform in ("linux/amd64", "linux/arm64"):
        parent = registries.file(f"{built.registry}/base:latest", platform, "random")
        assert parent == registries.file(f"{built.registry}/api:latest", platform, "copied")


def test_a_second_run_builds_nothing(built: Workspace, tmp_path: Path) -> None:
    """And the plan names the repository."""
    plan = built.plan("--push")
    assert {"reuse"} == {image.action for image in plan.images}
    assert f"state: in {state_of(built)}\n" in built.succeed("plan", "--push").stdout
    assert 0 == started(built, tmp_path, "build", "--push")


def test_tags_are_put_back_without_a_build(built: Workspace, registries: Registries, tmp_path: Path) -> None:
    """One that was moved by hand, and a whole repository that lost its tags."""
    image = f"{built.registry}/api"
    before = registries.digest(f"{image}:latest")
    registries.move(f"{built.registry}/base:latest", f"{image}:latest")
    registries.tool("crane", "delete", "--insecure", f"{image}@{before}")
    assert ["latest"] == registries.public(image)
    assert {"api": "retag"} == {
        each.name: each.action for each in built.plan("--push").images if each.action != "reuse"
    }
    assert 0 == started(built, tmp_path, "build", "--push")
    assert {before} == {registries.digest(f"{image}:{tag}") for tag in ("1.2.3", "latest")}


def test_images_that_are_made_from_the_same_do_not_meet(built: Workspace, registries: Registries) -> None:
    """One of them is built again, and the other keeps its digest and its tags."""
    before = registries.digest(f"{built.registry}/twin:latest")
    built.succeed("build", "--push", "--force", "--replace-tags", "api")
    plan = built.plan("--push")
    assert {"twin": "reuse", "api": "reuse"} == {
        image.name: image.action for image in plan.images if image.name in {"api", "twin"}
    }
    assert before == registries.digest(f"{built.registry}/twin:latest")


def test_what_is_staged_is_promoted_from_there(make_workspace: MakeWorkspace, registries: Registries) -> None:
    """Until then no repository of an image has anything of it."""
    workspace = make_workspace(FILES)
    workspace.write({"builds.toml": PROJECT.replace("%STATE%", state_of(workspace))})
    workspace.commit("v1.2.3")
    workspace.succeed("build", "--stage")
    assert [] == registries.tags(f"{workspace.registry}/api")
    workspace.succeed("promote")
    assert workspace.digest("api") == registries.digest(f"{workspace.registry}/api:1.2.3")
    workspace.succeed("verify", f"{workspace.registry}/api:1.2.3")
    workspace.write({"api/app": "two"})
    plan = workspace.plan("--push", "--replace-tags", "--no-deps", "api")
    assert not plan.blocked


def test_a_name_that_is_no_repository_is_told(make_workspace: MakeWorkspace) -> None:
    """With the line that has it."""
    workspace = make_workspace(FILES)
    workspace.write({"builds.toml": PROJECT.replace("%STATE%", "Not/A Repository")})
    ran = workspace.run("plan")
    assert (2, True) == (ran.exit_code, "builds.toml:13" in ran.stderr)
