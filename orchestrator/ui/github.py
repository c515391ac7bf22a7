"""Progress in a job of GitHub Actions: a group for what each build printed, annotations where something is wrong."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from orchestrator.api.events import BuildWarning, Event, FailedAt, LogLine, Retried, RunStarted, StepFinished, StepState
from orchestrator.api.invocation import StepId
from orchestrator.api.outline import StepOutline
from orchestrator.api.place import locate_file
from orchestrator.ui.plain import PlainProgress
from orchestrator.ui.text import duration, printable, printable_log
from orchestrator.ui.workflow import inert, workflow_command

_MOST_CHARACTERS: Final = 512 * 1024
_LONGEST_LINE: Final = 4000
_LAST_LINES: Final = 10


class _Tail:
    """The last lines of what a step printed, and how many were before them."""

    def __init__(self) -> None:
        self.lines: deque[str] = deque()
        self.left_out = 0
        self._size = 0

    def add(self, line: str) -> None:
        """Add a line; the oldest ones give way."""
        self.lines.append(line)
        self._size += len(line) + 1
        while self._size > _MOST_CHARACTERS:
            self._size -= len(self.lines.popleft()) + 1
            self.left_out += 1


class GithubProgress:
    """Lines as elsewhere, and commands to the runner; `folder` is the project's, from the one of the checkout."""

    def __init__(
        self, write: Callable[[str], None], *, verbose: bool, clock: Callable[[], float], folder: str = ""
    ) -> None:
        self._write = write
        self._plain = PlainProgress(self._say, verbose=verbose, clock=clock)
        self._has_groups = not verbose
        self._folder = folder
        self._steps: dict[StepId, StepOutline] = {}
        self._tails: dict[StepId, _Tail] = {}
        self._places: dict[StepId, FailedAt] = {}

    def __call__(self, event: Event) -> None:
        """Take an event."""
        match event:
            case RunStarted():
                self._steps = {step.id: step for step in event.steps}
            case LogLine() if self._has_groups:
                text = printable_log(event.text)[:_LONGEST_LINE]
                self._tails.setdefault(event.step, _Tail()).add(text)
            case Retried():
                self._tails.pop(event.step, None)
            case FailedAt():
                self._places[event.step] = event
            case BuildWarning():
                self._write(workflow_command("warning", printable(event.message), {"title": self._title(event.step)}))
                return
            case StepFinished():
                self._group(event)
            case _:
                pass
        self._plain(event)
        if isinstance(event, StepFinished) and event.state is StepState.FAILED:
            self._write(self._error(event))

    def tick(self) -> None:
        """Say what still runs."""
        self._plain.tick()

    def close(self) -> None:
        """Everything is said."""

    def _say(self, line: str) -> None:
        self._write(inert(line))

    def _group(self, event: StepFinished) -> None:
        tail = self._tails.pop(event.step, None)
        if tail is None:
            return
        self._write(
            workflow_command("group", f"{self._title(event.step)}  {event.state.value}, {duration(event.seconds)}")
        )
        if tail.left_out:
            self._write(f"| {tail.left_out} lines before these are in the log of the step")
        for line in tail.lines:
            self._write(inert(f"| {line}"))
        self._write("::endgroup::")

    def _error(self, event: StepFinished) -> str:
        outline, at = self._steps.get(event.step), self._places.get(event.step)
        properties = {"title": f"{self._title(event.step)} failed"}
        if at is not None and outline is not None and outline.dockerfile:
            file = printable(locate_file(at, outline.dockerfile))
            properties = {"file": f"{self._folder}{file}", "line": str(at.line), **properties}
        return workflow_command("error", "\n".join(self._message(event)), properties)

    def _message(self, event: StepFinished) -> Iterator[str]:
        first, *lines = event.message.split("\n")
        yield printable(first)
        yield from (f"| {printable(line)}" for line in lines[-_LAST_LINES:])

    def _title(self, step: StepId) -> str:
        outline = self._steps.get(step)
        if outline is None:
            return printable(step)
        name = f"{outline.image}@{','.join(outline.platforms)}" if outline.platforms else outline.image or step
        return name if outline.kind == "solve" else f"{outline.kind} {name}"
