"""What happens while a plan runs. The engine emits nothing else; progress, logs, results are folds of these."""

from __future__ import annotations

from enum import Enum
from typing import Literal, TypeAlias

from orchestrator.api.invocation import StepId
from orchestrator.model import Model


class StepState(Enum):
    """How a step ended; `FOUND` is a solve that was not needed, since its results stand by now."""

    DONE = "done"
    FOUND = "found"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"


class RunStarted(Model, tag="run-started"):
    """A run begins."""

    run: str
    steps: int
    time: float


class StepStarted(Model, tag="step-started"):
    """A step begins."""

    step: StepId
    time: float


class StepFinished(Model, tag="step-finished"):
    """A step ended: with the digest it gave, or with why it gave none. `seconds` is the time it took."""

    step: StepId
    state: StepState
    time: float
    seconds: float
    digest: str | None = None
    message: str = ""
    hints: tuple[str, ...] = ()


class ChildStarted(Model, tag="child-started"):
    """A child process was started; argv with every late value filled in, secrets were never in it."""

    steps: tuple[StepId, ...]
    argv: tuple[str, ...]
    time: float


class Retried(Model, tag="retried"):
    """A transient failure; the step is tried again."""

    step: StepId
    attempt: int
    message: str


class VertexProgress(Model, tag="vertex"):
    """A vertex of BuildKit's graph began, ended, or was found in the cache."""

    step: StepId
    vertex: str
    name: str
    state: Literal["started", "done", "cached", "failed"]
    message: str = ""


class LogLine(Model, tag="log"):
    """A line that a build printed: hostile text, control sequences still in it."""

    step: StepId
    vertex: str
    stream: Literal["stdout", "stderr"]
    text: str


class BuildWarning(Model, tag="warning"):
    """A warning of the frontend, such as a lint finding."""

    step: StepId
    message: str


class TagPut(Model, tag="tag-put"):
    """A public tag now points at a digest."""

    step: StepId
    reference: str
    digest: str
    previous: str | None
    time: float


class RunFinished(Model, tag="run-finished"):
    """A run ended."""

    run: str
    exit_code: int
    time: float


Event: TypeAlias = (
    RunStarted
    | StepStarted
    | StepFinished
    | ChildStarted
    | Retried
    | VertexProgress
    | LogLine
    | BuildWarning
    | TagPut
    | RunFinished
)
ReaderEvent: TypeAlias = VertexProgress | LogLine | BuildWarning
"""What a backend's reader may give."""
