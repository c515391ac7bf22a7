"""A node that had to be started, held against what the plan took it for: until it ran, it was only believed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from orchestrator.api.backend import Backend, Node, Probe
from orchestrator.api.invocation import Outcome
from orchestrator.engine.in_thread import ask_in_thread
from orchestrator.engine.watch import Ask

_ROUNDS: Final = 2
"""What only an answer tells of is asked after it, once."""


async def find_difference(backend: Backend, node: Node, ask: Ask) -> str:
    """Why a node that runs now is not what the plan took it for; empty where it is."""
    answers: dict[str, Outcome] = {}
    found: tuple[Node, ...] = ()
    for _ in range(_ROUNDS):
        for probe in _probes(backend, node, found):
            if probe.name not in answers:
                answers[probe.name] = await ask_in_thread(ask, probe)
        found = _namesakes(backend, node, answers)
    return next((_compare(node, each) for each in found), "it is another one by now")


def _namesakes(backend: Backend, node: Node, answers: Mapping[str, Outcome]) -> tuple[Node, ...]:
    """What the backend makes of these answers; a plan may have another name for the node."""
    return tuple(each for each in backend.nodes(answers) if each.builder == node.builder)


def _probes(backend: Backend, node: Node, found: tuple[Node, ...]) -> tuple[Probe, ...]:
    """The questions to the node, and those to no node, such as to an engine."""
    asked = {"", *(each.name for each in _namesakes(backend, node, {}))}
    own = (probe for probe in backend.probes() if probe.node in asked)
    return (*own, *(each.probe for each in found if each.probe))


def _compare(taken: Node, found: Node) -> str:
    if found.problem:
        return found.problem
    if found.provisional or found.asleep:
        return f"it does not say what it builds: {found.summary}"
    missing = next((platform for platform in taken.platforms if platform not in found.platforms), None)
    if missing is not None:
        return f"it does not run `{missing}`"
    if found.build_platform != taken.build_platform:
        return f"its machine is `{found.build_platform}`, and was taken for `{taken.build_platform}`: plan again"
    return ""
