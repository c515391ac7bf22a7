"""Turns every solve and test of a plan into invocations, before anything runs.

`plan -v` prints and `build` starts the same.
"""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.api.backend import LowerRequest, Node, Refusal
from orchestrator.api.invocation import Invocation, StepId
from orchestrator.model import Model
from orchestrator.plan.model import Plan, SolveStep, TestStep
from orchestrator.plan.place import ConfiguredBackend


class Lowered(Model):
    """The invocations of each solve and test, and those that a backend refuses."""

    invocations: Mapping[StepId, tuple[Invocation, ...]]
    refusals: Mapping[StepId, Refusal]


def lower_plan(plan: Plan, backends: Mapping[str, ConfiguredBackend], nodes: Mapping[str, tuple[Node, ...]]) -> Lowered:
    """Lower all solves and tests; pure, as `Backend.lower` is."""
    invocations: dict[StepId, tuple[Invocation, ...]] = {}
    refusals: dict[StepId, Refusal] = {}
    for step in plan.steps:
        if not isinstance(step, SolveStep | TestStep):
            continue
        node = next(node for node in nodes[step.backend] if node.name == step.node)
        lowered = backends[step.backend].backend.lower(lower_request(step, node))
        if isinstance(lowered, Refusal):
            refusals[step.id] = lowered
        else:
            invocations[step.id] = lowered
    return Lowered(invocations=invocations, refusals=refusals)


def lower_request(step: SolveStep | TestStep, node: Node) -> LowerRequest:
    """The request for one solve or test on a node."""
    return LowerRequest(steps=(step.solve,), node=node)
