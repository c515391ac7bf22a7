"""The tour of the README, as far as it needs no engine."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from tests.docs.blocks import README, Command, File, Hidden, read_blocks
from tests.docs.running import REGISTRY, environment_of_reader, matches, run_page


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the README shows the plan of an amd64 machine")
def test_tour_plans_as_shown(tmp_path: Path) -> None:
    """Without an engine the plan is the one that is shown, but for what only the engine and the registry can say."""
    blocks = read_blocks(README)
    command = next(block for block in blocks if isinstance(block, Command))
    offline = command._replace(text=f"{command.text} --offline")
    files = tuple(block for block in blocks if isinstance(block, File | Hidden))

    (ran,) = run_page((*files, offline), tmp_path, environment_of_reader(), REGISTRY)

    assert "orchestrate plan" == command.text
    assert matches(
        tuple(line for line in command.output if not line.startswith(("backend ", "time: "))),
        tuple(line.replace("?", "") for line in ran.lines if not line.startswith("backend ")),
    ), "\n".join(ran.lines)
