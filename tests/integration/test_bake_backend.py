"""Builds by way of `docker buildx bake`: the same images as one by one, in few runs, whatever fails of them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.integration.conftest import MakeWorkspace
from tests.integration.family import CHILDREN, check_standings, clone
from tests.integration.family import FILES as FAMILY
from tests.integration.gatekeeper import Gatekeeper
from tests.integration.recorder import Recorder
from tests.integration.registries import Registries
from tests.integration.test_export_bake import files_of
from tests.integration.test_reuse_races import Barrier, finish
from tests.integration.workspace import Ran, Workspace
from tests.lab import Lab

pytestmark = pytest.mark.integration

PLATFORMS = ("linux/amd64", "linux/arm64")
BAKE = "--backend=bake"
BUILT_PARENT = re.compile(r"GET /v2/.+/base/manifests/sha256:[0-9a-f]{64}")
"""The request for what a run has built of the parent, before it records that."""
HEAD = """\
format = 1
[project]
name = "bake"
[version]
value = "1.2.3"
[defaults]
platforms = ["linux/amd64", "linux/arm64"]
tags = ["{{ version }}", { ref = "latest", moving = true }]
[platforms."*"]
emulation = "allow"
"""
SEVERAL: Mapping[str, str] = {
    "builds.toml": HEAD
    + """\
