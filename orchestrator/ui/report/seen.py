"""What is kept of the events of a run while they are read."""

from __future__ import annotations

from dataclasses import dataclass, field

from orchestrator.api.events import FailedAt, RunStarted, StepFinished, TagPut, VertexProgress
from orchestrator.api.invocation import StepId
from orchestrator.ui.report.model import Attempt, Note


@dataclass
class Seen:
    """Grows with every event; `last` is the time of the latest.

    `shared` are the steps that one child did with others, `rests` when nodes were left alone, in seconds of the run.
    """

    outline: RunStarted | None = None
    last: float = 0.0
    exit_code: int | None = None
    started: dict[StepId, float] = field(default_factory=dict)
    finished: dict[StepId, StepFinished] = field(default_factory=dict)
    retried: dict[StepId, float] = field(default_factory=dict)
    attempts: dict[StepId, list[Attempt]] = field(default_factory=dict)
    shared: set[StepId] = field(default_factory=set)
    rests: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    nodes: dict[StepId, str] = field(default_factory=dict)
    vertexes: dict[StepId, dict[str, VertexProgress]] = field(default_factory=dict)
    places: dict[StepId, FailedAt] = field(default_factory=dict)
    warnings: dict[StepId, list[str]] = field(default_factory=dict)
    before: dict[str, str] = field(default_factory=dict)
    undone: set[str] = field(default_factory=set)
    put: dict[str, TagPut] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
