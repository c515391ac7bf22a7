"""`orchestrate verify` on real images: a program of another machine is found wherever it hides."""

from __future__ import annotations

import json
import shutil

import pytest

from tests.integration.conftest import MakeWorkspace
from tests.integration.registries import Registries
from tests.integration.workspace import Workspace
from tests.lab import Lab

pytestmark = pytest.mark.integration

IMAGES = {
    "good": "FROM %BASE%\nRUN uname -m > /arch\n",
    "hidden": "FROM %BASE%\nCOPY amd64 /opt/tools/helper\n",
    "entry": 'FROM %BASE%\nCOPY amd64 /app\nENTRYPOINT ["/app"]\n',
    "shell": 'FROM %BASE%\nCOPY amd64 /bin/own-sh\nCOPY run.sh /run.sh\nENTRYPOINT ["/run.sh"]\n',
    "removed": "FROM %BASE%\nCOPY amd64 /opt/helper\nRUN rm /opt/helper\n",
    "replaced": "FROM %BASE%\nCOPY amd64 /opt/helper\nCOPY arm64 /opt/helper\n",
    "linked": 'FROM %BASE%\nCOPY amd64 /opt/real\nRUN ln -s /opt/real /usr/bin/app\nENTRYPOINT ["app"]\n',
    "unmarked": "FROM %BASE%\nCOPY --chmod=0444 amd64 /data/blob\n",
}
PROJECT = """\
format = 1
[project]
name = "foreign"
[version]
value = "1.0.0"
[defaults]
context = "context"
platforms = ["linux/arm64"]
tags = ["{{ version }}"]
[platforms."*"]
emulation = "allow"
"""
BOTH = 'platforms = ["linux/amd64", "linux/arm64"]\n'
FOUND = {
    "hidden": "/opt/tools/helper",
    "entry": "/app",
    "shell": "/bin/own-sh",
    "linked": "/opt/real",
    "unmarked": "/data/blob",
}


@pytest.fixture(scope="module")
def workspace(lab: Lab, make_workspace: MakeWorkspace) -> Workspace:
    """Images for arm64, into some of which an x86-64 program was copied; all are pushed without a complaint."""
    tables = "".join(
        f'[images.{name}]\ndockerfile = "{name}.Dockerfile"\n{BOTH if name == "good" else ""}' for name in IMAGES
    )
    dockerfiles = {f"context/{name}.Dockerfile": text for name, text in IMAGES.items()}
    made = make_workspace({"builds.toml": PROJECT + tables, "context/run.sh": "#!/bin/own-sh\n", **dockerfiles})
    for architecture in ("amd64", "arm64"):
        shutil.copy(lab.busybox(architecture), made.root / "context" / architecture)
    (made.root / "context/run.sh").chmod(0o755)
    made.commit()
    made.succeed("build", "--push")
    return made


@pytest.mark.parametrize("name", FOUND)
def test_a_foreign_program_is_found_by_its_path(name: str, workspace: Workspace) -> None:
    """Exit 6, with the path of the x86-64 program in the arm64 image and what to do."""
    failed = workspace.run("verify", f"{workspace.registry}/{name}:1.0.0")

    assert 6 == failed.exit_code
    assert f"{FOUND[name]}: " in failed.output
    assert "in a linux/arm64 image" in failed.output
    assert "hint: " in failed.stderr


@pytest.mark.parametrize("name", [name for name in IMAGES if name not in FOUND])
def test_what_a_container_never_sees_is_no_finding(name: str, workspace: Workspace) -> None:
    """Right programs pass, and so does a wrong one that an upper layer removed or replaced."""
    workspace.succeed("verify", f"{workspace.registry}/{name}:1.0.0")


def test_fast_looks_at_what_starts_alone(workspace: Workspace) -> None:
    """`--fast` misses a hidden helper, and finds an entrypoint, also behind a link or as a script's interpreter."""
    codes = {name: workspace.run("verify", "--fast", f"{workspace.registry}/{name}:1.0.0").exit_code for name in FOUND}

    assert {"hidden": 0, "entry": 6, "shell": 6, "linked": 6, "unmarked": 0} == codes


def test_json_holds_the_same(workspace: Workspace, registries: Registries) -> None:
    """`--format=json` names the image, its digest, the platform and the file."""
    reference = f"{workspace.registry}/hidden:1.0.0"
    (image,) = json.loads(workspace.run("verify", "--format=json", reference).stdout)["images"]
    (platform,) = image["platforms"]

    assert [reference, registries.digest(reference), False] == [image["reference"], image["digest"], image["ok"]]
    assert ("linux/arm64", ["/opt/tools/helper"]) == (
        platform["platform"],
        [finding["where"] for finding in platform["findings"]],
    )


def test_ignored_paths_are_not_judged(workspace: Workspace) -> None:
    """Data that only looks like a program can be named."""
    workspace.succeed("verify", "--ignore=/opt/tools/*", f"{workspace.registry}/hidden:1.0.0")


@pytest.mark.parametrize(
    ("platforms", "code"),
    [("linux/amd64,linux/arm64", 0), ("linux/amd64", 6), ("linux/amd64,linux/arm64,linux/arm/v7", 6)],
    ids=["exact", "one too many", "one is missing"],
)
def test_exactly_the_platforms_have_to_be_there(platforms: str, code: int, workspace: Workspace) -> None:
    """An index with one more or one less than `--platform` says is not what was declared."""
    assert code == workspace.run("verify", f"--platform={platforms}", f"{workspace.registry}/good:1.0.0").exit_code


def test_the_declared_platforms_are_known_from_the_builds_toml(workspace: Workspace, registries: Registries) -> None:
    """In the repository that declares an image its platforms need not be said: an index that lacks one fails."""
    registries.move(
        f"{workspace.registry}/good@{registries.digest(f'{workspace.registry}/good:1.0.0', 'linux/amd64')}",
        f"{workspace.registry}/good:lone",
    )
    before = workspace.run("verify", f"{workspace.registry}/good:1.0.0").exit_code
    registries.move(f"{workspace.registry}/good:lone", f"{workspace.registry}/removed:1.0.0")

    assert 0 == before
    assert 6 == workspace.run("verify", f"{workspace.registry}/removed:1.0.0").exit_code


def test_an_image_that_is_not_there_is_told(workspace: Workspace) -> None:
    """Exit 6, and the tag is named; a registry that does not answer is another thing and exit 5."""
    missing = workspace.run("verify", f"{workspace.registry}/good:none")
    dead = workspace.run("verify", "127.0.0.1:9/good:none")

    assert (6, 5) == (missing.exit_code, dead.exit_code)
    assert "there is no such image" in missing.output
