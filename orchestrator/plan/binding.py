"""The nodes of a saved plan on another machine: its names stand for nodes that are here.

Frozen are platform, backend and whether a build runs natively or under emulation; which machine does it is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from orchestrator.api.backend import Mode, Node
from orchestrator.model import Model
from orchestrator.oci.platform import Platform
from orchestrator.plan.image import build_id
from orchestrator.plan.model import Plan, SolveStep, TestStep
from orchestrator.plan.schedule import NodeKey, seats_of


class Unbound(Model):
    """A node of a plan for which there is none here, and why."""

    node: str
    message: str
    hints: tuple[str, ...]


class Bound(Model):
    """The nodes by backend, under the names that the plan has for them, and what is missing."""

    nodes: Mapping[str, tuple[Node, ...]]
    unbound: tuple[Unbound, ...]


def bind_nodes(plan: Plan, here: Mapping[str, tuple[Node, ...]], given: Mapping[str, Node]) -> Bound:
    """Find a node for each that the solves and tests of a plan run on.

    Args:
        plan: the plan, or a part of it.
        here: the nodes of this machine, by backend.
        given: nodes that the user chose, by their names in the plan.
    """
    nodes: dict[str, list[Node]] = {}
    unbound: list[Unbound] = []
    for (backend, name), needed in _needs(plan).items():
        chosen = given.get(name)
        candidates = (chosen,) if chosen else _ordered(name, here.get(backend, ()))
        found = next((node for node in candidates if not _lacks(node, needed)), None)
        if found:
            nodes.setdefault(backend, []).append(msgspec.structs.replace(found, name=name))
        else:
            unbound.append(_explain(name, needed, candidates))
    for (backend, name), needed in _wishes(plan).items():
        taken = {node.builder for node in nodes.get(backend, ())}
        free = (node for node in _ordered(name, here.get(backend, ())) if node.builder not in taken)
        also = given.get(name) or next((node for node in free if not _lacks(node, needed)), None)
        if also and not _lacks(also, needed):
            nodes.setdefault(backend, []).append(msgspec.structs.replace(also, name=name))
    return Bound(nodes={backend: tuple(several) for backend, several in nodes.items()}, unbound=tuple(unbound))


def _needs(plan: Plan) -> dict[NodeKey, dict[Platform, Mode]]:
    """What each node of a plan is asked to do."""
    needed: dict[NodeKey, dict[Platform, Mode]] = {}
    for step, modes in _placed(plan):
        needed.setdefault((step.backend, step.node), {}).update(modes)
    return needed


def _wishes(plan: Plan) -> dict[NodeKey, dict[Platform, Mode]]:
    """What nodes may take over that are asked for nothing else; without them it takes longer."""
    wished: dict[NodeKey, dict[Platform, Mode]] = {}
    needed = _needs(plan)
    for step, modes in _placed(plan):
        for key in seats_of(step):
            if key not in needed:
                wished.setdefault(key, {}).update(modes)
    return wished


def _placed(plan: Plan) -> Iterator[tuple[SolveStep | TestStep, dict[Platform, Mode]]]:
    """The steps that run on nodes, and what these have to do."""
    modes = {build.id: build.placement.mode for build in plan.builds if build.placement}
    for step in plan.steps:
        match step:
            case SolveStep(solve=solve):
                yield step, {platform: modes[build_id(step.image, platform)] for platform in solve.platforms}
            case TestStep():
                yield step, {step.platform: step.mode}
            case _:
                pass


def _ordered(name: str, nodes: Iterable[Node]) -> tuple[Node, ...]:
    """The node of that name first."""
    return tuple(sorted(nodes, key=lambda node: node.name != name))


def _lacks(node: Node, needed: Mapping[Platform, Mode]) -> str:
    """Why a node cannot do what is asked; empty where it can."""
    if node.provisional:
        return f"`{node.name}` does not answer: {node.summary}"
    if node.problem:
        return f"`{node.name}`: {node.problem}"
    for platform, mode in needed.items():
        offered = node.platforms if mode is Mode.NATIVE else node.emulates
        if platform not in offered:
            other = node.emulates if mode is Mode.NATIVE else node.platforms
            instead = ""
            if platform in other:
                instead = ", it emulates it" if mode is Mode.NATIVE else ", it runs it natively"
            return f"`{node.name}` does not build `{platform}` {_adverb(mode)}{instead}"
    return ""


def _adverb(mode: Mode) -> str:
    return "natively" if mode is Mode.NATIVE else "under emulation"


def _explain(name: str, needed: Mapping[Platform, Mode], candidates: Iterable[Node]) -> Unbound:
    asked = ", ".join(f"`{platform}` {_adverb(mode)}" for platform, mode in needed.items())
    reasons = "; ".join(_lacks(node, needed) for node in candidates) or "there is no node here"
    return Unbound(
        node=name,
        message=f"node `{name}` of the plan builds {asked}, and here {reasons}",
        hints=(f"choose one with `--node {name}=BUILDER`, or do another part here with `--only`",),
    )
