"""How far a run is: a fold of its events, for whoever shows it while it lasts.

A step that takes a moment (`QUIET`) is not shown. Where one child does several steps, the first of them stands for all
until they begin, with what is done for any of them.
"""

from __future__ import annotations

from typing import Final

from orchestrator.api.events import (
    ChildStarted,
    Event,
    Retried,
    RunStarted,
    StepFinished,
    StepStarted,
    StepState,
    VertexProgress,
)
from orchestrator.api.invocation import StepId
from orchestrator.api.outline import StepOutline
from orchestrator.model import Model
from orchestrator.ui.pace import Pace

QUIET: Final = frozenset({"gate", "record", "assemble"})
_GOOD: Final = frozenset({StepState.DONE, StepState.FOUND})
_MOST_VERTEXES: Final = 1024


class RunningStep(Model):
    """A step that runs: what it is, where, what it does just now, and for how long it has run."""

    name: str
    platforms: tuple[str, ...]
    node: str
    vertex: str
    seconds: float

    @property
    def label(self) -> str:
        """`api@linux/amd64,arm64`; with its kind before it where that is not a build."""
        return f"{self.name}@{_join(self.platforms)}" if self.platforms else self.name

    @property
    def suffix(self) -> str:
        """The platforms where there is little room: `@amd64,arm64`, since nearly all are Linux."""
        return "@" + _join(self.platforms).removeprefix("linux/") if self.platforms else ""


class RunView(Model):
    """What there is to show at a moment; `noun` is what is counted: builds, or steps of a run that builds nothing."""

    running: tuple[RunningStep, ...] = ()
    noun: str = "step"
    total: int = 0
    done: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0
    left: float | None = None


class _Running:
    """A step that runs, as far as its events tell."""

    def __init__(self, event: StepStarted) -> None:
        self.started = event.time
        self.node = event.node
        self.vertexes: dict[str, str] = {}
        self.retry: Retried | None = None


class Running:
    """Takes the events of a run; costs the same for each, however many steps there are."""

    def __init__(self) -> None:
        self._steps: dict[StepId, StepOutline] = {}
        self._running: dict[StepId, _Running] = {}
        self._counted: frozenset[str] = frozenset()
        self._total = 0
        self._ended = dict.fromkeys(StepState, 0)
        self._started = 0.0
        self._leaders: dict[StepId, StepId] = {}
        self._pace = Pace()

    def take(self, event: Event) -> None:
        """Take an event."""
        match event:
            case RunStarted():
                self._begin(event)
            case StepStarted():
                self._running[event.step] = _Running(event)
            case ChildStarted():
                self._child(event)
            case VertexProgress():
                self._vertex(event)
            case Retried():
                if running := self._find(event.step):
                    running.retry, running.vertexes = event, {}
                    running.node = event.node or running.node
            case StepFinished():
                self._end(event)
            case _:
                pass

    def view(self, now: float) -> RunView:
        """What there is to show at a time: the steps in the order in which they began."""
        shown = ((step, one) for step, one in self._running.items() if _kind(step) not in QUIET)
        return RunView(
            running=tuple(self._show(step, one, now) for step, one in shown),
            noun="build" if "solve" in self._counted else "step",
            total=self._total,
            done=sum(self._ended[state] for state in _GOOD),
            failed=self._ended[StepState.FAILED],
            skipped=self._ended[StepState.SKIPPED] + self._ended[StepState.CANCELLED],
            seconds=max(0.0, now - self._started) if self._started else 0.0,
            left=self._pace.left({step: one.started for step, one in self._running.items()}, now),
        )

    def _begin(self, event: RunStarted) -> None:
        self._steps = {step.id: step for step in event.steps}
        kinds = {step.kind for step in event.steps}
        self._counted = frozenset({"solve"} if "solve" in kinds else kinds - QUIET)
        self._total = sum(step.kind in self._counted for step in event.steps)
        self._started = event.time
        self._pace = Pace(event.steps, at_once=event.at_once)

    def _child(self, event: ChildStarted) -> None:
        """A child begins: the first of its steps that runs stands for those that do not."""
        self._pace.begin(event)
        leader = next((step for step in event.steps if step in self._running), None)
        if leader is not None:
            self._running[leader].vertexes = {}
            self._leaders |= dict.fromkeys(event.steps, leader)

    def _find(self, step: StepId) -> _Running | None:
        """The step that shows what is done for this one."""
        return self._running.get(step) or self._running.get(self._leaders.get(step, step))

    def _vertex(self, event: VertexProgress) -> None:
        running = self._find(event.step)
        if running is None:
            return
        if event.state != "started":
            running.vertexes.pop(event.vertex, None)
        elif len(running.vertexes) < _MOST_VERTEXES:
            is_own = event.step in self._running
            whose = "" if is_own else f"{_name(event.step, self._steps.get(event.step))}: "
            running.vertexes[event.vertex] = whose + event.name

    def _end(self, event: StepFinished) -> None:
        self._running.pop(event.step, None)
        self._leaders.pop(event.step, None)
        self._pace.end(event)
        outline = self._steps.get(event.step)
        if outline is not None and outline.kind in self._counted:
            self._ended[event.state] += 1

    def _show(self, step: StepId, running: _Running, now: float) -> RunningStep:
        outline = self._steps.get(step)
        vertex = next(reversed(running.vertexes.values()), "")
        if running.retry:
            wait = running.retry.time + running.retry.wait - now
            after = f" in {wait:.0f}s" if wait > 0 else ""
            vertex = f"retry {running.retry.attempt}{after}: {vertex or running.retry.message.partition(chr(10))[0]}"
        return RunningStep(
            name=_name(step, outline),
            platforms=outline.platforms if outline else (),
            node=running.node,
            vertex=vertex,
            seconds=max(0.0, now - running.started),
        )


def _name(step: StepId, outline: StepOutline | None) -> str:
    if outline is None or not outline.image:
        return step
    return outline.image if outline.kind == "solve" else f"{outline.kind} {outline.image}"


def _join(platforms: tuple[str, ...]) -> str:
    """Platforms in a row; an operating system that all have in common is said once."""
    systems = {platform.partition("/")[0] for platform in platforms}
    if len(systems) != 1:
        return ",".join(platforms)
    first, *others = platforms
    return ",".join((first, *(other.partition("/")[2] for other in others)))


def _kind(step: StepId) -> str:
    return step.partition(":")[0]
