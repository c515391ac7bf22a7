"""Volatile values: what is taken over keeps the old ones and says so, `--fresh-volatile` builds for new ones."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from orchestrator.plan.document import PlanDocument
from tests.integration.conftest import MakeWorkspace
from tests.integration.registries import Registries
from tests.integration.workspace import Workspace

pytestmark = pytest.mark.integration

PROJECT = """\
format = 1
[project]
name = "volatile"
[vars]
revision = "one"
[version]
value = "1.0.0"
[defaults]
platforms = ["linux/amd64", "linux/arm64"]
tags = [{ ref = "latest", moving = true }]
[platforms."*"]
emulation = "allow"
[images.base]
labels = { revision = { value = "{{ vars.revision }}", volatile = true } }
[images.api]
labels = { revision = { value = "{{ vars.revision }}", volatile = true } }
args = { BUILT = { value = "{{ vars.revision }}", volatile = true } }
[images.plain]
"""
FILES: Mapping[str, str] = {
    "builds.toml": PROJECT,
    "base/Dockerfile": "FROM %BASE%\nRUN echo base > /base\n",
    "api/Dockerfile": "FROM base\nARG BUILT\nRUN echo $BUILT > /built\n",
    "plain/Dockerfile": "FROM %BASE%\nRUN echo plain > /plain\n",
}
LATER = "--var=revision=two"


@pytest.fixture
def built(make_workspace: MakeWorkspace) -> Workspace:
    """A repository of which everything was pushed."""
    workspace = make_workspace(FILES)
    workspace.succeed("build", "--push")
    return workspace


def kept(plan: PlanDocument) -> dict[str, tuple[str, ...]]:
    """What each image keeps the old values of."""
    return {image.name: image.keeps for image in plan.images}


def revision(workspace: Workspace, registries: Registries, name: str) -> str:
    """The label of the image that `latest` points at."""
    return registries.labels(f"{workspace.registry}/{name}:latest", "linux/amd64")["revision"]


def test_what_is_taken_over_keeps_its_old_values_and_says_which(built: Workspace, registries: Registries) -> None:
    """The plan as JSON and as text, the result and the table name them, and never say the values."""
    names = {"base": ("label revision",), "api": ("label revision", "arg BUILT"), "plain": ()}
    assert names == kept(built.plan("--push", LATER))
    text = built.succeed("plan", "--push", LATER).stdout
    ran = built.succeed("build", "--push", LATER)
    assert names == {image.name: image.keeps for image in built.result().images}
    assert ("one", "one") == (revision(built, registries, "base"), revision(built, registries, "api"))
    for shown in (text, ran.stdout):
        assert [1, 2] == [shown.count("keeps label revision, arg BUILT"), shown.count("keeps label revision")]
        assert "two" not in shown


def test_fresh_values_are_built(built: Workspace, registries: Registries) -> None:
    """All selected images that have some, and what has none stands."""
    plan = built.plan("--push", "--fresh-volatile", LATER)
    assert {"base": "build", "api": "build", "plain": "reuse"} == {image.name: image.action for image in plan.images}
    assert {("forced", "volatile values asked for anew: label revision, arg BUILT")} == {
        (why.code, why.message) for build in plan.builds if build.image == "api" for why in build.reasons
    }
    assert {"base": (), "api": (), "plain": ()} == kept(plan)
    built.succeed("build", "--push", "--fresh-volatile", LATER)
    assert ("two", "two") == (revision(built, registries, "base"), revision(built, registries, "api"))
    assert "two" == registries.file(f"{built.registry}/api:latest", "linux/amd64", "built")


def test_parents_that_are_not_selected_stand(built: Workspace, registries: Registries) -> None:
    """As with `--force`."""
    built.succeed("build", "--push", "--fresh-volatile", LATER, "api")
    assert ("one", "two") == (revision(built, registries, "base"), revision(built, registries, "api"))


def test_a_graft_says_of_which_platforms(make_workspace: MakeWorkspace) -> None:
    """The new platform has the values of this build."""
    workspace = make_workspace(
        {**FILES, "builds.toml": PROJECT.replace('["linux/amd64", "linux/arm64"]', '["linux/amd64"]')}
    )
    workspace.succeed("build", "--push")
    workspace.write({"builds.toml": PROJECT})
    text = workspace.succeed("plan", "--push", LATER).stdout
    assert 1 == text.count("keeps label revision, arg BUILT on linux/amd64\n")
