"""`orchestrate doctor` for a project of two real BuildKits, both there and then one of them lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import MakeWorkspace, builders
from tests.integration.recorder import Recorder
from tests.integration.remains import nothing_left
from tests.integration.test_native import ARM64, project, recorded, two
from tests.lab import Lab

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def near(lab: Lab) -> str:
    """The node that stays, as long as the lab does."""
    return lab.node()


@pytest.fixture
def other(lab: Lab) -> Iterator[Lab]:
    """A second engine, which may be killed."""
    if not lab.engines:
        pytest.skip("needs engines that may be killed, which a borrowed Docker cannot give")
    with Lab.start() as started:
        yield started


def test_nodes_are_asked_before_and_after_one_is_lost(
    lab: Lab, near: str, other: Lab, make_workspace: MakeWorkspace, tmp_path: Path
) -> None:
    """Each has a line, the platform of a lost one fails with it as a build would, and nothing is made or left."""
    before = builders(lab)
    far = other.node()
    record = Recorder(tmp_path, lab.environ)
    with nothing_left(lab):
        workspace = recorded(make_workspace(project(*two(near, far))), record)
        found = _lines(workspace.succeed("doctor").stdout)
        assert "ok node amd remote driver, linux/amd64 natively" in found
        assert f"ok node arm remote driver, linux/amd64/v2 natively, {ARM64} emulated" in found
        assert {"ok platform linux/amd64 native on amd", f"ok platform {ARM64} emulated on arm"} <= set(found)

        other.engines[0].kill()
        ran = workspace.run("doctor", "--fix")
        refused = workspace.run("build", "--push")
    found = _lines(ran.stdout)
    (silent,) = (line for line in found if line.startswith("FAIL node"))
    assert silent.startswith("FAIL node arm does not answer: ")
    assert f"FAIL platform {ARM64} only on arm, which does not answer" in found
    assert "ok platform linux/amd64 native on amd" in found
    assert silent.removeprefix("FAIL node arm ") in refused.stderr
    assert (3, 3) == (ran.exit_code, refused.exit_code)
    assert "nothing to fix" in ran.stderr
    assert not [call.argv for call in record.calls() if call.argv[1:2] == ["run"] or "create" in call.argv]
    assert before == builders(lab)


def _lines(output: str) -> list[str]:
    """What was printed, with single spaces."""
    return [" ".join(line.split()) for line in output.splitlines()]
