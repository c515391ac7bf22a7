"""The program, run in this process: what it printed, and how it ended."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from orchestrator.__main__ import run


class Ran(NamedTuple):
    """One call of the program."""

    code: int
    out: str
    err: str


class Program:
    """Calls `orchestrate` in a folder, with nothing of the user's environment that it would read."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, *arguments: str) -> Ran:
        """Run it."""
        self._monkeypatch.chdir(self.folder)
        code = run(arguments)
        captured = self._capsys.readouterr()
        return Ran(code, captured.out, captured.err)


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Program]:
    """The program in an empty folder."""
    for name in (
        "ORCHESTRATE_REGISTRY",
        "ORCHESTRATE_SET",
        "ORCHESTRATE_DEBUG",
        "ORCHESTRATE_PROGRESS",
        "FORCE_COLOR",
        "GITHUB_ACTIONS",
    ):
        monkeypatch.delenv(name, raising=False)
    thresholds = gc.get_threshold()
    yield Program(tmp_path, monkeypatch, capsys)
    gc.unfreeze()
    gc.set_threshold(*thresholds)
