"""What a report shows, as values that go into its page as JSON; times are seconds since the run began."""

from __future__ import annotations

from orchestrator.model import Model


class Log(Model):
    """The end of what a step printed: where the whole is, how many bytes that has, and whether more was before.

    Without text there was no room for any.
    """

    path: str
    size: int
    text: str
    cut: bool = False


class Note(Model, omit_defaults=True):
    """Something that happened on the way: a step that was tried again, a node that was lost."""

    time: float
    text: str
    step: str = ""
    node: str = ""


class Attempt(Model):
    """A step that ran on a node which was lost."""

    node: str
    start: float
    end: float


class StepRow(Model, omit_defaults=True):
    """A step.

    Args:
        id: its id.
        kind: what it does.
        image: whose it is; empty for a gate.
        state: a word of `states.STEP`.
        platforms: those that it builds or tests.
        node: where it ran; empty where it needs none.
        start: when it began; None where it never did.
        end: when it ended; of one that was running when the journal ends, that.
        ready: when the last step that it needs had ended, or the last attempt.
        after: that step; empty where it needs none.
        behind: the step on the same node whose end gave it a slot; empty where it waited for none, or nobody knows.
        rested: whether it waited for its node, on which nothing was begun for a while after it was lost.
        needs: the steps before it.
        attempts: where it ran before, in vain.
        critical: whether it is on the critical path.
        digest: what it gave.
        cached: how many instructions of the Dockerfile BuildKit had in its cache,
        instructions: of how many.
        message: why it gave nothing: the first line.
        place: the line of a Dockerfile that failed, such as `api/Dockerfile:3`,
        excerpt: and the lines around it.
        lines: what its child printed last.
        hints: what to do about it.
        warnings: of the frontend.
        log: what it printed.
    """

    id: str
    kind: str
    image: str
    state: str
    platforms: tuple[str, ...] = ()
    node: str = ""
    start: float | None = None
    end: float | None = None
    ready: float | None = None
    after: str = ""
    behind: str = ""
    rested: bool = False
    needs: tuple[str, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    critical: bool = False
    digest: str = ""
    cached: int = 0
    instructions: int = 0
    message: str = ""
    place: str = ""
    excerpt: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    log: Log | None = None


class BuildRow(Model, omit_defaults=True):
    """A platform build: what became of it, why it was built, or not, and how many bytes a registry keeps of it."""

    platform: str
    state: str
    reasons: tuple[str, ...] = ()
    mode: str = ""
    inputs: str = ""
    digest: str = ""
    size: int | None = None


class TagRow(Model, omit_defaults=True):
    """A tag and what it pointed at before (empty: nothing, or nobody looked).

    `state` is `put`, `stands`, `not put`, `undone`, or empty where the run was to put none.
    """

    ref: str
    state: str = ""
    before: str = ""


class ImageRow(Model, omit_defaults=True):
    """An image, with its place in the graph and what it needs."""

    name: str
    state: str
    x: int
    y: int
    needs: tuple[str, ...] = ()
    builds: tuple[BuildRow, ...] = ()
    tags: tuple[TagRow, ...] = ()
    version: str = ""
    digest: str = ""


class Critical(Model):
    """The critical path: its steps from first to last, how long they worked, and how long they waited to be started."""

    steps: tuple[str, ...]
    work: float
    waited: float


class ReportData(Model):
    """A whole run. `exit_code` is None where the journal ends before the run did."""

    project: str
    run: str
    destination: str
    began: str
    seconds: float
    exit_code: int | None
    outcome: str
    images: tuple[ImageRow, ...]
    steps: tuple[StepRow, ...]
    critical: Critical
    notes: tuple[Note, ...]
    width: int
    height: int
