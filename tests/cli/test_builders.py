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


_USED = 'format = 1 # first\n\n[backends.qemu] # one builder\nbuilder = "{}" # the best\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file that names a builder already."""
    path = tmp_path / "builds.toml"
    path.write_text(_USED.format("default"))
    return path


def test_use_writes_the_builder_and_nothing_else(docker: FakeDocker, file: Path) -> None:
    """Comments stay; what was written is said."""
    file.chmod(0o640)
    result = _run(docker, "use", "cont", "--file", str(file))
    assert _USED.format("cont") == file.read_text()
    assert (f'{file}: backends.qemu.builder = "cont"\n', "") == (result.stdout, result.stderr)
    assert 0o640 == file.stat().st_mode & 0o777


def test_use_finds_the_file_above(docker: FakeDocker, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As every command does."""
    (file.parent / "inner").mkdir()
    monkeypatch.chdir(file.parent / "inner")
    assert _run(docker, "use", "cont").exit_code == 0
    assert _USED.format("cont") == file.read_text()


def test_use_of_another_backend(docker: FakeDocker, file: Path) -> None:
    """Any whose table has a builder."""
    _run(docker, "use", "cont", "--backend", "bake", "--file", str(file))
    assert file.read_text().endswith('\n[backends.bake]\nbuilder = "cont"\n')


def test_use_refuses_a_builder_that_does_not_exist(docker: FakeDocker, file: Path) -> None:
    """It says which was meant, which there are and how one is made; the file stays."""
    error = _error(_run(docker, "use", "conf", "--file", str(file)))
    assert (2, "there is no builder `conf`") == (error.exit_code, error.message)
    listed = "those that exist: `cont`, `far`, `default`"
    hints = ("did you mean `cont`?", listed, "`orchestrate builders create conf` makes it")
    assert hints == error.hints
    assert _USED.format("default") == file.read_text()


@pytest.mark.parametrize("said", ["Cannot connect to the Docker daemon", "unknown command: docker buildx"])
def test_use_writes_what_cannot_be_checked(docker: FakeDocker, file: Path, said: str) -> None:
    """On a machine without Docker a file can be edited all the same; it is said."""
    docker.fail("buildx ls --format=json", said)
    result = _run(docker, "use", "farm", "--file", str(file))
    assert _USED.format("farm") == file.read_text()
    assert result.stderr.startswith("note: whether builder `farm` exists could not be checked: ")


@pytest.mark.parametrize(
    ("backend", "message", "hints"),
    [
        ("zz", "unknown backend `zz`", ("known: `bake`, `native`, `qemu`", "`--backend` takes `bake`, `qemu`")),
        ("qmu", "unknown backend `qmu`", ("did you mean `qemu`?", "`--backend` takes `bake`, `qemu`")),
        (
            "native",
            "backend `native` has no builder of its own",
            (
                "`--backend` takes `bake`, `qemu`",
                'a node names its own: `[[backends.native.nodes]]` with `builder = "cont"`',
            ),
        ),
    ],
)
def test_use_refuses_a_backend_without_a_builder(
    docker: FakeDocker, file: Path, backend: str, message: str, hints: tuple[str, ...]
) -> None:
    """The table would be an unknown key to the next command."""
    error = _error(_run(docker, "use", "cont", "--backend", backend, "--file", str(file)))
    assert (2, message, hints) == (error.exit_code, error.message, error.hints)
    assert _USED.format("default") == file.read_text()
    assert docker.calls == []


@pytest.mark.parametrize("content", [b"backends = 3\n", b"format = ", b"\xff"])
def test_use_leaves_a_file_that_it_cannot_edit(docker: FakeDocker, file: Path, content: bytes) -> None:
    """And says what to write."""
    file.write_bytes(content)
    error = _error(_run(docker, "use", "cont", "--file", str(file)))
    assert error.hints == ('write it yourself: `[backends.qemu]` with `builder = "cont"`',)
    assert content == file.read_bytes()


def test_use_keeps_the_ends_of_lines_and_a_link(docker: FakeDocker, file: Path) -> None:
    """One line changes, not all of them; the link still is one."""
    windows = _USED.replace("\n", "\r\n")
    real = file.with_name("real.toml")
    real.write_bytes(windows.format("default").encode())
    file.unlink()
    file.symlink_to(real.name)
    _run(docker, "use", "cont", "--file", str(file))
    assert windows.format("cont").encode() == real.read_bytes()
    assert file.is_symlink()


def test_use_where_nothing_can_be_written_is_an_error_with_the_reason(
    docker: FakeDocker, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder stands where the new file would be."""
    monkeypatch.setattr("os.getpid", lambda: 1)
    file.with_name(".builds.toml.1").mkdir()
    error = _error(_run(docker, "use", "cont", "--file", str(file)))
    assert "is a directory" in error.message
    assert _USED.format("default") == file.read_text()


def test_without_buildx_every_command_says_so(docker: FakeDocker) -> None:
    """And which package brings it."""
    for command in ("buildx ls --format=json", "buildx inspect b", "buildx rm b"):
        docker.fail(command, "docker: unknown command: docker buildx")
    for arguments in (("ls",), ("inspect", "b"), ("create", "b"), ("rm", "b", "--yes")):
        error = _error(_run(docker, *arguments))
        assert "docker has no plugin buildx" == error.message
        assert "docker-buildx-plugin" in error.hints[0]


def test_a_closed_input_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service may have closed it."""
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(UsageError, match="without being told twice"):
        cli.main(["builders", "rm", "cont"], standalone_mode=False)


@pytest.mark.parametrize("style", ["text", "json"])
def test_what_buildx_says_moves_no_cursor(docker: FakeDocker, style: str) -> None:
    """Names, endpoints, errors: no control sequence, nothing that is not seen."""
    evil = "\x1b[2J\x07\u202ex\x9b2J\ny"
    node = {"Name": evil, "Endpoint": evil, "Status": evil, "Version": evil, "Err": evil}
    docker.answer("buildx ls --format=json", json.dumps({"Name": evil, "Driver": evil, "Err": evil, "Nodes": [node]}))
    result = _run(docker, "ls", "--format", style)
    assert result.exit_code == 0
    assert not [letter for letter in result.output if not letter.isprintable() and letter != "\n"]
