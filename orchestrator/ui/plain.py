"""Progress as lines for logs and CI: what started, what ended, what went wrong."""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.api.events import (
    BuildWarning,
    Event,
    LogLine,
    LoweredAgain,
    Retried,
    StepFinished,
    StepStarted,
    StepState,
    TagPut,
    VertexProgress,
)
from orchestrator.oci.digest import Digest, short
from orchestrator.ui.text import count, duration, printable

_QUIET_STEPS = ("gate", "record", "assemble")
_TAGGING_STEPS = ("promote", "promote-moving")
_SHOWN = {
    StepState.DONE: "done",
    StepState.FOUND: "stands already",
    StepState.FAILED: "FAILED",
    StepState.CANCELLED: "cancelled",
}


class PlainProgress:
    """Writes one line for each event that a reader of a log wants; with `verbose` also what builds print."""

    def __init__(self, write: Callable[[str], None], *, verbose: bool) -> None:
        self._write = write
        self._verbose = verbose
        self._tagging: set[str] = set()

    def __call__(self, event: Event) -> None:
        """Take an event."""
        if isinstance(event, TagPut):
            self._tagging.add(event.step)
        line = self._line(event)
        if line:
            self._write(line)

    def _line(self, event: Event) -> str:
        match event:
            case StepStarted(step=step) if step.startswith(("solve:", "test:", "copy:")):
                return f"{step}  started"
            case StepFinished():
                return self._finished(event)
            case Retried() | LoweredAgain():
                return _again(event)
            case TagPut():
                verb = "stands" if event.previous == event.digest else "moved" if event.previous else "new"
                return f"tag {event.reference}  {verb}  {short(Digest(event.digest))}"
            case BuildWarning():
                return f"{event.step}  warning: {printable(event.message)}"
            case VertexProgress() if self._verbose:
                return f"{event.step}  {event.state} {printable(event.name)}"
            case LogLine() if self._verbose:
                return f"{event.step}  | {printable(event.text)}"
            case _:
                return ""

    def _finished(self, event: StepFinished) -> str:
        kind = event.step.partition(":")[0]
        if event.state is StepState.SKIPPED:
            return f"{event.step}  skipped ({printable(event.message)})" if kind in {"solve", "promote"} else ""
        if event.state is StepState.DONE and (kind in _QUIET_STEPS or self._put_nothing(event.step, kind)):
            return ""
        message = f"  {printable(event.message.partition(chr(10))[0])}" if event.message else ""
        digest = f"  {short(Digest(event.digest))}" if event.digest and kind == "verify" else ""
        return f"{event.step}  {_SHOWN[event.state]} in {duration(event.seconds)}{digest}{message}"

    def _put_nothing(self, step: str, kind: str) -> bool:
        """Whether this is the step of an image that has no tags of a kind, fixed or moving."""
        return kind in _TAGGING_STEPS and step not in self._tagging


def _again(event: Retried | LoweredAgain) -> str:
    """What is done once more, and why."""
    if isinstance(event, Retried):
        return f"{event.step}  retry {event.attempt}: {printable(event.message)}"
    first, *others = event.steps
    more = f" and {count(len(others), 'other')}" if others else ""
    return f"{first}{more}  again: {printable(event.message)}"
