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


def run_once(command: Command) -> Run:
    """Run it once, its output thrown away.

    Raises:
        RuntimeError: it failed, so there is nothing to compare.
    """
    started = time.perf_counter()
    with subprocess.Popen(
        command.argv,
        cwd=command.folder,
        env=command.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as child:
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - started
    if child.returncode:
        message = f"{' '.join(command.argv)} ended with {child.returncode}"
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
