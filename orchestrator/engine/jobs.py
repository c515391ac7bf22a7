"""The steps of a plan as jobs of the schedule: where each may run, how long it takes, and what it waits for."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from enum import Enum
from statistics import median
from typing import Final

from orchestrator.api.invocation import StepId
from orchestrator.plan import stepnames
from orchestrator.plan.grouping import Group
from orchestrator.plan.model import CopyStep, GateStep, PromoteStep, SolveStep, Step, TestStep, VerifyStep
from orchestrator.plan.schedule import Job, NodeKey, Seat, seats_of

_UNKNOWN: Final = 1.0
"""Seconds that a solve counts where nothing was ever built: then the longest chain goes first."""


class Publish(Enum):
    """What gets its tags where something has failed: nothing, or the images that are whole, with all they stand on."""

    ALL = "all"
    FINISHED = "finished"


def make_jobs(
    steps: tuple[Step, ...],
    nodes: Collection[NodeKey],
    seconds: Mapping[StepId, float],
    publish: Publish,
    *,
    groups: tuple[Group, ...] = (),
) -> tuple[Job, ...]:
    """A job a step; solves and tests take a slot of one of their nodes, all others are short.

    Those of a group wait until what any of them needs of the rest is over: whichever begins first does them all, but
    for those that are skipped by then.
    """
    shared = {step: group.needs for group in groups for step in group.steps}
    typical = median(seconds.values()) if seconds else _UNKNOWN
    held = _held(steps)
    jobs = []
    for step in steps:
        match step:
            case SolveStep() | TestStep():
                seats = tuple(key for key in seats_of(step) if key in nodes)
                took = seconds.get(step.id, typical)
                jobs.append(Job(step.id, step.needs, seats, took, after=shared.get(step.id, ())))
            case GateStep():
                jobs.append(Job(step.id, step.needs, soft=publish is Publish.FINISHED))
            case PromoteStep() if publish is Publish.FINISHED:
                jobs.append(Job(step.id, (*step.needs, *_own(step, held))))
            case _:
                jobs.append(Job(step.id, step.needs))
    return tuple(jobs)


def most_at_once(jobs: Iterable[Job], seats: Mapping[NodeKey, Seat], *, limit: int) -> int:
    """How many jobs that take a slot may run at a time: so many in all, and what the nodes of any of them take."""
    used = {key for job in jobs for key in job.seats}
    return max(1, min(limit, sum(max(1, seats[key].slots) for key in used)))


def _held(steps: tuple[Step, ...]) -> dict[str, list[StepId]]:
    """What the tags of each image wait for where a gate lets others fail, in the order of the plan."""
    held: dict[str, list[StepId]] = {}
    for step in steps:
        if isinstance(step, VerifyStep | CopyStep) or (
            isinstance(step, PromoteStep) and step.id == stepnames.promote_id(step.image)
        ):
            held.setdefault(step.image, []).append(step.id)
    return held


def _own(step: PromoteStep, held: Mapping[str, list[StepId]]) -> tuple[StepId, ...]:
    """What tags of one image wait for: it is verified and copied, and its fixed tags stand before others move."""
    return tuple(name for name in held.get(step.image, ()) if name != step.id)
