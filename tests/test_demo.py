"""`make demo`, run as a newcomer does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab import available

PROJECT = Path(__file__).resolve().parents[1]
COMMANDS = ["export", "orchestrate plan", "orchestrate build", "orchestrate verify", "docker run"]


@pytest.mark.integration
@pytest.mark.skipif(available() is not None, reason=f"no lab: {available()}")
def test_demo_shows_every_command_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """It ends with the output of the arm64 program and a conclusion of two lines; its folders are gone."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.lab.demo"],
        cwd=PROJECT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = done.stdout.splitlines()
    shown = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]

    assert done.returncode == 0, done.stdout + done.stderr
    assert [True] * len(COMMANDS) == [
        line.startswith(command) for line, command in zip(shown, COMMANDS, strict=True)
    ], shown
    assert [
        "hello from aarch64",
        "",
        "shown: 9 images planned, 17 platform builds done and verified, 24 tags put.",
        "shown: the arm64 program in api:1.0.0 ran and said `hello from aarch64`.",
    ] == lines[-4:]
    assert [] == list(tmp_path.iterdir())
