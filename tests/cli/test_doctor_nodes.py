"""`orchestrate doctor` for a project that is built on nodes, on a machine that could not build it by itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from orchestrator.cli import cli
from orchestrator.errors import OrchestratorError
from orchestrator_native.builders import builder_name
from orchestrator_native.config import NodeTable
from tests.cli.fake_docker import DATA, FakeDocker

HEAD = """\
format = 1
[defaults]
platforms = ["linux/amd64", "linux/s390x"]
[images.api]
"""
AMD = NodeTable(name="amd-1", platforms=["linux/amd64"], endpoint="tcp://10.0.0.11:1234")
S390X = NodeTable(name="z-1", platforms=["linux/s390x"], endpoint="ssh://build@z-1")
DEFAULT = (DATA / "ls.json").read_text().splitlines()[-1] + "\n"


@pytest.fixture
def docker(tmp_path: Path) -> FakeDocker:
    """An engine with the old image store, and a machine without an emulator for s390x."""
    docker = FakeDocker(tmp_path)
    docker.answer("info --format=json", json.dumps({"Driver": "overlay2", "DriverStatus": []}))
    docker.answer("buildx ls --format=json", DEFAULT)
    return docker


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A project of two nodes."""
    file = tmp_path / "builds.toml"
    nodes = "".join(
        f'[[backends.native.nodes]]\nname = "{node.name}"\nendpoint = "{node.endpoint}"\n'
        f"platforms = {json.dumps(node.platforms)}\n"
        for node in (AMD, S390X)
    )
    file.write_text(HEAD + nodes)
    return file


def inspect(node: NodeTable) -> str:
    """How a node is asked."""
    return f"buildx inspect {builder_name(node)}"


def answer(docker: FakeDocker, node: NodeTable, driver: str) -> None:
    """Let a node say that it is what it was declared to be."""
    head = f"Name: {builder_name(node)}\nDriver: {driver}\n\nNodes:\nName: n\nEndpoint: e\nStatus: running\n"
    docker.answer(inspect(node), f"{head}Platforms: {node.platforms[0]}\n")


def doctor(docker: FakeDocker, file: Path, *arguments: str) -> Result:
    """Ask the doctor."""
    environment = {"PATH": docker.path, "ORCHESTRATE_REGISTRY": None, "DOCKER_HOST": None}
    return CliRunner().invoke(cli, ["doctor", "--file", str(file), *arguments], env=environment)


def exit_code(result: Result) -> int:
    """What `__main__` makes of it."""
    return result.exception.exit_code if isinstance(result.exception, OrchestratorError) else result.exit_code


def lines(result: Result) -> list[str]:
    """What was printed, with single spaces."""
    return [" ".join(line.split()) for line in result.stdout.splitlines()]


def test_nodes_that_answer_are_all_that_is_needed(docker: FakeDocker, file: Path) -> None:
    """A line each; their platforms need neither QEMU nor a builder of this machine's."""
    answer(docker, AMD, "remote")
    answer(docker, S390X, "docker-container")
    result = doctor(docker, file)
    expected = [
        "ok node amd-1 remote driver, linux/amd64 natively",
        "ok node z-1 docker-container driver, linux/s390x natively",
        "ok platform linux/amd64 native on amd-1",
        "ok platform linux/s390x native on z-1",
    ]
    assert expected == [line for line in lines(result) if line.split()[1] in {"node", "platform"}]
    assert 0 == exit_code(result)


def test_fix_does_nothing_for_a_project_that_needs_nothing(docker: FakeDocker, file: Path) -> None:
    """No privileged container, no builder that nobody uses; nodes are asked as a plan asks them."""
    answer(docker, AMD, "remote")
    answer(docker, S390X, "docker-container")
    result = doctor(docker, file, "--fix")
    assert "nothing to fix\n" == result.stderr
    asked = ["version --format=json", "info --format=json", "buildx version", "buildx ls --format=json"]
    assert {*asked, inspect(AMD), inspect(S390X)} == set(docker.calls)