[images.base]
[images.middle]
test = { run = ["cat", "/app"] }
[images.leaf]
[images.one]
platforms = ["linux/arm64"]
[images.split]
on."linux/arm64".args = { WHO = "arm" }
[images.stage]
[images.later]
needs = ["leaf"]
[images.data]
contexts = { amd = { image = "base", platform = "linux/amd64" } }
""",
    "base/Dockerfile": "FROM %BASE%\nRUN uname -m > /machine\n",
    "middle/Dockerfile": "FROM base\nCOPY app /app\n",
    "middle/app": "one",
    "leaf/Dockerfile": "FROM middle\nRUN cat /machine /app > /leaf\n",
    "one/Dockerfile": "FROM base\nRUN cp /machine /one\n",
    "split/Dockerfile": "FROM base\nARG WHO=amd\nRUN echo $WHO > /who\n",
    "stage/Dockerfile": "FROM base AS base\nRUN echo kept > /kept\nFROM base\nRUN cat /kept\n",
    "later/Dockerfile": "FROM split\nRUN cp /who /later\n",
    "data/Dockerfile": "FROM %BASE%\nCOPY --from=amd /machine /machine\n",
}
NAMES = ("base", "middle", "leaf", "one", "split", "stage", "later", "data")


class Baked:
    """A repository that is built by way of bake, and what it started of `docker` for that."""

    def __init__(self, workspace: Workspace, folder: Path) -> None:
        self.workspace = workspace
        self._recorder = Recorder(folder, workspace.environ)
        self.path = self._recorder.path(workspace.environ)

    def run(self, *arguments: str, **environ: str) -> Ran:
        """Run a build with bake."""
        return self.workspace.run("build", BAKE, *arguments, PATH=self.path, **environ)

    def succeed(self, *arguments: str, **environ: str) -> list[set[str]]:
        """Run a build with bake, which has to end with 0; the targets of each run of bake."""
        before = len(self._recorder.bakes())
        ran = self.run(*arguments, **environ)
        assert ran.exit_code == 0, ran.output
        return self.runs()[before:]

    def runs(self) -> list[set[str]]:
        """The targets of each run of bake so far; nothing is ever built in another way."""
        assert [] == self._recorder.builds()
        return list(map(set, self._recorder.bakes()))


def baked(make_workspace: MakeWorkspace, folder: Path, files: Mapping[str, str]) -> Baked:
    """A repository with these files, of which nothing was built."""
    return Baked(make_workspace(files), folder)


def contents(lab: Lab, registry: str) -> dict[str, dict[str, tuple[int, str]]]:
    """The files of every platform of every image, by image and platform."""
    names = dict.fromkeys(NAMES, PLATFORMS) | {"one": ("linux/arm64",)}
    return {
        f"{name}@{platform}": files_of(lab, f"{registry}/{name}:1.2.3", platform)
        for name, platforms in names.items()
        for platform in platforms
    }


def test_bake_builds_the_same_images(
    lab: Lab, make_workspace: MakeWorkspace, registries: Registries, tmp_path: Path
) -> None:
    """File by file, with the same platforms, attestations and tags, in few runs; nothing at all the second time."""
    project = baked(make_workspace, tmp_path, SEVERAL)
    runs = project.succeed("--push")
    ours, theirs = project.workspace.registry, f"{project.workspace.registry}/theirs"
    project.workspace.succeed("build", "--push", "--backend=qemu", f"--registry={theirs}")

    assert {"base", "middle", "leaf", "one", "split-linux-amd64", "split-linux-arm64"} in runs
    assert {"middle-linux-amd64", "middle-linux-arm64"} in runs
    assert {"stage"} in runs
    assert {"later", "data"} in runs
    assert 4 == len(runs)
    assert contents(lab, theirs) == contents(lab, ours)
    for name in NAMES:
        one, other = (registries.index(f"{registry}/{name}:latest") for registry in (ours, theirs))
        assert (set(one.images), len(one.attestations)) == (set(other.images), len(other.attestations)), name
        assert {"1.2.3", "latest"} == set(registries.public(f"{ours}/{name}"))
    assert [] == project.succeed("--push")


def test_a_child_stands_on_the_parent_of_its_run(
    make_workspace: MakeWorkspace, registries: Registries, tmp_path: Path
) -> None:
    """Of which no two builds are alike: what is linked in a run is what is recorded of it."""
    project = baked(make_workspace, tmp_path, FAMILY)
    assert [{"base", "left", "right"}] == project.succeed("--push")
    check_standings(registries, project.workspace.registry)
    project.workspace.write({"left/app": "two"})
    assert [{"left"}] == project.succeed("--push")
    check_standings(registries, project.workspace.registry)


def test_forty_five_images_are_two_runs(make_workspace: MakeWorkspace, tmp_path: Path) -> None:
    """Of which the second takes its parents from the first by digest."""
    images = "".join(
        f'[images.i{number}]\ncontext = "."\ndockerfile-inline = "FROM {"scratch" if not number else "i0"}\\n'
        f'COPY file /{number}\\n"\n'
        for number in range(45)
    )
    text = HEAD.replace(', "linux/arm64"]', "]") + images
    project = baked(make_workspace, tmp_path, {"builds.toml": text, "file": "x", ".dockerignore": "*\n!file\n"})
    runs = project.succeed("--push")
    assert [40, 5] == [len(run) for run in runs]
    assert {f"i{number}" for number in range(45)} == set.union(*runs)
    assert {"released"} == set(project.workspace.states().values())


def test_what_fails_takes_down_only_what_needs_it(
    make_workspace: MakeWorkspace, registries: Registries, tmp_path: Path
) -> None:
    """The rest is run again without it and finished; its last lines are shown, and no tag moves."""
    files = {
        "builds.toml": HEAD + "".join(f"[images.{name}]\n" for name in ("base", "bad", "child", "grandchild", "slow")),
        "base/Dockerfile": "FROM %BASE%\nRUN cat /proc/sys/kernel/random/uuid > /random\n",
        "bad/Dockerfile": "FROM base\nRUN echo the last words; exit 7\n",
        "child/Dockerfile": "FROM bad\nRUN true\n",
        "grandchild/Dockerfile": "FROM child\nRUN true\n",
        "slow/Dockerfile": "FROM base\nRUN sleep 3; cp /random /copied\n",
    }
    project = baked(make_workspace, tmp_path, files)
    ran = project.run("--push")
    workspace = project.workspace

    assert 4 == ran.exit_code
    assert {
        "base": "verified", "bad": "failed", "child": "skipped", "grandchild": "skipped", "slow": "verified",
    } == workspace.states()  # fmt: skip
    assert "the last words" in ran.stderr
    assert "failed: solve:bad: " in ran.stderr
    first, *later = project.runs()
    assert {"base", "bad", "child", "grandchild", "slow"} == first
    assert {"slow"} <= later[-1] <= {"base", "slow"}
    assert [] == [tag for name in ("base", "slow") for tag in registries.public(f"{workspace.registry}/{name}")]
    assert registries.file(f"{workspace.registry}/base@{workspace.digest('base')}", "linux/arm64", "random") == (
        registries.file(f"{workspace.registry}/slow@{workspace.digest('slow')}", "linux/arm64", "copied")
    )


def test_several_failures_are_all_told(make_workspace: MakeWorkspace, tmp_path: Path) -> None:
    """Those that hide behind the first as well; one that cannot be read names its Dockerfile."""
    files = {
        "builds.toml": HEAD + "".join(f"[images.{name}]\n" for name in ("one", "two", "three", "good")),
        "one/Dockerfile": "FROM %BASE%\nRUN echo first; exit 1\n",
        "two/Dockerfile": "FROM %BASE%\nRUN sleep 2; echo second; exit 1\n",
        "three/Dockerfile": "FROM %BASE%\nCOPY nothing /\n",
        "good/Dockerfile": "FROM %BASE%\nRUN sleep 2; true\n",
    }
    project = baked(make_workspace, tmp_path, files)
    ran = project.run("--push")
    assert (4, {"one": "failed", "two": "failed", "three": "failed", "good": "verified"}) == (
        ran.exit_code, project.workspace.states(),
    )  # fmt: skip
    assert all(text in ran.stderr for text in ("first", "second", "/nothing"))


HOSTILE = '${x} %{ if y } $${z} "quoted" , = \\ \\n é 日本 #'


def test_texts_arrive_as_they_are(make_workspace: MakeWorkspace, registries: Registries, tmp_path: Path) -> None:
    """In args, labels, names of folders and inline Dockerfiles, which HCL would take for its own."""
    folder = "${x} %{y},=é"
    toml = json.dumps(HOSTILE, ensure_ascii=False)
    inline = json.dumps('FROM %BASE%\nARG A\nCOPY file /file\nRUN printf %s "$A" > /arg\nLABEL inline="${A}"\n')
    text = HEAD + (
        f"[images.hostile]\ncontext = {json.dumps(folder, ensure_ascii=False)}\n"
        f"dockerfile-inline = {inline}\nargs = {{ A = {{ raw = {toml} }} }}\nlabels = {{ L = {{ raw = {toml} }} }}\n"
    )
    project = baked(make_workspace, tmp_path, {"builds.toml": text, f"{folder}/file": "content"})
    project.succeed("--push")
    image = f"{project.workspace.registry}/hostile:1.2.3"
    for platform in PLATFORMS:
        assert HOSTILE == registries.file(image, platform, "arg")
        assert "content" == registries.file(image, platform, "file")
        assert {"L": HOSTILE, "inline": HOSTILE}.items() <= registries.labels(image, platform).items()


def test_variables_of_bake_change_nothing(
    make_workspace: MakeWorkspace, registries: Registries, tmp_path: Path
) -> None:
    """Nor do files that it would look for."""
    files = {
        "builds.toml": HEAD + "[images.x]\n",
        "x/Dockerfile": 'FROM %BASE%\nARG SOURCE_DATE_EPOCH\nRUN echo "[$SOURCE_DATE_EPOCH]" > /x\n',
        "docker-bake.json": '{"target": {"x": {"tags": ["stolen"], "args": {"SOURCE_DATE_EPOCH": "1"}}}}',
        "docker-bake.override.hcl": 'target "x" { platforms = ["linux/s390x"] }',
    }
    project = baked(make_workspace, tmp_path, files)
    environ = {
        "BUILDX_BAKE_FILE": "docker-bake.override.hcl", "BUILDX_BAKE_ENTITLEMENTS_FS": "1", "BUILDX_BUILDER": "nobody",
        "BUILDKIT_PROGRESS": "plain", "SOURCE_DATE_EPOCH": "7", "BUILDX_BAKE_FILE_RELATIVE_PATHS": "1",
    }  # fmt: skip
    assert [{"x"}] == project.succeed("--push", **environ)
    image = f"{project.workspace.registry}/x:1.2.3"
    assert set(PLATFORMS) == set(registries.index(image).images)
    assert "[]" == registries.file(image, "linux/amd64", "x")


@pytest.mark.parametrize(
    ("asked", "grant"),
    [
        ('network = "host"', "network.host"),
        ('entitlements = ["security.insecure"]', "security.insecure"),
        ('contexts = { far = "/etc" }', "read=/etc"),
        ('secrets = [{ id = "s", src = "/etc/hostname" }]', "read=/etc/hostname"),
    ],
)
def test_what_is_not_granted_is_never_asked_of_bake(
    make_workspace: MakeWorkspace, tmp_path: Path, asked: str, grant: str
) -> None:
    """The gate is ours, as bake's is off: nothing is started without a grant, and with one bake is told of it."""
    files = {"builds.toml": HEAD + f"[images.x]\n{asked}\n", "x/Dockerfile": "FROM %BASE%\nRUN true\n"}
    project = baked(make_workspace, tmp_path, files)
    ran = project.run("--push")
    assert 2 == ran.exit_code, ran.output
    assert [] == project.runs()
    plan = project.workspace.plan(BAKE, "--push", f"--allow={grant}")
    (solve,) = [step for step in plan.steps if step.kind == "solve"]
    ours = grant.replace("read=", "fs.read=")
    assert [f"--allow={ours}"] == [word for word in solve.argv[0] if word.startswith("--allow=")]


