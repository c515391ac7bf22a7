"""Events of a run, for whoever shows it."""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator.api.events import (
    ChildStarted,
    Event,
    RunStarted,
    StepFinished,
    StepStarted,
    StepState,
    VertexProgress,
)
from orchestrator.api.outline import StepOutline

BOTH = ("linux/amd64", "linux/arm64")


def solve(name: str, seconds: float | None = None, needs: tuple[str, ...] = ()) -> StepOutline:
    """The outline of a build of two platforms."""
    return StepOutline(
        id=f"solve:{name}", kind="solve", image=name, needs=needs, platforms=BOTH, seconds=seconds,
        dockerfile=f"{name}/Dockerfile",
    )  # fmt: skip


def begin(*steps: StepOutline, time: float = 1000.0, at_once: int = 1) -> RunStarted:
    """A run begins."""
    return RunStarted(
        run="r", time=time, project="p", destination="push", steps=steps, images=(), at_once=at_once
    )  # fmt: skip


def child(*steps: str, time: float = 1000.0) -> ChildStarted:
    """A child begins, for all of these."""
    return ChildStarted(steps=steps, argv=("docker",), time=time)


def starts(step: str, time: float = 1000.0, node: str = "") -> StepStarted:
    """A step begins."""
    return StepStarted(step=step, time=time, node=node)


def ends(step: str, state: StepState = StepState.DONE, seconds: float = 10.0, message: str = "") -> StepFinished:
    """A step ends."""
    return StepFinished(step=step, state=state, time=1000.0 + seconds, seconds=seconds, message=message)


def vertex(step: str, name: str, state: str = "started") -> VertexProgress:
    """A vertex begins or ends."""
    return VertexProgress(step=step, vertex=name, name=name, state="started" if state == "started" else "done")


def large(images: int, done: int, running: int) -> Iterable[Event]:
    """A run of many images on two nodes, in the middle of it."""
    names = [f"payments-service-{number:03d}" if number % 3 else f"web{number}" for number in range(images)]
    solves = (solve(name, None if number % 5 == 0 else 30.0 + number % 60) for number, name in enumerate(names))
    yield begin(*solves, at_once=running)
    for number, name in enumerate(names[: done + running]):
        yield starts(f"solve:{name}", 1000.0 + number, "arm-east-1" if number % 2 else "x86-builder")
        yield vertex(
            f"solve:{name}", f"[linux/arm64 {number % 4 + 2}/7] RUN --mount=type=cache,target=/root/.cache make"
        )
        if number < done:
            yield ends(f"solve:{name}", StepState.FAILED if number in {5, 77} else StepState.DONE, 33.0)
