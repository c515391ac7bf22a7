"""Parents and pinned bases whose name a stage has as well: the stage is kept and the image is the right one."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping

import pytest

from tests.integration.conftest import MakeWorkspace
from tests.integration.registries import Registries
from tests.integration.workspace import Workspace
from tests.lab import Lab

pytestmark = pytest.mark.integration

PROJECT = """\
format = 1
[project]
name = "named"
[version]
from = "git-tag"
match = "v*"
[defaults]
platforms = ["linux/amd64", "linux/arm64"]
tags = ["{{ version }}"]
args = { REGISTRY = "{{ registry }}" }
[platforms."*"]
emulation = "allow"
"""
MACHINES = {"linux/amd64": "x86_64", "linux/arm64": "aarch64"}
# what only the parent of this run can hold: no cache and no earlier image has it
WORD = uuid.uuid4().hex
PARENT = f"FROM %BASE%\nRUN echo {WORD} $(uname -m) > /parent\n"
STAGE = "RUN test -e /parent && echo kept $(uname -m) > /stage\n"
CHILDREN = {
    "same": f"FROM base AS base\n{STAGE}",
    "upper": f"FROM base AS Base\n{STAGE}",
    "used": f"FROM base AS base\n{STAGE}FROM base\nRUN test -e /stage\n",
    "argued": f"ARG BASE=base\nFROM ${{BASE}} AS base\n{STAGE}",
    "copied": f"FROM base AS base\n{STAGE}FROM %BASE%\nCOPY --from=base /stage /parent /\n",
    "mounted": f"FROM %BASE%\nRUN --mount=type=bind,from=base,target=/b cp /b/parent /\n{STAGE}",
    "drawn": f"FROM %BASE%\nCOPY --from=base /parent /\n{STAGE}",
    "tagged": f"ARG REGISTRY\nFROM ${{REGISTRY}}/base:1.2.3 AS base\n{STAGE}",
    "variable": f"ARG BASE=base\nFROM ${{BASE}}\n{STAGE}",
}


def files(children: Mapping[str, str], *, more: str = "") -> dict[str, str]:
    """A parent and children of it."""
    tables = "".join(f"[images.{name}]\n" for name in children)
    dockerfiles = {f"{name}/Dockerfile": text for name, text in children.items()}
    return {"builds.toml": f"{PROJECT}[images.base]\n{tables}{more}", "base/Dockerfile": PARENT, **dockerfiles}


@pytest.fixture(scope="module")
def pushed(make_workspace: MakeWorkspace) -> Workspace:
    """All children, pushed in one run."""
    workspace = make_workspace(files(CHILDREN))
    workspace.succeed("build", "--push")
    return workspace


@pytest.mark.parametrize("platform", MACHINES)
@pytest.mark.parametrize("name", CHILDREN)
def test_the_stage_ran_over_the_parent_of_this_run(
    name: str, platform: str, pushed: Workspace, registries: Registries
) -> None:
    """The child holds what its own stage wrote and what the parent of this run wrote, both on the right platform."""
    reference = f"{pushed.registry}/{name}:1.2.3"

    assert f"kept {MACHINES[platform]}" == registries.file(reference, platform, "stage")
    assert f"{WORD} {MACHINES[platform]}" == registries.file(reference, platform, "parent")


@pytest.mark.parametrize("options", [(), ("--oci=out",), ("--load",)], ids=["default", "oci", "load"])
def test_without_a_registry_it_is_refused(options: tuple[str, ...], make_workspace: MakeWorkspace) -> None:
    """A layout cannot be named in a source policy: exit 3 before anything runs, with both lines and what to do."""
    refused = make_workspace(files({"same": CHILDREN["same"]})).run("build", *options)

    assert 3 == refused.exit_code
    assert "`base` is also the name of a stage" in refused.stderr
    assert 2 <= refused.stderr.count("same/Dockerfile:1")
    assert "hint: rename the stage" in refused.stderr
    assert "solve:" not in refused.stderr


def test_other_children_are_built_into_layouts(make_workspace: MakeWorkspace, registries: Registries) -> None:
    """Edges of `COPY --from`, of mounts and of `FROM ${BASE}` work without a registry as well."""
    names = ("mounted", "drawn", "variable", "tagged")
    workspace = make_workspace(files({name: CHILDREN[name] for name in names}))
    workspace.succeed("build", "--oci=out")
    found = {
        (name, platform): registries.layout_file(workspace.root / "out" / name, platform, "parent")
        for name in ("mounted", "drawn")
        for platform in MACHINES
    }

    assert {each: f"{WORD} {MACHINES[each[1]]}" for each in found} == found
    assert all(image.state == "verified" for image in workspace.result().images)


@pytest.mark.parametrize("destination", ["--push", "--oci=out"])
def test_a_pinned_base_keeps_the_stage_of_its_name(
    destination: str, lab: Lab, base: str, make_workspace: MakeWorkspace, registries: Registries
) -> None:
    """`FROM node AS node` over a pinned `contexts.node`: built from the pin, and the stage's `RUN` ran."""
    more = f'[images.app]\ncontexts = {{ node = "docker-image://{base}" }}\n'
    child = "FROM node AS node\nRUN echo kept $(uname -m) > /stage\n"
    workspace = make_workspace({"builds.toml": PROJECT + more, "app/Dockerfile": child})
    workspace.succeed("build", destination)
    reference, layout = f"{workspace.registry}/app:1.2.3", workspace.root / "out/app"

    assert MACHINES == {
        platform: (
            registries.file(reference, platform, "stage")
            if destination == "--push"
            else registries.layout_file(layout, platform, "stage")
        ).removeprefix("kept ")
        for platform in MACHINES
    }
    assert lab.registry.host in base


