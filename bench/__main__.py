"""`python -m bench`: what was promised about speed, measured beside `docker buildx bake`, `git status` and `python`.

--quick       without the 10,000 images, for which bake alone takes minutes, and with one run of what bake builds
PART...       only these: start-up, contexts, planning, unchanged
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Final

from bench.contexts import compare_contexts
from bench.measure import Command, Line, as_users_have_it, in_turn, peak, ratio, run_once, wall
from bench.unchanged import Place, compare_unchanged
from bench.workload import write_project
from tests.lab import Lab, available

_ORCHESTRATE: Final = (sys.executable, "-m", "orchestrator")
_PLAN: Final = (*_ORCHESTRATE, "plan", "--offline")
_BAKE: Final = ("docker", "buildx", "bake", "--print", "--progress=quiet", "--file=docker-bake.json")
_ALONE: Final = ("start-up", "contexts")
_IN_LAB: Final = ("planning", "unchanged")
_UNMEASURED: Final = 2


def main(arguments: list[str]) -> int:
    """Measure and print the table; 1 where a budget is not kept, 2 where something could not be measured."""
    quick = "--quick" in arguments
    parts = [argument for argument in arguments if argument != "--quick"] or [*_ALONE, *_IN_LAB]
    unknown = set(parts) - {*_ALONE, *_IN_LAB}
    if unknown:
        sys.stderr.write(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join((*_ALONE, *_IN_LAB))}\n")
        return _UNMEASURED
    kept = True
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        for line in _measure_alone(scratch, parts):
            kept &= _show(line)
        wanted = [part for part in _IN_LAB if part in parts]
        reason = available() if wanted else None
        if reason:
            sys.stdout.write(f"NOT MEASURED: {', '.join(wanted)}. They compare with buildx in a lab: {reason}\n")
            return _UNMEASURED
        if wanted:
            with Lab.start(engines=1, emulate=("arm64",)) as lab:
                for line in _measure_in_lab(lab, scratch, wanted, quick=quick):
                    kept &= _show(line)
    return 0 if kept else 1


def _measure_alone(scratch: Path, parts: Collection[str]) -> Iterator[Line]:
    """What needs neither an engine nor a registry."""
    if "start-up" in parts:
        yield _start_up(scratch)
    if "contexts" in parts:
        folder = scratch / "contexts"
        folder.mkdir()
        yield from compare_contexts(folder)


def _measure_in_lab(lab: Lab, scratch: Path, parts: Collection[str], *, quick: bool) -> Iterator[Line]:
    """What is compared with buildx."""
    environment = as_users_have_it(lab.environ)
    if "planning" in parts:
        for size in (12, 1_000) if quick else (12, 1_000, 10_000):
            folder = scratch / str(size)
            folder.mkdir()
            write_project(folder, size)
            yield _planning(folder, size, environment)
    if "unchanged" in parts:
        folder = scratch / "unchanged"
        folder.mkdir()
        base = f"{lab.registry.host}/lab/busybox:stable"
        lab.push_base(base)
        place = Place(registry=lab.registry.host, base=base, environment=environment)
        yield compare_unchanged(place, folder, runs=1 if quick else 3)


def _start_up(folder: Path) -> Line:
    environment = as_users_have_it(os.environ)
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
    12: ("at most 0.6 s", lambda seconds, _, __: seconds <= 0.6),  # noqa: PLR2004 (the budget)
    1_000: ("no slower than bake", lambda _, factor, __: factor >= 1),
    10_000: (
        "at most 3 s, 20 x faster than bake, under 400 MB",
        lambda seconds, factor, memory: seconds <= 3 and factor >= 20 and memory < 400,  # noqa: PLR2004 (the budgets)
    ),
}


def _planning(folder: Path, size: int, environment: dict[str, str]) -> Line:
    plan = Command(_PLAN, folder, environment)
    first = run_once(plan)
    ours, theirs = in_turn(plan, Command(_BAKE, folder, environment), runs=1 if size > 1_000 else 5)  # noqa: PLR2004 (a minute each)
    factor = 1 / ratio(ours, theirs)
    budget, is_kept = _BUDGETS[size]
    return Line(
        what=f"`plan --offline`, {size:,} images x 2 platforms, against `bake --print`",
        ours=f"{wall(ours):.2f} s, {peak(ours):.0f} MB, the first time {first.wall:.2f} s",
        theirs=f"{wall(theirs):.2f} s, {peak(theirs):.0f} MB",
        ratio=f"{factor:.1f} x faster",
        budget=budget,
        kept=is_kept(wall(ours), factor, peak(ours)),
    )


def _show(line: Line) -> bool:
    """Print it; whether its budget is kept."""
    sys.stdout.write(f"{line.what}\n")
    kept = "kept" if line.kept else "NOT KEPT"
    sys.stdout.write(f"    {line.ours}   other: {line.theirs}   {line.ratio}   budget: {line.budget}: {kept}\n")
    sys.stdout.flush()
    return line.kept


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
