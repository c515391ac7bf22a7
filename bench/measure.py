"""Whole processes, timed by the operating system; two commands in turn, so that a slow moment hits both."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryFile
from typing import Final

_TOLD: Final = 2_000
"""Bytes of the end of what a command printed that are shown where it failed."""


@dataclass(frozen=True)
class Line:
    """One line of the table: what was compared, both results, their ratio, and whether the budget is kept."""

    what: str
    ours: str
    theirs: str
    ratio: str
    budget: str
    kept: bool


@dataclass(frozen=True)
class Run:
    """One run: seconds on the wall and on processors, and the peak of memory in MiB."""

    wall: float
    processor: float
    peak: float


@dataclass(frozen=True)
class Command:
    """What is measured."""

    argv: tuple[str, ...]
    folder: Path
    environment: Mapping[str, str]


def as_users_have_it(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without what makes Python compile our modules again in every process, as some containers do."""
    slow = {"PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"}
    return {name: value for name, value in environment.items() if name not in slow}


def run_once(command: Command) -> Run:
    """Run it once; what it prints is shown only where it fails.

    Raises:
        RuntimeError: it failed, so there is nothing to compare.
    """
    with TemporaryFile() as said:
        started = time.perf_counter()
        with subprocess.Popen(
            command.argv,
            cwd=command.folder,
            env=command.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
        ) as child:
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
        wall = time.perf_counter() - started
        if child.returncode:
            said.seek(0)
            told = said.read()[-_TOLD:].decode(errors="replace")
            message = f"{' '.join(command.argv)} ended with {child.returncode}:\n{told}"
            raise RuntimeError(message)
    return Run(wall=wall, processor=usage.ru_utime + usage.ru_stime, peak=_mebibytes(usage))


def in_turn(one: Command, other: Command, runs: int) -> tuple[list[Run], list[Run]]:
    """Run both in turn, one uncounted run of each first."""
    run_once(one)
    run_once(other)
    pairs = [(run_once(one), run_once(other)) for _ in range(runs)]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def ratio(ones: list[Run], others: list[Run]) -> float:
    """The median of the ratios pair by pair, on the wall."""
    return median(one.wall / other.wall for one, other in zip(ones, others, strict=True))


def wall(runs: list[Run]) -> float:
    """The median time on the wall."""
    return median(run.wall for run in runs)


def peak(runs: list[Run]) -> float:
    """The largest peak of memory."""
    return max(run.peak for run in runs)


def _mebibytes(usage: resource.struct_rusage) -> float:
    return usage.ru_maxrss / (1024 if sys.platform != "darwin" else 1024 * 1024)
