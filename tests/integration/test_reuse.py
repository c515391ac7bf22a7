"""Nothing is built twice: what a registry holds is taken over, and a plan says why the rest is built."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from orchestrator.plan.document import PlanDocument
from tests.integration.conftest import MakeWorkspace
from tests.integration.recorder import Recorder
from tests.integration.registries import Registries
from tests.integration.workspace import Workspace

pytestmark = pytest.mark.integration

PROJECT = """\
format = 1
[project]
name = "reuse"
[version]
from = "git-tag"
match = "v*"
[defaults]
platforms = ["linux/amd64", "linux/arm64"]
tags = ["{{ version }}", { ref = "latest", moving = true }]
labels = { "revision" = { value = "{{ git.sha }}", volatile = true } }
[platforms."*"]
emulation = "allow"
[images.base]
[images.middle]
[images.leaf]
[images.other]
"""
FILES: Mapping[str, str] = {
    "builds.toml": PROJECT,
    # no build of it is like another, so that what stands on it can be told from what stood on an earlier one
    "base/Dockerfile": "FROM %BASE%\nCOPY seed /seed\nRUN cat /proc/sys/kernel/random/uuid > /random\n",
    "base/seed": "a",
    "middle/Dockerfile": "FROM base\nCOPY app /app\n",
    "middle/app": "one",
    "leaf/Dockerfile": "FROM middle\nRUN cp /random /leaf\n",
    "other/Dockerfile": "FROM base\nRUN cp /random /other\n",
}
NAMES = ("base", "middle", "leaf", "other")


@pytest.fixture
def built(make_workspace: MakeWorkspace) -> Workspace:
    """A repository of which everything was pushed."""
    workspace = make_workspace(FILES)
    workspace.succeed("build", "--push")
    return workspace


def release(workspace: Workspace, version: str) -> None:
    """A commit with a version of its own."""
    workspace.commit(f"v{version}")


def actions(plan: PlanDocument) -> dict[str, str]:
    """What is to become of each image."""
    return {image.name: image.action for image in plan.images}


def reasons(plan: PlanDocument, build: str) -> list[tuple[str, tuple[str, ...]]]:
    """Why a platform build is built."""
    return next([(why.code, why.items) for why in each.reasons] for each in plan.builds if each.id == build)


def built_images(recorder: Recorder) -> list[str]:
    """The contexts of all builds that were started."""
    return [call.argv[-1] for call in recorder.builds()]


def test_nothing_is_built_twice(built: Workspace, registries: Registries, tmp_path: Path) -> None:
    """The second run starts no build, and no digest and no tag moves."""
    before = {name: registries.digest(f"{built.registry}/{name}:latest") for name in NAMES}
    recorder = Recorder(tmp_path, built.environ)
    assert dict.fromkeys(NAMES, "reuse") == actions(built.plan("--push"))
    built.succeed("build", "--push", PATH=recorder.path(built.environ))
    assert [] == recorder.builds()
    assert before == {name: registries.digest(f"{built.registry}/{name}:latest") for name in NAMES}
    assert dict.fromkeys(NAMES, "released") == built.states()
    assert {"reused"} == {each.state for image in built.result().images for each in image.platforms}


def test_another_machine_knows_the_same(built: Workspace, make_workspace: MakeWorkspace) -> None:
    """A clone elsewhere, with other times and another umask, and without anything below `.orchestrate`."""
    clone = make_workspace({})
    shutil.rmtree(clone.root)
    built.git("clone", "--quiet", str(built.root), str(clone.root))
    for path in clone.root.rglob("*"):
        if ".git" not in path.parts:
            path.chmod(0o775 if path.is_dir() else 0o664)
    clone.environ["ORCHESTRATE_REGISTRY"] = built.registry
    assert dict.fromkeys(NAMES, "reuse") == actions(clone.plan("--push"))


def test_a_file_that_changed_rebuilds_what_stands_on_it_alone(built: Workspace, registries: Registries) -> None:
    """With its path; what does not stand on it keeps its digest, byte for byte."""
    before = {name: registries.digest(f"{built.registry}/{name}:latest") for name in NAMES}
    built.write({"middle/app": "two"})
    release(built, "1.2.4")
    plan = built.plan("--push")
    assert {"base": "retag", "middle": "build", "leaf": "build", "other": "retag"} == actions(plan)
    assert [("files_changed", ("app",))] == reasons(plan, "middle@linux/arm64")
    assert ["upstream_changed"] == [code for code, _ in reasons(plan, "leaf@linux/amd64")]
    built.succeed("build", "--push")
    after = {name: registries.digest(f"{built.registry}/{name}:latest") for name in NAMES}
    assert {"base", "other"} == {name for name in NAMES if before[name] == after[name]}
    image = f"{built.registry}/leaf:latest"
    assert "two" == registries.file(image, "linux/arm64", "app")
    assert registries.file(f"{built.registry}/base:latest", "linux/arm64", "random") == registries.file(
        image, "linux/arm64", "leaf"
    )


def test_a_new_version_alone_only_tags(built: Workspace, registries: Registries, tmp_path: Path) -> None:
    """It stands in tags and in volatile labels, of which the old values are kept."""
    release(built, "2.0.0")
    assert dict.fromkeys(NAMES, "retag") == actions(built.plan("--push"))
    recorder = Recorder(tmp_path, built.environ)
    built.succeed("build", "--push", PATH=recorder.path(built.environ))
    assert [] == recorder.builds()
    for name in NAMES:
        assert {registries.digest(f"{built.registry}/{name}:{tag}") for tag in ("1.2.3", "2.0.0", "latest")} == {
            registries.digest(f"{built.registry}/{name}:1.2.3")
        }


def test_a_new_platform_is_grafted_on(make_workspace: MakeWorkspace, registries: Registries) -> None:
    """It alone is built; the children of the old platforms keep their digests."""
    one = PROJECT.replace('["linux/amd64", "linux/arm64"]', '["linux/amd64"]')
    workspace = make_workspace({**FILES, "builds.toml": one})
    workspace.succeed("build", "--push")
    before = registries.index(f"{workspace.registry}/leaf:latest").images
    workspace.write({"builds.toml": PROJECT})
    release(workspace, "1.3.0")
    plan = workspace.plan("--push")
    assert dict.fromkeys(NAMES, "graft") == actions(plan)
    assert ["platform_added"] == [code for code, _ in reasons(plan, "base@linux/arm64")]
    workspace.succeed("build", "--push")
    after = registries.index(f"{workspace.registry}/leaf:latest").images
    assert ({"linux/amd64", "linux/arm64"}, before) == (set(after), {key: after[key] for key in before})


def test_a_child_stands_on_the_parent_of_its_run(built: Workspace, registries: Registries) -> None:
    """A parent that is built again gives other bytes, so its children are built again too."""
    plan = built.plan("--push", "--force", "--replace-tags", "base")
    assert {"base": "build"} == actions(plan)
    assert [("forced", ())] == reasons(plan, "base@linux/amd64")
    built.succeed("build", "--push", "--force", "--replace-tags", "base")
    plan = built.plan("--push", "--replace-tags")
    assert {"base": "reuse", "middle": "build", "leaf": "build", "other": "build"} == actions(plan)
    assert ["upstream_rebuilt"] == [code for code, _ in reasons(plan, "leaf@linux/amd64")]
    built.succeed("build", "--push", "--replace-tags")
    for platform in ("linux/amd64", "linux/arm64"):
        files = {
            registries.file(f"{built.registry}/{name}:latest", platform, path)
            for name, path in (("base", "random"), ("leaf", "leaf"), ("other", "other"))
        }
        assert 1 == len(files)


def test_a_forged_record_is_not_taken(built: Workspace, registries: Registries) -> None:
    """Whoever points the private names of one image at another has won nothing."""
    repository = f"{built.registry}/middle"
    names = [tag for tag in registries.tags(repository) if tag.startswith(("in-", "ok-"))]
    for name in names:
        registries.move(f"{built.registry}/other:latest", f"{repository}:{name}")
    assert {"middle": "build", "base": "reuse"} == actions(built.plan("--push", "--replace-tags", "middle"))


def test_without_a_registry_that_answers_everything_is_built(built: Workspace) -> None:
    """And the plan says that it does not know."""
    plan = built.plan("--push", "--offline")
    assert {"build"} == set(actions(plan).values())


def test_what_may_be_taken_depends_on_the_scope(built: Workspace) -> None:
    """A pull request reads what `[state]` allows, and its own."""
    assert {"build"} == set(actions(built.plan("--push", "--replace-tags", "--state-scope=pr-7")).values())
    built.write({"builds.toml": PROJECT + '[state]\nread = ["main"]\n'})
    assert {"reuse"} == set(actions(built.plan("--push", "--state-scope=pr-7")).values())


def test_input_manifests_are_kept_for_other_machines(built: Workspace, registries: Registries) -> None:
    """By their digest, with the listings of contexts that they name."""
    (record,) = [each for each in built.plan("--push").builds if each.id == "middle@linux/amd64"]
    assert record.input is not None
    tag = f"{built.registry}/middle:im-{record.input.removeprefix('sha256:')}"
    artifact = json.loads(registries.tool("crane", "manifest", "--insecure", tag))
    assert record.input == artifact["config"]["digest"]
    assert 1 == len(artifact["layers"])
