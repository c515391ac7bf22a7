"""`python -m bench`: what was promised about speed, measured beside `docker buildx bake`, `git status` and `python`.

--quick       without the 10,000 images, for which bake alone takes minutes, and with one run of what bake builds
PART...       only these: start-up, contexts, engine, planning, unchanged, changed, two-nodes; the last two only where
              named, since both tools build everything again and again, which takes a quarter of an hour each
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Final

from bench.changed import NODE, compare_changed, compare_on_two_nodes
from bench.contexts import compare_contexts
from bench.engine import measure_log, measure_steps
from bench.measure import Command, Line, as_users_have_it, in_turn, peak, ratio, run_once, wall
from bench.pushed import Place
from bench.unchanged import compare_unchanged
from bench.workload import write_project
from tests.lab import Lab, available

_ORCHESTRATE: Final = (sys.executable, "-m", "orchestrator")
_PLAN: Final = (*_ORCHESTRATE, "plan", "--offline")
_BAKE: Final = ("docker", "buildx", "bake", "--print", "--progress=quiet", "--file=docker-bake.json")
_ALONE: Final = ("start-up", "contexts", "engine")
_IN_LAB: Final = ("planning", "unchanged")
_TWO_NODES: Final = "two-nodes"
_BUILDING: Final = ("changed", _TWO_NODES)
_UNMEASURED: Final = 2


def main(arguments: list[str]) -> int:
    """Measure and print the table; 1 where a budget is not kept, 2 where something could not be measured."""
    quick = "--quick" in arguments
    known = (*_ALONE, *_IN_LAB, *_BUILDING)
    parts = [argument for argument in arguments if argument != "--quick"] or [*_ALONE, *_IN_LAB]
    unknown = set(parts) - set(known)
    if unknown:
        sys.stderr.write(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(known)}\n")
        return _UNMEASURED
    kept = True
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        for line in _measure_alone(scratch, parts):
            kept &= _show(line)
        wanted = [part for part in (*_IN_LAB, *_BUILDING) if part in parts]
        reason = available() if wanted else None
        if reason:
            sys.stdout.write(f"NOT MEASURED: {', '.join(wanted)}. They compare with buildx in a lab: {reason}\n")
            return _UNMEASURED
        for line in _measure_in_labs(scratch, wanted, quick=quick):
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
    if "engine" in parts:
        yield measure_steps(scratch / "steps")
        yield measure_log(scratch / "log")


def _measure_in_labs(scratch: Path, parts: Collection[str], *, quick: bool) -> Iterator[Line]:
    """What is compared with buildx; two nodes are engines of a lab of their own, each no larger than a node."""
    if set(parts) - {_TWO_NODES}:
        with Lab.start(engines=1, emulate=("arm64",)) as lab:
            yield from _measure_in_lab(lab, scratch, parts, quick=quick)
    if _TWO_NODES in parts:
        with Lab.start(engines=2, emulate=("arm64",)) as lab:
            for engine in lab.engines:
                engine.limit(NODE)
            nodes = (lab.node(0), lab.node(1))
            folder = _folder(scratch, _TWO_NODES)
            yield compare_on_two_nodes(_place(lab), folder, nodes, runs=1 if quick else 5)


def _measure_in_lab(lab: Lab, scratch: Path, parts: Collection[str], *, quick: bool) -> Iterator[Line]:
    """What is compared on one engine."""
    if "planning" in parts:
        for size in (12, 1_000) if quick else (12, 1_000, 10_000):
            folder = _folder(scratch, str(size))
            write_project(folder, size)
            yield _planning(folder, size, as_users_have_it(lab.environ))
    if "unchanged" in parts:
        yield compare_unchanged(_place(lab), _folder(scratch, "unchanged"), runs=1 if quick else 3)
    if "changed" in parts:
        yield compare_changed(_place(lab), _folder(scratch, "changed"), runs=1 if quick else 5)


def _folder(scratch: Path, name: str) -> Path:
    folder = scratch / name
    folder.mkdir()
    return folder


def _place(lab: Lab) -> Place:
    """The registry of a lab, with a base image in it."""
    base = f"{lab.registry.host}/lab/busybox:stable"
    lab.push_base(base)
    return Place(registry=lab.registry.host, base=base, environment=as_users_have_it(lab.environ))


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