def test_a_platform_test_that_fails_stops_the_release(
    make_workspace: MakeWorkspace, registries: Registries, tmp_path: Path
) -> None:
    """Its log is shown, the other tests run to their end, and no tag moves."""
    files = {
        "builds.toml": HEAD
        + '[images.good]\ntest = { run = ["true"] }\n[images.bad]\n'
        + 'test = { run = ["sh", "-c", "echo it is wrong; exit 3"] }\n',
        "good/Dockerfile": "FROM %BASE%\nRUN true\n",
        "bad/Dockerfile": "FROM %BASE%\nRUN true\n",
    }
    project = baked(make_workspace, tmp_path, files)
    ran = project.run("--push")
    assert 7 == ran.exit_code, ran.output
    assert "it is wrong" in ran.stderr
    assert {"good-linux-amd64", "good-linux-arm64", "bad-linux-amd64", "bad-linux-arm64"} == project.runs()[1]
    assert ("verified", []) == (
        project.workspace.states()["good"], registries.public(f"{project.workspace.registry}/good"),
    )  # fmt: skip


def test_layouts_need_no_registry(
    make_workspace: MakeWorkspace, registries: Registries, base_layout: tuple[str, ...], tmp_path: Path
) -> None:
    """Each target writes one of its own, and later runs take their parents from there."""
    files = {
        "builds.toml": HEAD + "[images.base]\n[images.child]\n[images.other]\nneeds = ['child']\n",
        "base/Dockerfile": "FROM busybox\nRUN cat /proc/sys/kernel/random/uuid > /random\n",
        "child/Dockerfile": "FROM base\nRUN cp /random /child\n",
        "other/Dockerfile": "FROM base\nRUN cp /random /other\n",
    }
    project = Baked(make_workspace(files, options=base_layout), tmp_path)
    assert [{"base", "child"}, {"other"}] == project.succeed("--oci=out")
    out = project.workspace.root / "out"
    for platform in PLATFORMS:
        assert 1 == len(
            {
                registries.layout_file(out / image, platform, path)
                for image, path in (("base", "random"), ("child", "child"), ("other", "other"))
            }
        )


