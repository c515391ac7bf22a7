"""A node that is lost while it builds, and an equal one beside it: the run ends well on that."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import MakeWorkspace, builders
from tests.integration.recorder import Recorder
from tests.integration.registries import Registries
from tests.integration.remains import nothing_left, traces
from tests.integration.test_native import AMD64, built_at, node, option, project, recorded
from tests.integration.workspace import Workspace
from tests.lab import Engine, Lab

pytestmark = pytest.mark.integration

NAMES = ("a", "b", "c", "d")
IMAGES = {f"{name}/Dockerfile": f"FROM %BASE%\nRUN sleep 4; echo {name} > /name\n" for name in NAMES}
LOST: dict[str, Callable[[Engine], None]] = {"killed": Engine.kill, "hangs": Engine.pause}


@pytest.fixture(scope="module")
def near(lab: Lab) -> str:
    """The node that stays, as long as the lab does."""
    return lab.node()


@pytest.fixture(scope="module", autouse=True)
def tidy(lab: Lab, near: str) -> Iterator[None]:
    """Nothing stays: no process, mount, container or file."""
    assert near
    with nothing_left(lab):
        yield


@pytest.fixture
def other(lab: Lab) -> Iterator[Lab]:
    """A second engine, which may be killed; it takes the first lab's registry."""
    if not lab.engines:
        pytest.skip("needs engines that may be killed, which a borrowed Docker cannot give")
    with Lab.start() as started:
        yield started


@pytest.fixture
def workspace(make_workspace: MakeWorkspace, record: Recorder, near: str, other: Lab) -> Workspace:
    """Four images that need a while each, and two equal nodes."""
    text = project(node("near", near), node("far", other.node()), images=IMAGES)
    text["builds.toml"] = text["builds.toml"].replace('["linux/amd64", "linux/arm64"]', '["linux/amd64"]')
    return recorded(make_workspace(text), record)


@pytest.fixture
def record(lab: Lab, tmp_path: Path) -> Recorder:
    """Records what docker is asked to do."""
    return Recorder(tmp_path, lab.environ)


def strike(process: subprocess.Popen[str], lab: Lab, how: Callable[[Engine], None]) -> None:
    """Lose an engine once it builds."""
    while not any(trace.endswith(" sleep") for trace in traces(lab)):
        assert process.poll() is None
    how(lab.engines[0])


@pytest.mark.parametrize("way", LOST)
def test_what_a_lost_node_was_building_is_built_on_its_equal(
    way: str, lab: Lab, other: Lab, workspace: Workspace, record: Recorder, registries: Registries
) -> None:
    """The run says so and ends well; each image is right, and the other node has built it."""
    before = builders(lab)
    with workspace.start("build", "--push", "--jobs=4") as process:
        strike(process, other, LOST[way])
        _, stderr = process.communicate(timeout=300)
    if way == "hangs":
        other.engines[0].resume()

    assert 0 == process.returncode, stderr
    assert "node `far` does not answer any more" in stderr
    made = [Path(call.argv[-1]).name for call in record.builds()]
    assert set(NAMES) == set(made)
    assert len(made) > len(NAMES)
    for name in NAMES:
        assert name == registries.file(f"{workspace.registry}/{name}:1.0.0", AMD64, "name")
    assert {"released"} == set(workspace.states().values())
    assert 2 == len({where for _, where in built_at(record)})
    assert before == builders(lab)
    assert all(option(call.argv, "platform") == AMD64 for call in record.builds())
