"""An example of each line that `--progress=json` writes, for the reference."""

from __future__ import annotations

from typing import Final

from orchestrator.api.events import (
    BuildWarning,
    ChildStarted,
    FailedAt,
    LogLine,
    LoweredAgain,
    NodeLost,
    Retried,
    RunFinished,
    RunStarted,
    StepFinished,
    StepStarted,
    StepState,
    TagLeft,
    TagPut,
    TagRestored,
    TagsKept,
    VertexProgress,
)
from orchestrator.api.outline import BuildOutline, ImageOutline, StepOutline, TagOutline
from orchestrator.ui.jsonl import FORMAT, Head, Note, Problem, StreamLine

_OLD: Final = "sha256:" + "1" * 64
_NEW: Final = "sha256:" + "2" * 64
_TAG: Final = "registry.example.org/acme/api:latest"
_VERTEX: Final = "sha256:" + "3" * 64

EXAMPLES: Final[tuple[StreamLine, ...]] = (
    Head(format=FORMAT),
    RunStarted(
        run="7c9e6679f742",
        time=1764000000.0,
        project="acme",
        destination="push",
        steps=(
            StepOutline(
                id="solve:api",
                kind="solve",
                image="api",
                needs=(),
                platforms=("linux/amd64", "linux/arm64"),
                nodes=("default",),
                seconds=41.5,
                dockerfile="api/Dockerfile",
            ),
        ),
        images=(
            ImageOutline(
                name="api",
                action="build",
                builds=(BuildOutline(platform="linux/amd64", action="build", reasons=("never built",), mode="native"),),
                tags=(_TAG,),
                version="1.2.3",
            ),
        ),
        at_once=4,
    ),
    StepStarted(step="solve:api", time=1764000000.1, node="default"),
    ChildStarted(steps=("solve:api",), argv=("docker", "buildx", "build", "api"), time=1764000000.2),
    VertexProgress(step="solve:api", vertex=_VERTEX, name="[2/3] RUN make", state="started"),
    LogLine(step="solve:api", vertex=_VERTEX, stream="stderr", text="\x1b[31mmake: *** [all] Error 2"),
    BuildWarning(step="solve:api", message="JSON arguments recommended for CMD"),
    LoweredAgain(steps=("solve:api",), message="`solve:web` failed", time=1764000012.0),
    NodeLost(node="arm", message="no answer for 60s", time=1764000020.0, rest=300.0),
    Retried(
        step="solve:api", attempt=1, message="connection reset by peer", time=1764000020.5, wait=1.0, node="default"
    ),
    FailedAt(
        step="solve:api",
        file="Dockerfile",
        line=2,
        excerpt=("   1 |     FROM alpine", "   2 | >>> RUN make", "   3 |     CMD run"),
    ),
    StepFinished(
        step="solve:api",
        state=StepState.FAILED,
        time=1764000041.6,
        seconds=41.5,
        node="default",
        message='process "/bin/sh -c make" did not complete successfully: exit code: 2\nmake: *** [all] Error 2',
    ),
    TagsKept(moves=(TagOutline(reference=_TAG, before=_OLD, after=_NEW, moving=True),), time=1764000060.0),
    TagPut(step="promote-moving:api", reference=_TAG, digest=_NEW, previous=_OLD, time=1764000061.0),
    TagRestored(reference=_TAG, digest=_OLD, time=1764000061.5),
    TagLeft(reference=_TAG, fate="foreign", time=1764000061.5),
    RunFinished(run="7c9e6679f742", exit_code=4, time=1764000062.0),
    Note(text="result: .orchestrate/result.json"),
    Problem(message="step `solve:api` failed", exit_code=4, hints=("mend what failed and run it again",)),
)
"""In the order in which they may come."""
