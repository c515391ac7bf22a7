"""Nodes that do not answer any more: how long they are left alone, and when they are given up."""

from __future__ import annotations

from collections import Counter
from typing import Final

from orchestrator.api.invocation import StepId
from orchestrator.plan.schedule import NodeKey

REST: Final = 30.0
"""Seconds for which a lost node is left alone: an engine that was restarted answers again by then."""
_MOST_MOVES: Final = 3
"""How often one step is begun again: whatever takes down every node that builds it is the step itself."""


class Losses:
    """What is known of lost nodes; times are of any clock that never goes back."""

    def __init__(self) -> None:
        self._rests_until: dict[NodeKey, float] = {}
        self._given_up: dict[NodeKey, str] = {}
        self._moves: Counter[StepId] = Counter()

    def note(self, node: NodeKey, now: float) -> float | None:
        """A node was lost; until when it rests, None where it was lost before and is not to be waited for again.

        Several steps that run on a node lose it at the same time, which is one loss.
        """
        until = self._rests_until.get(node)
        if until is None:
            until = self._rests_until[node] = now + REST
        return until if now < until and node not in self._given_up else None

    def give_up(self, node: NodeKey, reason: str) -> None:
        """Nothing can be built on a node."""
        self._given_up[node] = reason

    def forgive(self, node: NodeKey) -> None:
        """A node that was lost answers again."""
        self._rests_until.pop(node, None)

    def is_suspect(self, node: NodeKey) -> bool:
        """Whether a node is to be asked before anything is started there."""
        return node in self._rests_until

    def reason(self, node: NodeKey) -> str:
        """Why a node was given up; empty where it was not."""
        return self._given_up.get(node, "")

    def move(self, step: StepId) -> int | None:
        """How often a step has lost its node by now; None: too often to begin once more."""
        self._moves[step] += 1
        return self._moves[step] if self._moves[step] <= _MOST_MOVES else None
