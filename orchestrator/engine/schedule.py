"""Which steps may run now: pure bookkeeping over the DAG, without a clock."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import TypeAlias

from orchestrator.api.invocation import StepId
from orchestrator.plan.model import SolveStep, Step, TestStep

NodeKey: TypeAlias = tuple[str, str]
"""A node by the names of its backend and its own, since two backends may each have a `default`."""


class Schedule:
    """Steps become ready when all that they need is done, and are skipped when something that they need is not.

    Ready solves and tests wait for a slot of their node and for `jobs`; other steps are short and wait for nothing.
    """

    def __init__(self, steps: tuple[Step, ...], *, jobs: int, slots: Mapping[NodeKey, int]) -> None:
        self._steps = {step.id: step for step in steps}
        self._missing = {step.id: {need for need in step.needs if need in self._steps} for step in steps}
        self._children: dict[StepId, list[StepId]] = {step.id: [] for step in steps}
        for step in steps:
            for need in self._missing[step.id]:
                self._children[need].append(step.id)
        self._ready: deque[StepId] = deque(step.id for step in steps if not self._missing[step.id])
        self._waiting: dict[NodeKey, deque[tuple[int, SolveStep | TestStep]]] = {key: deque() for key in slots}
        self._arrived = 0
        self._free_jobs = jobs
        self._free_slots = dict(slots)
        self._open = len(steps)

    @property
    def finished(self) -> bool:
        """Whether every step has ended or been skipped."""
        return self._open == 0

    def take(self) -> Iterator[Step]:
        """The steps to start now, each once."""
        while self._ready:
            step = self._steps[self._ready.popleft()]
            if isinstance(step, SolveStep | TestStep):
                self._arrived += 1
                self._waiting[step.backend, step.node].append((self._arrived, step))
            else:
                yield step
        while self._free_jobs > 0:
            able = [key for key, queue in self._waiting.items() if queue and self._free_slots[key] > 0]
            if not able:
                return
            # of several nodes the one whose first solve has waited longest
            chosen = min(able, key=lambda key: self._waiting[key][0][0])
            self._free_jobs -= 1
            self._free_slots[chosen] -= 1
            yield self._waiting[chosen].popleft()[1]

    def done(self, step: Step) -> None:
        """A step ended well: what waited for it alone is ready."""
        self._release(step)
        for child in self._children[step.id]:
            missing = self._missing[child]
            missing.discard(step.id)
            if not missing and child in self._steps:
                self._ready.append(child)

    def failed(self, step: Step) -> tuple[tuple[Step, StepId], ...]:
        """A step failed: all that needs it, near or far, is skipped; each with the step that it directly needs."""
        self._release(step)
        skipped: list[tuple[Step, StepId]] = []
        waiting = deque((child, step.id) for child in self._children[step.id])
        while waiting:
            child, cause = waiting.popleft()
            if child not in self._steps:
                continue
            skipped.append((self._steps.pop(child), cause))
            self._open -= 1
            waiting.extend((grandchild, child) for grandchild in self._children[child])
        return tuple(skipped)

    def _release(self, step: Step) -> None:
        self._open -= 1
        if isinstance(step, SolveStep | TestStep):
            self._free_jobs += 1
            self._free_slots[step.backend, step.node] += 1
