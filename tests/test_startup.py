"""What a command loads before it knows what it is to do: nobody pays for what `--help` does not need."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = ("networkx", "jinja2", "rich", "urllib3", "tomlkit", "asyncio", "hypothesis", "dockerfile", "tomli")

LIST = """
import json, sys
{before}
print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""
CALL = """
from orchestrator.__main__ import run
code = run({arguments!r})
assert code == {code}, code
"""


def loaded(before: str) -> set[str]:
    """The modules that are loaded after a piece of program, in a fresh interpreter."""
    child = subprocess.run(
        [sys.executable, "-c", LIST.format(before=before)], check=True, capture_output=True, text=True, timeout=60
    )  # fmt: skip
    return set(json.loads(child.stderr.splitlines()[-1]))


def heavy(found: set[str]) -> set[str]:
    """Those that no command should load by the way."""
    return {name for name in HEAVY if name in found}


def test_importing_the_command_line_loads_nothing_heavy() -> None:
    """Commands are known by name and summary; each is a module that is loaded when it is called."""
    found = loaded("import orchestrator.cli")
    assert set() == heavy(found)
    assert {"orchestrator.cli"} == {name for name in found if name.startswith("orchestrator.cli")}


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("-h",)])
def test_help_loads_nothing_heavy(arguments: tuple[str, ...]) -> None:
    """Not even our own packages but for the command line's."""
    found = loaded(CALL.format(arguments=arguments, code=0))
    assert set() == heavy(found)
    own = {name.split(".")[1] for name in found if name.startswith("orchestrator.")}
    assert own <= {"__main__", "cli", "errors", "ui"}


@pytest.mark.parametrize(
    "command", ["plan", "build", "promote", "report", "graph", "export", "verify", "doctor", "builders", "schema"]
)
def test_help_of_a_command_loads_nothing_heavy(command: str) -> None:
    """It loads its own module, and what its options are made of."""
    found = loaded(CALL.format(arguments=(command, "--help"), code=0))
    assert set() == heavy(found) - {"tomli"}


def test_an_unknown_command_loads_nothing_heavy() -> None:
    """It is told at once."""
    assert set() == heavy(loaded(CALL.format(arguments=("bild",), code=2)))
