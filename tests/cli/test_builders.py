from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from orchestrator.cli import cli
from orchestrator.cli.builders import parse_node, plan_creation
from orchestrator.errors import OrchestratorError, UsageError
from orchestrator.oci.platform import parse_platform
from tests.cli.fake_docker import FakeDocker


@pytest.fixture
def docker(tmp_path: Path) -> FakeDocker:
    """Three builders, as recorded."""
    return FakeDocker(tmp_path)


def _run(docker: FakeDocker, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ("builders", *arguments), env={"PATH": docker.path, "DOCKER_HOST": None})


def _error(result: Result) -> OrchestratorError:
    assert isinstance(result.exception, OrchestratorError)
    return result.exception


def test_ls_is_a_table_of_builders_and_nodes(docker: FakeDocker) -> None:
    """The current builder has a star; native and emulated are apart."""
    header, *rows = _run(docker, "ls").stdout.splitlines()
    assert header.split() == ["NAME/NODE", "DRIVER/ENDPOINT", "STATUS", "BUILDKIT", "NATIVE", "EMULATED"]
    assert [row.split()[0] for row in rows] == ["cont", "cont0", "far", "far0", "default*", "default"]
    assert rows[-1].split()[-2:] == ["linux/amd64/v4", "linux/arm64"]


def test_ls_as_json(docker: FakeDocker) -> None:
    """For scripts."""
    builders = json.loads(_run(docker, "ls", "--format", "json").stdout)["builders"]
    assert [builder["current"] for builder in builders] == [False, False, True]
    assert builders[2]["nodes"][0]["emulated"] == ["linux/arm64"]


def test_ls_shows_the_error_of_a_node_below_the_table(docker: FakeDocker) -> None:
    """Whole, since it would not fit into a column."""
    docker.answer("buildx ls --format=json", '{"Name":"b","Driver":"remote","Nodes":[{"Name":"n","Err":"no route"}]}')
    assert _run(docker, "ls").stdout.splitlines()[-1] == "b, n: no route"


def test_ls_works_without_an_engine(docker: FakeDocker) -> None:
    """Remote builders do not need one."""
    docker.fail("version --format=json", "Cannot connect to the Docker daemon")
    assert _run(docker, "ls").exit_code == 0


def test_inspect_shows_one_builder(docker: FakeDocker) -> None:
    """From what `docker buildx inspect` prints."""
    lines = _run(docker, "inspect", "default").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["NAME/NODE", "default", "default"]


def test_inspect_starts_the_builder_when_told_to(docker: FakeDocker) -> None:
    """Only then its platforms are known."""
    docker.answer("buildx inspect --bootstrap b", "Name: b\nDriver: docker-container\n\nNodes:\nName: b0\n")
    result = _run(docker, "inspect", "b", "--bootstrap", "--format", "json")
    assert json.loads(result.stdout)["builders"][0]["nodes"][0]["name"] == "b0"


def test_a_builder_that_is_not_there_is_an_error_with_a_hint(docker: FakeDocker) -> None:
    """In buildx's own words."""
    docker.fail("buildx inspect nosuch", 'ERROR: no builder "nosuch" found')
    error = _error(_run(docker, "inspect", "nosuch"))
    assert error.message == '`docker buildx inspect …` failed: no builder "nosuch" found'
    assert error.hints == ("`orchestrate builders ls` lists the builders",)


def test_create_makes_a_builder_and_appends_nodes(docker: FakeDocker) -> None:
    """Every command is printed before it is run."""
    first = "buildx create --name=ci --driver=remote --platform=linux/amd64 tcp://10.0.0.11:1234"
    second = "buildx create --append --name=ci --driver=remote --platform=linux/arm64,linux/arm/v7 tcp://10.0.0.12:1"
    nodes = ["--node", "tcp://10.0.0.11:1234=linux/amd64", "--node", "tcp://10.0.0.12:1=linux/arm64,linux/arm/v7"]
    result = _run(docker, "create", "ci", "--driver", "remote", *nodes)
    assert [first, second] == docker.calls[-2:]
    assert [f"+ docker {first}", f"+ docker {second}"] == result.stderr.splitlines()
    assert result.stdout == "ci\n"


