"""Turns every solve and test of a plan into invocations, before anything runs.

`plan -v` prints and `build` starts the same.
"""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.api.backend import LowerRequest, Node, Refusal
from orchestrator.api.invocation import Invocation, StepId
from orchestrator.model import Model
from orchestrator.plan.grouping import Group, group_steps
from orchestrator.plan.model import Plan, SolveStep, TestStep
from orchestrator.plan.place import ConfiguredBackend


class Lowered(Model):
    """The invocations of each solve and test, and those that a backend refuses.

    Those of a group are its first member's, which `done_by` says of the others.
    """

    invocations: Mapping[StepId, tuple[Invocation, ...]]
    refusals: Mapping[StepId, Refusal]
    groups: tuple[Group, ...] = ()
    done_by: Mapping[StepId, StepId] = {}


def lower_plan(plan: Plan, backends: Mapping[str, ConfiguredBackend], nodes: Mapping[str, tuple[Node, ...]]) -> Lowered:
    """Lower all solves and tests; pure, as `Backend.lower` is."""
    invocations: dict[StepId, tuple[Invocation, ...]] = {}
    refusals: dict[StepId, Refusal] = {}
    steps = {step.id: step for step in plan.steps if isinstance(step, SolveStep | TestStep)}
    groups = group_steps(plan, {name: chosen.capabilities.max_steps for name, chosen in backends.items()})
    grouped = {step for group in groups for step in group.steps}
    alone = (Group(steps=(step,)) for step in steps if step not in grouped)
    for group in (*groups, *alone):
        members = tuple(steps[step] for step in group.steps)
        backend, placed = members[0].backend, members[0].node
        node = next(node for node in nodes[backend] if node.name == placed)
        request = LowerRequest(steps=tuple(step.solve for step in members), node=node, links=group.links)
        lowered = backends[backend].backend.lower(request)
        if isinstance(lowered, Refusal):
            refusals |= dict.fromkeys(group.steps, lowered)
        else:
            invocations[group.steps[0]] = lowered
    done_by = {step: group.steps[0] for group in groups for step in group.steps[1:]}
    return Lowered(invocations=invocations, refusals=refusals, groups=groups, done_by=done_by)


def lower_request(step: SolveStep | TestStep, node: Node) -> LowerRequest:
    """The request for one solve or test on a node."""
    return LowerRequest(steps=(step.solve,), node=node)
