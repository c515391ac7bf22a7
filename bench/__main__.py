"""`python -m bench`: start-up and planning beside `docker buildx bake --print` of the same targets.

--quick    without the 10,000 images, for which bake alone takes minutes
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.measure import Command, in_turn, peak, ratio, wall
from bench.workload import write_project
from tests.lab import Lab, available

_ORCHESTRATE: Final = (sys.executable, "-m", "orchestrator")
_PLAN: Final = (*_ORCHESTRATE, "plan", "--offline")
_BAKE: Final = ("docker", "buildx", "bake", "--print", "--progress=quiet", "--file=docker-bake.json")


@dataclass(frozen=True)
class Line:
    """One line of the table."""

    what: str
    ours: str
    theirs: str
    ratio: str
    budget: str
    kept: bool


def main(arguments: list[str]) -> int:
    """Measure and print the table; 1 where a budget is not kept."""
    reason = available()
    if reason:
        sys.stdout.write(f"buildx is needed to compare with, and the lab that has it cannot be had: {reason}\n")
        return 2
    sizes = (12, 1_000) if "--quick" in arguments else (12, 1_000, 10_000)
    lines: list[Line] = []
    with Lab.start(engines=1, emulate=()) as lab, tempfile.TemporaryDirectory() as scratch:
        environment = dict(lab.environ)
        lines.append(_start_up(Path(scratch), environment))
        _show(lines[-1])
        for size in sizes:
            folder = Path(scratch) / str(size)
            folder.mkdir()
            write_project(folder, size)
            lines.append(_planning(folder, size, environment))
            _show(lines[-1])
    return 0 if all(line.kept for line in lines) else 1


def _start_up(folder: Path, environment: dict[str, str]) -> Line:
    ours, theirs = in_turn(
        Command((*_ORCHESTRATE, "--help"), folder, environment),
        Command((sys.executable, "-c", "pass"), folder, environment),
        runs=11,
    )
    measured = ratio(ours, theirs)
    return Line(
        what="`orchestrate --help` against `python -c pass`",
        ours=f"{wall(ours):.3f} s",
        theirs=f"{wall(theirs):.3f} s",
        ratio=f"{measured:.1f} x",
        budget="at most 6 x",
        kept=measured <= 6,  # noqa: PLR2004 (the budget)
    )


_BUDGETS: Final[dict[int, tuple[str, Callable[[float, float, float], bool]]]] = {
    12: ("at most 0.6 s", lambda seconds, _, __: seconds <= 0.6),  # noqa: PLR2004
    1_000: ("no slower than bake", lambda _, factor, __: factor >= 1),
    10_000: (
        "at most 3 s, 20 x faster than bake, under 400 MB",
        lambda seconds, factor, memory: seconds <= 3 and factor >= 20 and memory < 400,  # noqa: PLR2004
    ),
}


def _planning(folder: Path, size: int, environment: dict[str, str]) -> Line:
    ours, theirs = in_turn(
        Command(_PLAN, folder, environment),
        Command(_BAKE, folder, environment),
        runs=1 if size > 1_000 else 5,  # noqa: PLR2004
    )
    factor = 1 / ratio(ours, theirs)
    budget, is_kept = _BUDGETS[size]
    return Line(
        what=f"`plan --offline`, {size:,} images x 2 platforms, against `bake --print`",
        ours=f"{wall(ours):.2f} s, {peak(ours):.0f} MB",
        theirs=f"{wall(theirs):.2f} s, {peak(theirs):.0f} MB",
        ratio=f"{factor:.1f} x faster",
        budget=budget,
        kept=is_kept(wall(ours), factor, peak(ours)),
    )


def _show(line: Line) -> None:
    sys.stdout.write(f"{line.what}\n")
    kept = "kept" if line.kept else "NOT KEPT"
    sys.stdout.write(f"    {line.ours}   other: {line.theirs}   {line.ratio}   budget: {line.budget}: {kept}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