@pytest.mark.parametrize("destination", ["--push", "--oci=out"])
def test_data_of_one_platform_serves_all(
    destination: str, make_workspace: MakeWorkspace, registries: Registries
) -> None:
    """A context of one platform is pinned by its manifest: amd64's bytes are in the arm64 image, too."""
    more = '[images.child]\ncontexts = { base = { image = "base", platform = "linux/amd64" } }\n'
    made = {**files({}, more=more), "child/Dockerfile": "FROM %BASE%\nCOPY --from=base /parent /\n"}
    workspace = make_workspace(made)
    workspace.succeed("build", destination)
    reference, layout = f"{workspace.registry}/child:1.2.3", workspace.root / "out/child"
    found = {
        platform: registries.file(reference, platform, "parent")
        if destination == "--push"
        else registries.layout_file(layout, platform, "parent")
        for platform in MACHINES
    }

    assert dict.fromkeys(MACHINES, f"{WORD} x86_64") == found


def test_one_platform_for_all_is_never_a_base(make_workspace: MakeWorkspace) -> None:
    """The same context in a `FROM` would put arm64 on amd64: exit 2 with the line of the `FROM`."""
    more = '[images.child]\ncontexts = { base = { image = "base", platform = "linux/amd64" } }\n'
    made = {**files({}, more=more), "child/Dockerfile": "FROM base\nRUN true\n"}
    refused = make_workspace(made).run("build", "--push")

    assert 2 == refused.exit_code
    assert "child/Dockerfile:1" in refused.stderr
    assert "[single-platform-base]" in refused.stderr


def test_a_parent_for_other_platforms_is_refused(make_workspace: MakeWorkspace) -> None:
    """A child for a platform that its parent lacks: exit 2, with the parent's platforms and what to add."""
    made = files({"child": "FROM base\n"})
    made["builds.toml"] = made["builds.toml"].replace("[images.base]", '[images.base]\nplatforms = ["linux/amd64"]')
    refused = make_workspace(made).run("build", "--push")

    assert 2 == refused.exit_code
    assert "`child` needs `base` on `linux/arm64`, which is built for `linux/amd64` only" in refused.stderr
    assert "add `linux/arm64` to the platforms of `base`" in refused.stderr


def test_the_policy_pins_more_than_the_name(pushed: Workspace, registries: Registries) -> None:
    """The provenance of a child with a policy names the parent by the digest that this run pushed."""
    told = registries.tool(
        "docker", "buildx", "imagetools", "inspect", "--format={{json .Provenance}}", f"{pushed.registry}/same:1.2.3"
    )

    assert all(pushed.digest("base").removeprefix("sha256:") in json.dumps(each) for each in json.loads(told).values())