def test_a_child_is_built_again_where_another_parent_is_recorded(
    lab: Lab, make_workspace: MakeWorkspace, registries: Registries, tmp_path: Path
) -> None:
    """Of two runs the other was faster with the parent: what was linked to ours is not recorded."""
    with Gatekeeper(lab.registry.host) as keeper:
        project = Baked(make_workspace(FAMILY, host=keeper.host), tmp_path)
        other = clone(project.workspace, make_workspace, host=lab.registry.host)
        keeper.judge = barrier = Barrier(BUILT_PARENT)
        ours = project.workspace.start("build", BAKE, "--push", PATH=project.path)
        try:
            assert barrier.reached.wait(120)
            other.succeed("build", "--push", "--backend=qemu", "base")
        finally:
            barrier.released.set()
        finish(ours)
    first, *more = project.runs()
    assert {"base", "left", "right"} == first
    assert [{"left"}, {"right"}] == sorted(more, key=min)
    assert set(CHILDREN) == set.union(*more)
    check_standings(registries, other.registry)


def test_a_saved_plan_is_applied_in_parts(
    make_workspace: MakeWorkspace, registries: Registries, tmp_path: Path
) -> None:
    """Each with a run of its own platform; nothing is built to finish it."""
    project = baked(make_workspace, tmp_path, FAMILY)
    workspace = project.workspace
    workspace.succeed("plan", BAKE, "--push", "--out=plan.json")
    for part in ("--only=linux/amd64", "--only=linux/arm64", "--finish"):
        workspace.succeed("apply", "plan.json", BAKE, part, PATH=project.path)
    # of one emulated platform a child is not linked: a Dockerfile may ask for the build platform
    assert [{"base", "left", "right"}, {"base"}, {"left", "right"}] == project.runs()
    check_standings(registries, workspace.registry)