def test_a_node_that_does_not_answer_fails(docker: FakeDocker, file: Path) -> None:
    """With what buildx says, what to do, and the platform that it alone builds; there is no fix for it."""
    answer(docker, AMD, "remote")
    docker.fail(inspect(S390X), "ERROR: \x1b[31mno route to host")
    result = doctor(docker, file)
    (number,) = (number for number, line in enumerate(lines(result)) if "FAIL node" in line)
    told = lines(result)
    assert "FAIL node z-1 does not answer: no route to host" == told[number].replace("[31m", "")
    assert "-> see that BuildKit runs at `ssh://build@z-1`" in told[number + 1]
    assert "FAIL platform linux/s390x only on z-1, which does not answer" in told
    assert "ok platform linux/amd64 native on amd-1" in told
    assert 3 == exit_code(result)
    assert isinstance(result.exception, OrchestratorError)
    assert () == result.exception.hints


def test_nodes_make_up_for_an_engine_that_is_not_there(docker: FakeDocker, file: Path) -> None:
    """A plan does not ask for it."""
    answer(docker, AMD, "remote")
    answer(docker, S390X, "docker-container")
    docker.fail("version --format=json", "Cannot connect to the Docker daemon at unix:///run/docker.sock")
    result = doctor(docker, file)
    assert [line for line in lines(result) if line.startswith("warn docker")]
    assert 0 == exit_code(result)


def test_without_docker_no_node_is_asked(docker: FakeDocker, file: Path) -> None:
    """That docker is missing is told once."""
    docker.remove()
    told = lines(doctor(docker, file))
    assert [line for line in told if "`docker` is not installed" in line] == told[:1]
    assert not [line for line in told if " node " in line or " platform " in line]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('endpoint = "ssh://build@z-1"\n', "", "node `z-1` is nowhere"),
        ('endpoint = "ssh', 'endpiont = "ssh', "endpiont"),
        ('name = "z-1"', "name = 7", "name"),
        ("[images.api]", "[images.api]\nbackend = 'natvie'\n[images.web]", "unknown backend `natvie`"),
    ],
)
def test_a_file_with_mistakes_keeps_no_doctor_from_speaking(
    docker: FakeDocker, file: Path, old: str, new: str, message: str
) -> None:
    """It warns of what it could not ask, says who tells more, and offers nothing that may not be needed."""
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))
    result = doctor(docker, file)
    told = lines(result)
    (number,) = (number for number, line in enumerate(told) if line.startswith("warn backend"))
    assert "cannot be asked: " in told[number]
    assert message in told[number]
    assert "-> `orchestrate plan` tells all mistakes of the file, with their lines" == told[number + 1]
    assert not [line for line in told if "--fix" in line or "docker run" in line]


def test_a_mistake_somewhere_else_keeps_no_node_from_being_asked(docker: FakeDocker, file: Path) -> None:
    """The file is read as far as it goes."""
    file.write_text("nonsense = 1\n" + file.read_text().replace("format = 1", "format = 'x'"))
    answer(docker, AMD, "remote")
    assert "ok node amd-1 remote driver, linux/amd64 natively" in lines(doctor(docker, file))


@pytest.mark.parametrize("table", ["7", "[]", "{ nodes = 7 }", "{ nodes = [7] }"])
def test_a_table_of_another_shape_is_no_reason_to_fail(docker: FakeDocker, file: Path, table: str) -> None:
    """Never a traceback."""
    file.write_text(f"{HEAD}[backends]\ndefault = 'native'\nnative = {table}\n")
    assert [line for line in lines(doctor(docker, file)) if line.startswith("warn backend native cannot be asked")]


def test_a_certificate_that_is_not_there_is_what_a_node_fails_by(docker: FakeDocker, file: Path) -> None:
    """As a plan says it; paths are from the folder of the file on."""
    certificates = 'cacert = "ca.pem"\ncert = "env:DOCTOR_CERT"\nkey = "env:DOCTOR_KEY"\n'
    file.write_text(file.read_text().replace('name = "amd-1"\n', f'name = "amd-1"\n{certificates}'))
    expected = f"does not answer: no file `{file.parent / 'ca.pem'}`"
    assert [line for line in lines(doctor(docker, file)) if line.startswith(f"FAIL node amd-1 {expected}")]
