"""The line that a reader of a log wants of an event: what started, what ended, what went wrong."""

from __future__ import annotations

from orchestrator.api.events import (
    BuildWarning,
    Event,
    LogLine,
    LoweredAgain,
    NodeLost,
    Retried,
    StepFinished,
    StepStarted,
    StepState,
    TagPut,
    VertexProgress,
)
from orchestrator.oci.digest import Digest, short
from orchestrator.ui.running import QUIET
from orchestrator.ui.text import count, duration, printable, printable_log

_TAGGING_STEPS = ("promote", "promote-moving")
_SHOWN = {
    StepState.DONE: "done",
    StepState.FOUND: "stands already",
    StepState.FAILED: "FAILED",
    StepState.CANCELLED: "cancelled",
}
_LAST_LINES = 10


class EventLines:
    """Makes lines of events; with `verbose` also of what builds print."""

    def __init__(self, *, verbose: bool) -> None:
        self._verbose = verbose
        self._tagging: set[str] = set()

    def all(self, event: Event) -> tuple[str, ...]:
        """For a log: also what begins."""
        match event:
            case StepStarted(step=step) if step.startswith(("solve:", "test:", "copy:")):
                where = f" on {printable(event.node)}" if event.node else ""
                return (f"{step}  started{where}",)
            case _:
                return self.ended(event)

    def ended(self, event: Event) -> tuple[str, ...]:
        """For a terminal, where what runs is seen anyway."""
        if isinstance(event, TagPut):
            self._tagging.add(event.step)
        line = self._line(event)
        return (line,) if line else ()

    def _line(self, event: Event) -> str:
        match event:
            case StepFinished():
                return self._finished(event)
            case Retried() | LoweredAgain():
                return _again(event)
            case NodeLost():
                rest = "in this run" if event.rest is None else f"for {duration(event.rest)}"
                return f"node {printable(event.node)}  lost, nothing is built there {rest}: {_first(event.message)}"
            case TagPut():
                verb = "stands" if event.previous == event.digest else "moved" if event.previous else "new"
                return f"tag {event.reference}  {verb}  {short(Digest(event.digest))}"
            case BuildWarning():
                return f"{event.step}  warning: {printable(event.message)}"
            case VertexProgress() if self._verbose:
                return f"{event.step}  {event.state} {printable(event.name)}"
            case LogLine() if self._verbose:
                return f"{event.step}  | {printable_log(event.text)}"
            case _:
                return ""

    def _finished(self, event: StepFinished) -> str:
        kind = event.step.partition(":")[0]
        if event.state is StepState.SKIPPED:
            return f"{event.step}  skipped ({printable(event.message)})" if kind in {"solve", "promote"} else ""
        if event.state is StepState.DONE and (kind in QUIET or self._put_nothing(event.step, kind)):
            return ""
        message = f"  {_first(event.message)}" if event.message else ""
        digest = f"  {short(Digest(event.digest))}" if event.digest and kind == "verify" else ""
        return f"{event.step}  {_SHOWN[event.state]} in {duration(event.seconds)}{digest}{message}"

    def _put_nothing(self, step: str, kind: str) -> bool:
        """Whether this is the step of an image that has no tags of a kind, fixed or moving."""
        return kind in _TAGGING_STEPS and step not in self._tagging


def failure_lines(event: StepFinished) -> tuple[str, ...]:
    """The last lines that a step printed before it failed."""
    return tuple(f"  | {printable(line)}" for line in event.message.split("\n")[1:][-_LAST_LINES:])


def _again(event: Retried | LoweredAgain) -> str:
    """What is done once more, and why."""
    if isinstance(event, LoweredAgain):
        first, *others = event.steps
        more = f" and {count(len(others), 'other')}" if others else ""
        return f"{first}{more}  again: {_first(event.message)}"
    where = f" away from {printable(event.node)}" if event.node else ""
    after = f" in {duration(event.wait)}" if event.wait else ""
    return f"{event.step}  retry {event.attempt}{where}{after}: {_first(event.message)}"


def _first(message: str) -> str:
    return printable(message.partition("\n")[0])
