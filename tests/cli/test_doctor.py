from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from orchestrator.cli import cli
from orchestrator.errors import OrchestratorError
from tests.cli.fake_docker import DATA, FakeDocker

_CREATE = "docker buildx create --name=orchestrate --driver=docker-container --bootstrap"
_OLD_STORE = json.dumps({"Driver": "overlay2", "DriverStatus": [["Backing Filesystem", "extfs"]]})
_DEFAULT = (DATA / "ls.json").read_text().splitlines()[-1] + "\n"
_CREATED = json.dumps(
    {
        "Name": "orchestrate",
        "Driver": "docker-container",
        "Nodes": [{"Name": "orchestrate0", "Endpoint": "default", "Status": "running", "Platforms": ["linux/amd64"]}],
    }
)


@pytest.fixture
def docker(tmp_path: Path) -> FakeDocker:
    """An engine and a buildx that are all right, as recorded."""
    return FakeDocker(tmp_path)


def _run(docker: FakeDocker, *arguments: str) -> Result:
    missing = str(Path(docker.path.split(":")[0]).parent / "none.toml")
    environment = {"PATH": docker.path, "ORCHESTRATE_REGISTRY": None, "DOCKER_HOST": None}
    return CliRunner().invoke(cli, ["doctor", "--file", missing, *arguments], env=environment)


def _exit_code(result: Result) -> int:
    """What `__main__` makes of it."""
    return result.exception.exit_code if isinstance(result.exception, OrchestratorError) else result.exit_code


def _statuses(result: Result) -> dict[str, str]:
    checks = json.loads(result.stdout)["checks"]
    return {check["subject"]: check["status"] for check in checks}


def test_a_good_machine_has_nothing_that_fails(docker: FakeDocker) -> None:
    """One line each, and exit code 0."""
    result = _run(docker)
    assert "ok   docker                     28.5.2+dfsg4, containerd image store" in result.stdout.splitlines()
    assert _exit_code(result) == 0


def test_everything_has_a_line(docker: FakeDocker) -> None:
    """Docker, buildx, every builder, the foreign platform, git and the disk."""
    statuses = _statuses(_run(docker, "--format", "json"))
    subjects = ["docker", "buildx", "builder cont", "builder far", "builder default (current)", "platform linux/arm64"]
    assert [*subjects, "git", "disk"] == list(statuses)
    assert (statuses["builder far"], statuses["platform linux/arm64"]) == ("warn", "ok")


def test_looking_changes_nothing(docker: FakeDocker) -> None:
    """Only questions are asked."""
    _run(docker)
    expected = ["version --format=json", "info --format=json", "buildx version", "buildx ls --format=json"]
    assert expected == docker.calls


def test_no_docker_fails_with_one_line(docker: FakeDocker) -> None:
    """It says how to get one, once."""
    docker.remove()
    result = _run(docker)
    assert "`docker` is not installed" in result.stdout
    assert "buildx" not in result.stdout
    assert _exit_code(result) == 3


def test_an_engine_that_does_not_answer_fails(docker: FakeDocker) -> None:
    """With docker's own words and what to do."""
    docker.fail("version --format=json", "Cannot connect to the Docker daemon at unix:///run/docker.sock")
    docker.answer("buildx ls --format=json", '{"Current":true,"Driver":"","Err":"Cannot connect","Name":"default"}')
    result = _run(docker)
    assert "FAIL docker" in result.stdout
    assert "Cannot connect to the Docker daemon" in result.stdout
    assert "systemctl start docker" in result.stdout
    assert _exit_code(result) == 3


def test_an_old_buildx_fails(docker: FakeDocker) -> None:
    """0.20 is needed."""
    docker.answer("buildx version", "github.com/docker/buildx v0.13.1 788433953af10f2a698f5c07611dddce2e08c7a0")
    assert _statuses(_run(docker, "--format", "json"))["buildx"] == "fail"


def test_a_platform_of_the_build_file_that_nobody_builds_fails(docker: FakeDocker, tmp_path: Path) -> None:
    """The platforms looked for are those of the project."""
    file = tmp_path / "builds.toml"
    file.write_text('format = 1\n[images.a]\nplatforms = ["linux/amd64", "linux/loong64"]\n[platforms]\n')
    file.write_text(file.read_text() + '"linux/loong64" = { emulation = "forbid" }\n')
    statuses = _statuses(_run(docker, "--format", "json", "--file", str(file)))
    assert (statuses["platform linux/amd64"], statuses["platform linux/loong64"]) == ("ok", "fail")


def test_a_registry_that_cannot_be_reached_fails(docker: FakeDocker) -> None:
    """Nobody listens on port 1."""
    statuses = _statuses(_run(docker, "--format", "json", "--registry", "127.0.0.1:1/acme"))
    assert statuses["registry 127.0.0.1:1"] == "fail"


def test_fix_creates_the_builder_after_saying_so_and_looks_again(docker: FakeDocker) -> None:
    """The command is printed before it is run; the lines are of what is then."""
    docker.answer("info --format=json", _OLD_STORE)
    docker.answer("buildx ls --format=json", _DEFAULT)
    docker.answer_after_create("buildx ls --format=json", _DEFAULT + _CREATED)
    result = _run(docker, "--fix")
    assert [f"  {_CREATE}", f"+ {_CREATE}"] == [line for line in result.stderr.splitlines() if _CREATE in line]
    assert _CREATE.removeprefix("docker ") in docker.calls
    assert "ok   builder orchestrate" in result.stdout
    assert _exit_code(result) == 0


def test_without_fix_the_builder_is_only_named(docker: FakeDocker) -> None:
    """The line says what to do, and nothing is done."""
    docker.answer("info --format=json", _OLD_STORE)
    docker.answer("buildx ls --format=json", _DEFAULT)
    result = _run(docker)
    assert _CREATE in result.stdout
    assert not [call for call in docker.calls if "create" in call]
    assert _exit_code(result) == 3


