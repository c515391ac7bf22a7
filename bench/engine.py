"""The engine without builds: steps that do nothing, and a child that prints a log of any length.

`python -m bench.engine steps NUMBER FOLDER` and `python -m bench.engine log MEGABYTES FOLDER` are what is measured.
Both write the journal and show progress as a build does.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from bench.measure import Command, Line, Run, as_users_have_it, peak, run_once, wall
from orchestrator.api.events import Event
from orchestrator.api.invocation import Invocation
from orchestrator.buildkit.progress import RawJsonReader
from orchestrator.cli.execute import keeps
from orchestrator.cli.progress import follow_run
from orchestrator.cli.wiring import RealChildren
from orchestrator.engine.invoke import Invoker
from orchestrator.engine.ports import ImageStore, Layout
from orchestrator.engine.results import Results
from orchestrator.engine.run import Engine, Work
from orchestrator.oci.digest import digest_bytes
from orchestrator.oci.reference import Repository
from orchestrator.plan.lower import Lowered
from orchestrator.plan.model import Destination, GateStep, Known, Plan, PromoteStep, Step
from orchestrator.state.journal import Journal

STEPS: Final = 10_000
SHORT: Final = 10
LONG: Final = 1_000
"""Megabytes of log."""

_FAN_OUT: Final = 10
_INDEX: Final = "an index of an earlier run"
_RUNS: Final = 5
_SECONDS: Final = 3
_FLAT: Final = 1.1
_LINES: Final = 20
_PORTION: Final = b"x" * 119 + b"\n"
_BATCH: Final = 64
_CHILD: Final = f"""\
import sys
batch = (sys.argv[1].encode() + b"\\n") * {_BATCH}
for _ in range(int(sys.argv[2])):
    sys.stderr.buffer.write(batch)
"""


class NoStores:
    """Stores of which nothing is asked."""

    def repository(self, repository: Repository) -> ImageStore:
        """None."""
        raise LookupError(repository)

    def layout(self, path: Path) -> Layout:
        """None."""
        raise LookupError(path)

    def abort(self) -> None:
        """Nothing."""


def measure_steps(folder: Path) -> Line:
    """Steps that do nothing, of which every other one does it in a thread."""
    runs = [_own(folder / str(number), "steps", STEPS) for number in range(_RUNS)]
    taken = sorted(float((folder / str(number) / "seconds").read_text()) for number in range(_RUNS))
    return Line(
        what=f"{STEPS:,} empty steps, with their journal",
        ours=f"{taken[_RUNS // 2]:.2f} s, {wall(runs):.2f} s with the start of Python",
        theirs="none",
        ratio=f"from {taken[0]:.2f} to {taken[-1]:.2f} s in {_RUNS} runs",
        budget=f"at most {_SECONDS} s",
        kept=taken[_RUNS // 2] <= _SECONDS,
    )


def measure_log(folder: Path) -> Line:
    """The peak of our memory while a child prints a long log against that for a short one."""
    long, short = _own(folder / "long", "log", LONG), _own(folder / "short", "log", SHORT)
    measured = peak([long]) / peak([short])
    return Line(
        what=f"a step that writes {LONG:,} MB of log, against one that writes {SHORT} MB",
        ours=f"{peak([long]):.0f} MB at most, {wall([long]):.0f} s",
        theirs=f"{peak([short]):.0f} MB, {wall([short]):.1f} s",
        ratio=f"{measured:.2f} x",
        budget=f"at most {_FLAT:g} x the memory",
        kept=measured <= _FLAT,
    )


def _own(folder: Path, what: str, size: int) -> Run:
    """One run in a process of its own."""
    folder.mkdir(parents=True)
    argv = (sys.executable, "-m", "bench.engine", what, str(size), str(folder))
    return run_once(Command(argv, Path(__file__).resolve().parents[1], as_users_have_it(os.environ)))


def run_steps(number: int, root: Path, emit: Callable[[Event], None]) -> None:
    """Run a plan of so many steps that do nothing; each needs one of a tenth of its number."""
    plan = Plan(
        project="bench",
        destination=Destination.PUSH,
        run="0" * 16,
        images=(),
        builds=(),
        steps=tuple(map(_step, range(number))),
        diagnostics=(),
        known=(Known(step=_INDEX, digest=digest_bytes(b"")),),
    )
    started = time.perf_counter()
    work = Work(plan=plan, lowered=Lowered(invocations={}, refusals={}), backends={}, nodes={}, jobs=8)
    children = RealChildren({}, root=root)
    engine = Engine(work, root=root, environment={}, stores=NoStores(), children=children, emit=emit)
    if asyncio.run(engine.run(root)):
        msg = "the steps failed"
        raise RuntimeError(msg)
    (root / "seconds").write_text(str(time.perf_counter() - started))


def _step(number: int) -> Step:
    name, needs = f"step:{number}", (f"step:{number // _FAN_OUT}",) if number else ()
    if number % 2:
        return PromoteStep(id=name, image="image", needs=needs, index=_INDEX, moves=())
    return GateStep(id=name, needs=needs)


def run_log(megabytes: int, root: Path, emit: Callable[[Event], None]) -> None:
    """Run a child that prints so many megabytes as BuildKit tells them."""
    data = base64.b64encode(_PORTION * _LINES).decode()
    line = json.dumps({"logs": [{"vertex": "sha256:" + "0" * 64, "stream": 1, "data": data}]})
    batches = megabytes * 1_000_000 // (len(_PORTION) * _LINES * _BATCH)
    environment = {"PATH": os.defpath}
    invoker = Invoker(
        root=root,
        environment=environment,
        children=RealChildren(environment, root=root),
        results=Results(),
        emit=emit,
    )
    invocation = Invocation(argv=(sys.executable, "-I", "-c", _CHILD, line, str(batches)), steps=("solve:bench",))
    outcome = asyncio.run(invoker.run(invocation, RawJsonReader("solve:bench"), folder=root / "child", builders={}))
    if not outcome.succeeded:
        msg = f"the child failed: {outcome.stderr[-1000:]}"
        raise RuntimeError(msg)


def main(what: str, size: int, root: Path) -> None:
    """Run one of them as `build` would: what the summary needs is kept, all is shown and written down."""
    kept: list[Event] = []
    with Journal(root) as journal, follow_run(root, "plain", os.environ, verbose=True) as following:

        def emit(event: Event) -> None:
            if keeps(event):
                kept.append(event)
            journal(event)
            following(event)

        (run_steps if what == "steps" else run_log)(size, root, emit)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