def test_create_does_not_change_a_builder_that_exists(docker: FakeDocker) -> None:
    """`docker buildx create --append` would."""
    error = _error(_run(docker, "create", "cont"))
    assert error.message == "a builder `cont` exists"
    assert not [call for call in docker.calls if "create" in call]


def test_a_creation_cut_short_says_how_to_remove_what_is_there(docker: FakeDocker) -> None:
    """The first node was created, the second was not."""
    docker.fail("buildx create --append --name=ci --driver=remote tcp://b:1", "ERROR: bad endpoint")
    error = _error(_run(docker, "create", "ci", "--driver", "remote", "--node", "tcp://a:1", "--node", "tcp://b:1"))
    assert error.hints == ("it is there, incomplete: `orchestrate builders rm ci` removes it",)


def test_create_can_start_the_builder(docker: FakeDocker) -> None:
    """So that a failure is seen now."""
    _run(docker, "create", "ci", "--bootstrap")
    assert docker.calls[-2:] == ["buildx create --name=ci --driver=docker-container", "buildx inspect --bootstrap ci"]


def test_rm_without_a_terminal_needs_to_be_told_twice(docker: FakeDocker) -> None:
    """A script that means it says `--yes`."""
    assert _error(_run(docker, "rm", "cont")).hints == ("add `--yes`",)
    assert docker.calls == []


def test_rm_with_yes_removes(docker: FakeDocker) -> None:
    """And prints what it runs."""
    result = _run(docker, "rm", "cont", "--yes")
    assert (docker.calls, result.stderr) == (["buildx rm cont"], "+ docker buildx rm cont\n")


@pytest.mark.parametrize("name", ["", "-f", "a b", "../x", "9a", "a\n"])
def test_names_that_buildx_would_refuse_are_refused_before(docker: FakeDocker, name: str) -> None:
    """Nothing that looks like an option gets to docker."""
    assert _error(_run(docker, "rm", "--yes", "--", name)).exit_code == 2
    assert docker.calls == []


@pytest.mark.parametrize(
    ("text", "endpoint", "platforms"),
    [
        ("tcp://10.0.0.1:1=linux/arm64", "tcp://10.0.0.1:1", ["linux/arm64"]),
        ("ssh://build@arm-1", "ssh://build@arm-1", []),
        ("kubernetes:///c?deployment=d", "kubernetes:///c?deployment=d", []),
        ("kubernetes:///c?deployment=d=linux/arm64", "kubernetes:///c?deployment=d", ["linux/arm64"]),
        ("=linux/arm64, linux/amd64", "", ["linux/arm64", "linux/amd64"]),
        ("", "", []),
    ],
)
def test_nodes_are_an_endpoint_and_platforms(text: str, endpoint: str, platforms: list[str]) -> None:
    """An endpoint may have an equals sign of its own."""
    assert (endpoint, tuple(map(parse_platform, platforms))) == parse_node(text)


@pytest.mark.parametrize("text", ["tcp://a:1=linux/arm46", "--use", "a\x1b=linux/amd64"])
def test_bad_nodes_are_refused(text: str) -> None:
    """Before anything is created."""
    with pytest.raises(UsageError):
        parse_node(text)


def test_a_driver_option_with_a_comma_is_quoted() -> None:
    """Buildx reads the flag as CSV."""
    (argv,) = plan_creation("b", (), "docker-container", ('env.A=x,"y"', "network=host"))
    assert argv[-2:] == ('--driver-opt="env.A=x,""y"""', "--driver-opt=network=host")


def test_a_driver_option_without_a_value_is_refused() -> None:
    """It would be taken for something else."""
    with pytest.raises(UsageError, match="not a driver option"):
        plan_creation("b", (), "docker-container", ("network",))


def test_a_remote_builder_needs_a_node() -> None:
    """There is none on this machine by itself."""
    with pytest.raises(UsageError, match="needs a node"):
        plan_creation("b", (), "remote", ())