def test_a_fix_that_fails_is_told_and_the_check_still_fails(docker: FakeDocker) -> None:
    """With docker's own words."""
    docker.answer("info --format=json", _OLD_STORE)
    docker.answer("buildx ls --format=json", _DEFAULT)
    docker.fail(_CREATE.removeprefix("docker "), "ERROR: no such image")
    result = _run(docker, "--fix")
    assert "failed: `docker buildx create …` failed: no such image" in result.stderr
    assert _exit_code(result) == 3


def test_fix_on_a_good_machine_touches_nothing(docker: FakeDocker) -> None:
    """There is nothing to fix."""
    result = _run(docker, "--fix")
    assert result.stderr == "nothing to fix\n"
    assert len(docker.calls) == 4


def test_json_can_be_fixed_too(docker: FakeDocker) -> None:
    """What is announced goes to stderr, the document alone to stdout."""
    docker.answer("info --format=json", _OLD_STORE)
    docker.answer("buildx ls --format=json", _DEFAULT)
    docker.answer_after_create("buildx ls --format=json", _DEFAULT + _CREATED)
    assert _statuses(_run(docker, "--fix", "--format", "json"))["builder orchestrate"] == "ok"


_NO_BUILDX = "unknown flag: --format\n\nUsage:  docker [OPTIONS] COMMAND\n\nRun 'docker --help' for more information"


def _file(tmp_path: Path, text: str) -> str:
    file = tmp_path / "builds.toml"
    file.write_text('format = 1\n[images.a]\nplatforms = ["linux/amd64"]\n' + text)
    return str(file)


def test_a_docker_without_buildx_is_told_once(docker: FakeDocker) -> None:
    """With the packages that bring it; what needs it is not asked."""
    docker.fail("buildx version", "docker: unknown command: docker buildx\n\nRun 'docker --help' for more information")
    docker.fail("buildx ls --format=json", _NO_BUILDX)
    lines = _run(docker).stdout.splitlines()
    (number,) = (number for number, line in enumerate(lines) if "buildx" in line.split()[:2])
    assert ["FAIL", "buildx", "docker has no plugin buildx"] == lines[number].split(maxsplit=2)
    assert all(name in lines[number + 1] for name in ("docker-buildx-plugin", "docker-buildx`", "https://"))
    assert not [line for line in lines if "builders" in line.split()[:2] or "unknown" in line]


def test_a_configured_builder_that_does_not_exist_fails(docker: FakeDocker, tmp_path: Path) -> None:
    """Though everything else is all right."""
    result = _run(docker, "--file", _file(tmp_path, '[backends.qemu]\nbuilder = "farm"\n'))
    assert "FAIL builder farm" in result.stdout
    assert "`orchestrate builders create farm`" in result.stdout
    assert _exit_code(result) == 3


def test_fix_creates_the_builder_that_is_configured(docker: FakeDocker, tmp_path: Path) -> None:
    """Under its name, and no other."""
    docker.answer_after_create("buildx ls --format=json", _DEFAULT + _CREATED.replace("orchestrate", "farm"))
    result = _run(docker, "--fix", "--file", _file(tmp_path, '[backends.qemu]\nbuilder = "farm"\n'))
    assert [_CREATE.replace("orchestrate", "farm")] == [f"docker {call}" for call in docker.calls if "create" in call]
    assert _exit_code(result) == 0


def test_fix_starts_the_builder_that_is_configured(docker: FakeDocker, tmp_path: Path) -> None:
    """Buildx starts it by being asked."""
    stopped = '{"Name":"farm","Driver":"docker-container","Nodes":[{"Name":"farm0","Status":"stopped"}]}\n'
    docker.answer("buildx ls --format=json", _DEFAULT + stopped)
    result = _run(docker, "--fix", "--file", _file(tmp_path, '[backends.qemu]\nbuilder = "farm"\n'))
    assert "+ docker buildx inspect --bootstrap farm" in result.stderr.splitlines()


def test_the_builders_of_native_nodes_are_looked_at(docker: FakeDocker, tmp_path: Path) -> None:
    """One that is lost, one that is not there."""
    nodes = "".join(f'[[backends.native.nodes]]\nname = "{name}"\nbuilder = "{name}"\n' for name in ("far", "arm"))
    statuses = _statuses(_run(docker, "--format", "json", "--file", _file(tmp_path, nodes)))
    assert ("fail", "fail") == (statuses["builder far"], statuses["builder arm"])


@pytest.mark.parametrize("style", ["text", "json"])
def test_what_others_say_moves_no_cursor(docker: FakeDocker, tmp_path: Path, style: str) -> None:
    """Names, errors of tools, files and registries: no control sequence, no other line, nothing that is not seen."""
    evil = "\x1b[2J\x07\u202ex\x9b2J\nok   docker"
    docker.fail("version --format=json", f"Cannot connect {evil}")
    builder = {"Name": f"b{evil}", "Driver": "remote", "Nodes": [{"Name": evil, "Endpoint": evil, "Err": evil}]}
    docker.answer("buildx ls --format=json", json.dumps(builder))
    toml = f"[backends.qemu]\nbuilder = {json.dumps(evil)}\n[project]\nregistry = {json.dumps('a.invalid:1' + evil)}\n"
    result = _run(docker, "--format", style, "--registry", f"a.invalid:1{evil}/x", "--file", _file(tmp_path, toml))
    assert not [letter for letter in result.output if not letter.isprintable() and letter != "\n"]
    assert not [line for line in result.output.splitlines() if line.startswith("ok   docker")]
