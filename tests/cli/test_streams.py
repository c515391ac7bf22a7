"""What becomes of a command whose output nobody takes: a full disk, a reader that left, no stream at all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Program
from tests.cli.fake_docker import FakeDocker

COMMANDS = (
    ("--help",),
    ("--version",),
    ("builders", "--help"),
    ("builders", "ls"),
    ("builders", "ls", "--format=json"),
    ("builders", "inspect", "default"),
    ("builders", "create", "new"),
    ("builders", "use", "cont"),
    ("doctor",),
    ("doctor", "--format=json"),
    ("schema",),
    ("graph",),
    ("export", "bake", "--out=-"),
)
FILE = 'format = 1\n[project]\nname = "x"\nregistry = "r.invalid/x"\n[images.a]\nplatforms = ["linux/amd64"]\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project, and a docker that answers as recorded."""
    FakeDocker(tmp_path)
    (tmp_path / "builds.toml").write_text(FILE)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "Dockerfile").write_text("FROM scratch\n")
    return tmp_path


def run(folder: Path, redirection: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The program in a process of its own, whose streams a shell redirects."""
    path = f"{folder / 'bin'}:{os.environ['PATH']}"
    environment = {"PATH": path, "HOME": str(folder), "ORCHESTRATE_REGISTRY": "127.0.0.1:1/x"}
    argv = ("sh", "-c", f'exec "$@" {redirection}', "sh", sys.executable, "-m", "orchestrator", *arguments)
    return subprocess.run(argv, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_a_full_disk_is_told(folder: Path, arguments: tuple[str, ...]) -> None:
    """As what it is: no bug of ours, and no traceback."""
    ran = run(folder, ">/dev/full", *arguments)
    errors = [line for line in ran.stderr.splitlines() if not line.startswith("+ docker")]
    assert (2, "error: no space left on device") == (ran.returncode, errors[0])


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_a_closed_output_is_no_error(folder: Path, arguments: tuple[str, ...]) -> None:
    """A service may have closed it; a doctor still ends as it found things."""
    ran = run(folder, ">&-", *arguments)
    assert (3 if arguments[0] == "doctor" else 0) == ran.returncode, ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("arguments", [(), ("builders",), ("doctor",), ("builders", "nothing")], ids=" ".join)
def test_errors_that_nobody_takes_change_no_exit_code(folder: Path, arguments: tuple[str, ...]) -> None:
    """Neither on a full disk nor without a stream."""
    expected = 3 if arguments == ("doctor",) else 2
    assert [expected, expected] == [run(folder, how, *arguments).returncode for how in ("2>/dev/full", "2>&-")]


@pytest.mark.parametrize(("arguments", "shown"), [((), "doctor"), (("builders",), "inspect")])
def test_a_group_without_a_command_shows_its_help(program: Program, arguments: tuple[str, ...], shown: str) -> None:
    """As click has it, on stderr with 2, and not as an error of the user's."""
    ran = program(*arguments)
    assert (2, "") == (ran.code, ran.out)
    assert ran.err.startswith(" ".join(("Usage: orchestrate", *arguments, "[OPTIONS] COMMAND")))
    assert f"  {shown} " in ran.err
    assert "error:" not in ran.err
    assert "hint:" not in ran.err


def test_an_error_moves_no_cursor(program: Program) -> None:
    """A word of the command line may be somebody else's."""
    ran = program("builders", "\x1b[2Jnothing")
    assert (2, True, False) == (ran.code, "nothing" in ran.err, "\x1b" in ran.err)
