"""The steps of a plan as jobs of the schedule: where each may run, how long it takes, and what it waits for."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import Enum
from statistics import median
from typing import Final

from orchestrator.api.invocation import StepId
from orchestrator.plan import stepnames
from orchestrator.plan.grouping import Group
from orchestrator.plan.model import GateStep, PromoteStep, SolveStep, Step, TestStep
from orchestrator.plan.schedule import Job, NodeKey, seats_of

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
    ids = {step.id for step in steps}
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
                jobs.append(Job(step.id, (*step.needs, *_own(step, ids))))
            case _:
                jobs.append(Job(step.id, step.needs))
    return tuple(jobs)


def _own(step: PromoteStep, ids: Collection[StepId]) -> tuple[StepId, ...]:
    """What tags of one image wait for where a gate lets others fail: it is verified and copied, fixed tags stand."""
    fixed = stepnames.promote_id(step.image)
    found = [stepnames.verify_id(step.image)] + ([fixed] if step.id != fixed else [])
    copies = stepnames.copies_of(step.image)
    return (*(name for name in found if name in ids), *(name for name in ids if name.startswith(copies)))
