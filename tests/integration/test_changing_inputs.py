"""Files that change while they are built from: what comes of it is never taken for what was planned."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.integration.conftest import MakeWorkspace
from tests.integration.registries import Registries
from tests.integration.workspace import Workspace

pytestmark = pytest.mark.integration

PROJECT = """\
format = 1
[project]
name = "changing"
[version]
value = "1.0.0"
[defaults]
platforms = ["linux/amd64"]
tags = ["{{ version }}"]
[images.slow]
[images.app]
"""
FILES: Mapping[str, str] = {
    "builds.toml": PROJECT,
    "slow/Dockerfile": "FROM %BASE%\nRUN sleep 4\n",
    "app/Dockerfile": "FROM slow\nCOPY file /file\n",
    "app/file": "planned",
}


@pytest.fixture(params=["file", "Dockerfile"])
def changed(request: pytest.FixtureRequest, make_workspace: MakeWorkspace) -> Workspace:
    """A repository in which something was edited after the plan, while a parent was built; it is back by now."""
    workspace = make_workspace(FILES)
    path = workspace.root / "app" / str(request.param)
    before = path.read_text()
    with workspace.start("build", "--push") as process:
        assert process.stderr is not None
        assert any("solve:slow  started" in line for line in iter(process.stderr.readline, ""))
        path.write_text(f"{before}LABEL evil=1\n")
        _, stderr = process.communicate(timeout=180)
    assert 3 == process.returncode, stderr
    assert "`app@linux/amd64`: " in stderr
    assert "while it was built" in stderr
    path.write_text(before)
    return workspace


def test_what_changed_meanwhile_is_not_taken(changed: Workspace, registries: Registries) -> None:
    """Nothing is tagged, and the next run builds it from what is there."""
    assert [] == registries.public(f"{changed.registry}/app")
    plan = changed.plan("--push")
    assert {"slow": "retag", "app": "build"} == {image.name: image.action for image in plan.images}
    changed.succeed("build", "--push")
    assert "planned" == registries.file(f"{changed.registry}/app:1.0.0", "linux/amd64", "file")
    assert {} == registries.labels(f"{changed.registry}/app:1.0.0", "linux/amd64")
