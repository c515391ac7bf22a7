"""What happens while a plan runs. The engine emits nothing else; progress, logs, results are folds of these."""

from __future__ import annotations

from enum import Enum
from typing import Literal, TypeAlias

from orchestrator.api.invocation import StepId
from orchestrator.api.outline import ImageOutline, StepOutline, TagOutline
from orchestrator.model import Model


class StepState(Enum):
    """How a step ended; `FOUND` is a solve that was not needed, since its results stand by now."""

    DONE = "done"
    FOUND = "found"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"


class RunStarted(Model, tag="run-started"):
    """A run begins: what it is going to do, so that whoever reads the events needs nothing else.

    `at_once` is how many solves and tests may run at a time: what `--jobs` allows, and what the nodes take.
    """

    run: str
    time: float
    project: str
    destination: str
    steps: tuple[StepOutline, ...]
    images: tuple[ImageOutline, ...]
    at_once: int = 1


class StepStarted(Model, tag="step-started"):
    """A step begins; on the node where one builds or tests, which for others is empty."""

    step: StepId
    time: float
    node: str = ""


class PlatformSize(Model):
    """How many bytes a registry keeps of one platform: config and layers, compressed as they are."""

    platform: str
    size: int


class StepFinished(Model, tag="step-finished"):
    """A step ended: with the digest it gave, or with why it gave none. `seconds` is the time it took.

    The first line of the message says what went wrong; the others are the last that the child printed. What was
    verified has the `sizes` of its platforms. `unsure` are tags that were asked for, and of which no answer says
    whether they stand.
    """

    step: StepId
    state: StepState
    time: float
    seconds: float
    node: str = ""
    digest: str | None = None
    message: str = ""
    hints: tuple[str, ...] = ()
    sizes: tuple[PlatformSize, ...] = ()
    unsure: tuple[str, ...] = ()


class ChildStarted(Model, tag="child-started"):
    """A child process was started; argv with every late value filled in, and `***` for what looks like a credential."""

    steps: tuple[StepId, ...]
    argv: tuple[str, ...]
    time: float


class Retried(Model, tag="retried"):
    """A failure that may pass; the step is tried again after `wait` seconds, on another node where `node` is lost."""

    step: StepId
    attempt: int
    message: str
    time: float
    wait: float = 0.0
    node: str = ""


class NodeLost(Model, tag="node-lost"):
    """A node does not answer; nothing is built there for the next `rest` seconds, None: in this run."""

    node: str
    message: str
    time: float
    rest: float | None = None


class LoweredAgain(Model, tag="lowered-again"):
    """Steps that were to be done by one child with others are lowered once more, and done without these."""

    steps: tuple[StepId, ...]
    message: str
    time: float


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


class FailedAt(Model, tag="failed-at"):
    """Where BuildKit says that a build failed, told before the step ends.

    `file` is the name of the Dockerfile without its folder, which BuildKit is not told; the lines of the excerpt begin
    with their numbers, those that failed are marked `>>>`. Hostile text.
    """

    step: StepId
    file: str
    line: int
    excerpt: tuple[str, ...] = ()


class TagsKept(Model, tag="tags-kept"):
    """Tags are about to be put: what each of them points at now, and will point at; nothing has moved yet."""

    moves: tuple[TagOutline, ...]
    time: float


class TagPut(Model, tag="tag-put"):
    """A public tag now points at a digest."""

    step: StepId
    reference: str
    digest: str
    previous: str | None
    time: float


class TagRestored(Model, tag="tag-restored"):
    """A public tag points again at what it did before the run; without a digest it is gone again."""

    reference: str
    digest: str | None
    time: float


class TagLeft(Model, tag="tag-left"):
    """A public tag that was to be undone stays as it is, which was said, and nobody tries it again.

    `fate` says why: it `stays` since the registry removes no tags, is `foreign` since somebody else has moved it, or is
    `lost` since what it pointed at before is not kept.
    """

    reference: str
    fate: str
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
    | LoweredAgain
    | NodeLost
    | VertexProgress
    | LogLine
    | BuildWarning
    | FailedAt
    | TagsKept
    | TagPut
    | TagRestored
    | TagLeft
    | RunFinished
)
ReaderEvent: TypeAlias = VertexProgress | LogLine | BuildWarning | FailedAt
"""What a backend's reader may give."""
