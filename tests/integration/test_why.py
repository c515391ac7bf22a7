"""What a clone says of what was built elsewhere: why it is built again, line by line, and how long that takes."""

from __future__ import annotations

import shutil
from collections.abc import Mapping

import pytest

from tests.integration.conftest import MakeWorkspace
from tests.integration.workspace import Workspace

pytestmark = pytest.mark.integration

PROJECT = """\
format = 1
version = "1.0.0"
[project]
name = "why"
[defaults]
platforms = ["linux/amd64", "linux/arm64"]
tags = [{ ref = "latest", moving = true }]
[platforms."*"]
emulation = "allow"
[images.base]
[images.app]
args = { GO = "1.23" }
"""
FILES: Mapping[str, str] = {
    "builds.toml": PROJECT,
    "base/Dockerfile": "FROM %BASE%\nCOPY seed /seed\n",
    "base/seed": "a",
    "app/Dockerfile": "FROM base\nARG GO\nCOPY src /src\nRUN echo $GO > /go\n",
    "app/src/main.py": "one",
    "app/src/gone.py": "one",
}
AMD64, ARM64 = "app@linux/amd64", "app@linux/arm64"


@pytest.fixture(scope="module")
def cloned(make_workspace: MakeWorkspace) -> Workspace:
    """A second clone of a repository of which everything was pushed."""
    built = make_workspace(FILES)
    built.succeed("build", "--push")
    made = make_workspace({})
    shutil.rmtree(made.root)
    built.git("clone", "--quiet", str(built.root), str(made.root))
    made.environ["ORCHESTRATE_REGISTRY"] = made.registry = built.registry
    return made


def why(workspace: Workspace, *arguments: str) -> list[str]:
    """What `orchestrate why` prints."""
    return workspace.succeed("why", *arguments).stdout.splitlines()


def test_a_second_clone_is_told_what_changed(cloned: Workspace) -> None:
    """Each file, each arg; of the first build nothing lies there."""
    assert why(cloned, ARM64)[0].startswith(f"{ARM64}: reuse, nothing changed since sha256:")
    cloned.write({"app/src/main.py": "two", "app/src/new.py": "new", "builds.toml": PROJECT.replace("1.23", "1.24")})
    (cloned.root / "app" / "src" / "gone.py").unlink()
    headline, *lines = why(cloned, ARM64)
    assert f"{ARM64}: build, files changed: `src/gone.py`, `src/main.py`, `src/new.py`; args changed: `GO`" == headline
    assert [
        "  - arg GO = 1.23",
        "  + arg GO = 1.24",
        "  - file src/gone.py = sha256:7692c3ad3540, mode 0644",
        "  ~ file src/main.py: sha256:7692c3ad3540 -> sha256:3fc4ccfe7458",
        "  + file src/new.py = sha256:11507a0e2f5e, mode 0644",
    ] == lines[:5]
    assert 6 == len(lines)


def test_a_second_clone_knows_how_long_it_takes(cloned: Workspace) -> None:
    """From what the first one noted; it is emulated here and there."""
    cloned.write({"base/seed": "b"})
    estimate = cloned.plan("--push").estimate
    assert estimate is not None
    assert (4, 0) == (estimate.builds, estimate.unknown)
    assert ["base", "app"] == [build.partition("@")[0] for build in estimate.critical_path]
    assert estimate.seconds is not None
    assert estimate.seconds >= estimate.critical_seconds > 0


def test_before_the_first_build_there_is_no_estimate(make_workspace: MakeWorkspace) -> None:
    """There is one from the first build on."""
    workspace = make_workspace(FILES)
    said = "time: no estimate, none of these was built before"
    assert said in workspace.succeed("plan", "--push").stdout.splitlines()
    workspace.succeed("build", "--push")
    workspace.write({"app/src/main.py": "two"})
    (line,) = [line for line in workspace.succeed("plan").stdout.splitlines() if line.startswith("time: ")]
    assert line.startswith("time: about ")
    assert line.endswith("; critical path: app")


def test_a_native_solve_does_not_take_as_long_as_an_emulated_one(cloned: Workspace) -> None:
    """Both platforms were one solve, of which one was emulated; alone the other one has no history."""
    cloned.write({"base/seed": "c"})
    found = {
        platform: estimate.unknown
        for platform in ("linux/amd64", "linux/arm64")
        if (estimate := cloned.plan("--stage", "--platform", platform).estimate)
    }
    assert {"linux/amd64": 2, "linux/arm64": 0} == found
