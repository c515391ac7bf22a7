"""A declared test runs in each platform of what was built, and where it fails no tag moves."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.integration.conftest import MakeWorkspace
from tests.integration.recorder import Recorder
from tests.integration.registries import Registries
from tests.integration.workspace import Ran, Workspace

pytestmark = pytest.mark.integration

PROJECT = """\
format = 1
version = "1.0.0"
[project]
name = "tested"
[defaults]
platforms = ["linux/amd64", "linux/arm64"]
tags = ["{{ version }}", { ref = "latest", moving = true }]
[platforms."*"]
emulation = "allow"
[images.app]
test = { run = %TEST% }
[images.other]
platforms = ["linux/amd64"]
"""
FILES: Mapping[str, str] = {
    "app/Dockerfile": "FROM %BASE%\nRUN uname -m > /machine\n",
    "other/Dockerfile": "FROM %BASE%\nRUN uname -m > /machine\n",
    ".gitignore": ".orchestrate\nout\n",
}
PASSES = ["sh", "-c", 'test "$(cat /machine)" = "$(uname -m)" && echo "ran on $(uname -m)"']
FAILS = ["sh", "-c", "echo this went wrong on $(uname -m); exit 3"]
ONLY_AMD64 = ["sh", "-c", "test $(uname -m) = x86_64"]
PLATFORMS = ["linux/amd64", "linux/arm64"]
BROKEN = 7


def project(test: list[str]) -> str:
    """The `builds.toml` with this test."""
    return PROJECT.replace("%TEST%", json.dumps(test, ensure_ascii=False))


def make(make_workspace: MakeWorkspace, test: list[str]) -> Workspace:
    """A repository with this test."""
    return make_workspace({**FILES, "builds.toml": project(test)})


class Children:
    """What a command started: tests and builds, by the platforms that they were for."""

    def __init__(self, folder: Path, workspace: Workspace) -> None:
        self._recorder = Recorder(folder, workspace.environ)
        self._seen = 0
        self.environ = {"PATH": self._recorder.path(workspace.environ)}

    def take(self) -> tuple[list[str], list[str]]:
        """The platforms of tests, and of builds, since the last time."""
        new = self._recorder.builds()[self._seen :]
        self._seen += len(new)
        tests: list[str] = []
        builds: list[str] = []
        for call in new:
            chosen = tests if "--output=type=cacheonly" in call.argv else builds
            chosen += [word.removeprefix("--platform=") for word in call.argv if word.startswith("--platform=")]
            assert (chosen is tests) == ("--no-cache" in call.argv)
        return sorted(tests), sorted(builds)


def public(registries: Registries, workspace: Workspace) -> list[str]:
    """All public tags of the project."""
    return [tag for name in ("app", "other") for tag in registries.public(f"{workspace.registry}/{name}")]


def state(workspace: Workspace, name: str) -> tuple[str, list[str]]:
    """The state of an image and of its platforms in the last run."""
    image = workspace.image(name)
    return image.state, [build.state for build in image.platforms]


def test_a_test_runs_on_each_platform_and_once(make_workspace: MakeWorkspace, tmp_path: Path) -> None:
    """In what was built for it, natively and under emulation; what has passed is not tested again."""
    workspace = make(make_workspace, PASSES)
    children = Children(tmp_path, workspace)
    ran = workspace.succeed("build", "--push", "-v", **children.environ)
    assert (PLATFORMS, ["linux/amd64", "linux/amd64,linux/arm64"]) == children.take()
    assert "test:app@linux/amd64  | ran on x86_64" in ran.stderr
    assert "test:app@linux/arm64  | ran on aarch64" in ran.stderr
    assert ("released", ["built", "built"]) == state(workspace, "app")
    workspace.succeed("build", "--push", **children.environ)
    assert ([], []) == children.take()
    assert "passed on linux/amd64, linux/arm64" in workspace.succeed("plan", "--push").stdout


def test_no_tag_moves_where_a_test_fails(make_workspace: MakeWorkspace, registries: Registries, tmp_path: Path) -> None:
    """Exit 7 with its last lines; what was built stands, and is tested again; a mended test needs no build."""
    workspace = make(make_workspace, FAILS)
    children = Children(tmp_path, workspace)
    ran = workspace.run("build", "--push", **children.environ)
    assert BROKEN == ran.exit_code, ran.output
    assert "  | this went wrong on x86_64" in ran.stderr
    assert "exit 3'` failed in `app@linux/arm64`: exit code: 3" in ran.stderr
    assert "no tag was put" in ran.stderr
    assert [] == public(registries, workspace)
    assert ("test failed", ["test failed", "test failed"]) == state(workspace, "app")
    assert ("verified", ["built"]) == state(workspace, "other")
    assert {"test:app@linux/amd64", "test:app@linux/arm64"} == {one.step for one in workspace.result().failures}
    before = [build.digest for build in workspace.image("app").platforms]
    children.take()

    assert BROKEN == workspace.run("build", "--push", **children.environ).exit_code
    assert (PLATFORMS, []) == children.take()
    assert ("test failed", ["test failed", "test failed"]) == state(workspace, "app")

    workspace.write({"builds.toml": project(PASSES)})
    plan = workspace.plan("--push")
    assert {"reuse"} == {build.action for build in plan.builds}
    workspace.succeed("build", "--push", **children.environ)
    assert (PLATFORMS, []) == children.take()
    assert ("released", ["reused", "reused"]) == state(workspace, "app")
    assert before == [build.digest for build in workspace.image("app").platforms]
    assert ["1.0.0", "latest", "1.0.0", "latest"] == public(registries, workspace)


def test_what_has_passed_is_not_tested_again_for_another_platform(
    make_workspace: MakeWorkspace, tmp_path: Path
) -> None:
    """Only the platform that failed is."""
    workspace = make(make_workspace, ONLY_AMD64)
    children = Children(tmp_path, workspace)
    assert BROKEN == workspace.run("build", "--push", **children.environ).exit_code
    assert ("test failed", ["built", "test failed"]) == state(workspace, "app")
    assert PLATFORMS == children.take()[0]
    assert "on linux/arm64, emulated; passed on linux/amd64" in workspace.succeed("plan", "--push").stdout
    assert BROKEN == workspace.run("build", "--push", **children.environ).exit_code
    assert (["linux/arm64"], []) == children.take()


def test_a_test_that_hangs_ends_by_its_time_limit(make_workspace: MakeWorkspace, registries: Registries) -> None:
    """As a build would; it is not tried again."""
    workspace = make(make_workspace, ["sleep", "100000"])
    text = (workspace.root / "builds.toml").read_text()
    workspace.write({"builds.toml": text.replace("[images.other]", 'timeout = "15s"\n[images.other]')})
    ran = workspace.run("build", "--push")
    assert BROKEN == ran.exit_code, ran.output
    assert "`sleep 100000` failed in `app@linux/amd64`: stopped: it took longer than its `timeout`" in ran.stderr
    assert [] == public(registries, workspace)


WORDS = ["[%s]\\n", 'a "b" \\', "$HOME ${X:-y} $(id) `id` ${", "<<EOF", "it's", "é ☃ 𝄞", "#", "", "--flag=1", "a, b]"]


def test_an_image_without_a_shell_is_tested(make_workspace: MakeWorkspace) -> None:
    """The command is an argv, whose words arrive as they are written, whatever is in them."""
    text = (
        project(["/busybox", "printf", *WORDS]).replace("[images.other]", "").replace("[images.app]", "[images.bare]")
    )
    text = text.replace('platforms = ["linux/amd64"]\n', "")
    dockerfile = "FROM %BASE% AS base\nFROM scratch\nCOPY --from=base /bin/busybox /busybox\n"
    workspace = make_workspace({"builds.toml": text, "bare/Dockerfile": dockerfile})
    ran = workspace.succeed("build", "--push", "-v")
    for platform in PLATFORMS:
        lines = [line for line in ran.stderr.splitlines() if line.startswith(f"test:bare@{platform}  | [")]
        assert [f"test:bare@{platform}  | [{word}]" for word in WORDS[1:]] == lines


def test_a_test_runs_as_the_image_says(make_workspace: MakeWorkspace) -> None:
    """With its user, folder and environment; its entrypoint is not used."""
    workspace = make(make_workspace, ["sh", "-c", 'echo "$(id -u) $(pwd) $GREETING"'])
    said = 'FROM %BASE%\nENV GREETING=hello\nUSER 1000\nWORKDIR /srv\nENTRYPOINT ["false"]\n'
    base = (workspace.root / "app/Dockerfile").read_text().split()[1]
    workspace.write({"app/Dockerfile": said.replace("%BASE%", base)})
    assert "test:app@linux/arm64  | 1000 /srv hello" in workspace.succeed("build", "--push", "-v").stderr


@pytest.mark.parametrize("destination", ["--oci=out", "--load"])
def test_what_stays_on_this_machine_is_tested_too(
    make_workspace: MakeWorkspace, base_layout: tuple[str, ...], tmp_path: Path, destination: str
) -> None:
    """Nothing of an image whose test fails is given out; then it is, without a build."""
    files = {name: text.replace("%BASE%", "busybox") for name, text in FILES.items()}
    workspace = make_workspace({**files, "builds.toml": project(FAILS)}, options=base_layout)
    children = Children(tmp_path, workspace)
    ran = workspace.run("build", destination, **children.environ)
    assert BROKEN == ran.exit_code, ran.output
    assert not (workspace.root / "out/app").exists()
    assert "app:1.0.0" not in ran.output
    children.take()
    workspace.write({"builds.toml": project(PASSES)})
    workspace.succeed("build", destination, **children.environ)
    assert (PLATFORMS, []) == children.take()
    assert ("verified", ["reused", "reused"]) == state(workspace, "app")
    workspace.succeed("build", destination, **children.environ)
    assert ([], []) == children.take()


def apply(workspace: Workspace, *arguments: str, **environ: str) -> Ran:
    """Apply the plan that is there."""
    return workspace.run("apply", "release.plan.json", *arguments, **environ)


def test_each_part_of_a_plan_tests_what_it_builds(
    make_workspace: MakeWorkspace, registries: Registries, tmp_path: Path
) -> None:
    """Where a test has not passed, nothing is finished; a part of which all stands tests alone."""
    workspace = make(make_workspace, ONLY_AMD64)
    children = Children(tmp_path, workspace)
    workspace.succeed("plan", "--push", "--out=release.plan.json")
    ran = apply(workspace, "--only=linux/amd64", "--result=parts/amd64.json", **children.environ)
    assert 0 == ran.exit_code, ran.output
    assert (["linux/amd64"], ["linux/amd64", "linux/amd64"]) == children.take()
    ran = apply(workspace, "--only=linux/arm64", "--result=parts/arm64.json", **children.environ)
    assert BROKEN == ran.exit_code, ran.output
    assert (["linux/arm64"], ["linux/arm64"]) == children.take()
    ran = apply(workspace, "--finish", "parts", **children.environ)
    assert 3 == ran.exit_code, ran.output
    assert "`app@linux/arm64` has not passed the test yet" in ran.stderr
    assert BROKEN == apply(workspace, "--only=linux/arm64", **children.environ).exit_code
    assert (["linux/arm64"], []) == children.take()
    assert [] == public(registries, workspace)

    workspace.write({"builds.toml": project(PASSES)})
    workspace.succeed("plan", "--push", "--out=release.plan.json")
    parts = json.loads(workspace.succeed("plan", "--push", "--split").stdout)
    assert [["app@linux/amd64"], ["app@linux/arm64"]] == [part["builds"] for part in parts]
    for platform in PLATFORMS:
        ran = apply(workspace, f"--only={platform}", **children.environ)
        assert 0 == ran.exit_code, ran.output
    assert (PLATFORMS, []) == children.take()
    ran = apply(workspace, "--finish", **children.environ)
    assert 0 == ran.exit_code, ran.output
    assert ([], []) == children.take()
    assert ["1.0.0", "latest", "1.0.0", "latest"] == public(registries, workspace)


def test_a_plan_that_claims_a_passed_test_is_not_believed(make_workspace: MakeWorkspace) -> None:
    """What has passed is looked up again."""
    workspace = make(make_workspace, FAILS)
    assert BROKEN == workspace.run("build", "--push").exit_code
    workspace.succeed("plan", "--push", "--out=release.plan.json")
    path = workspace.root / "release.plan.json"
    saved = json.loads(path.read_bytes())
    saved["frozen"]["memory"]["tested"] = ["app@linux/amd64", "app@linux/arm64"]
    path.write_text(json.dumps(saved))
    said = apply(workspace).stderr.split("its digest is ")[1].split(",")[0]
    path.write_text(path.read_text().replace(saved["digest"], said))
    ran = apply(workspace)
    assert 3 == ran.exit_code, ran.output
    assert "`app@linux/amd64` had passed its test then, and nothing says so any more" in ran.stderr
