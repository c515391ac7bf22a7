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
from orchestrator.plan.schedule import seats_of


class Lowered(Model):
    """The invocations of each solve and test, and those that a backend refuses.

    Those of a group are its first member's, which `done_by` says of the others.
    `setup` and `teardown` are what backends run on their nodes first and last, by name of backend.
    """

    invocations: Mapping[StepId, tuple[Invocation, ...]]
    refusals: Mapping[StepId, Refusal]
    groups: tuple[Group, ...] = ()
    done_by: Mapping[StepId, StepId] = {}
    setup: Mapping[str, tuple[Invocation, ...]] = {}
    teardown: Mapping[str, tuple[Invocation, ...]] = {}


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
    used = used_nodes(plan, nodes)
    return Lowered(
        invocations=invocations,
        refusals=refusals,
        groups=groups,
        done_by={step: group.steps[0] for group in groups for step in group.steps[1:]},
        setup={name: backends[name].backend.setup(own) for name, own in used.items() if own},
        teardown={name: backends[name].backend.teardown(own) for name, own in used.items() if own},
    )


def used_nodes(plan: Plan, nodes: Mapping[str, tuple[Node, ...]]) -> dict[str, tuple[Node, ...]]:
    """The nodes that something is, or may be, built or tested on, by backend; the others are left alone."""
    used = {key for step in plan.steps if isinstance(step, SolveStep | TestStep) for key in seats_of(step)}
    return {name: tuple(node for node in several if (name, node.name) in used) for name, several in nodes.items()}


def lower_request(step: SolveStep | TestStep, node: Node) -> LowerRequest:
    """The request for one solve or test on a node."""
    return LowerRequest(steps=(step.solve,), node=node)
