"""What a doctor concludes from what the nodes of backends answered, as a plan does; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from orchestrator.api.backend import Node, Placement, Refusal
from orchestrator.model import Model
from orchestrator.oci.platform import Platform
from orchestrator.probe.checks import Check, Problem, Status
from orchestrator.probe.declared import Wanted


class AskedBackend(Model):
    """A backend's nodes, and what it says to each platform that is wanted; or why nobody could ask it."""

    name: str
    nodes: tuple[Node, ...] = ()
    placed: Mapping[Platform, Placement | Refusal] = {}
    problem: Problem | None = None


def check_nodes(backend: AskedBackend, missing: frozenset[str] = frozenset()) -> Iterator[Check]:
    """A line for each node; `missing` are builders that are not there, of which that was said already."""
    if backend.problem is not None:
        yield Check(
            status=Status.WARN,
            subject=f"backend {backend.name}",
            message=backend.problem.message,
            hint=backend.problem.hint,
        )
    for node in backend.nodes:
        if not (node.provisional and node.builder in missing):
            yield _check_node(node, backend.nodes)


def _check_node(node: Node, nodes: tuple[Node, ...]) -> Check:
    subject = f"node {node.name}"
    if _builds(node):
        return Check(status=Status.OK, subject=subject, message=", ".join(_describe(node)))
    message = node.problem or ": ".join(filter(None, ("does not answer", node.summary)))
    if replaced := _is_replaced(node, nodes):
        message += "; other nodes build the same"
    status = Status.WARN if replaced else Status.FAIL
    return Check(status=status, subject=subject, message=message, hint="; ".join(node.hints))


def _builds(node: Node) -> bool:
    """Whether it can be given work."""
    return not node.provisional and not node.problem


def _describe(node: Node) -> Iterator[str]:
    if node.summary:
        yield node.summary
    if node.platforms:
        yield f"{_list(map(str, node.platforms))} natively"
    if node.emulates:
        yield f"{_list(map(str, node.emulates))} emulated"


def _is_replaced(node: Node, nodes: tuple[Node, ...]) -> bool:
    """Whether builds go on without it: a plan takes another node for each of its platforms."""
    native = {platform for other in nodes if _builds(other) for platform in other.platforms}
    emulated = {platform for other in nodes if _builds(other) for platform in other.emulates}
    some = bool(node.platforms or node.emulates)
    return some and native.issuperset(node.platforms) and (native | emulated).issuperset(node.emulates)


def check_placement(wanted: Wanted, backends: tuple[AskedBackend, ...]) -> Check | None:
    """Whether a node builds the platform; None where one of these backends could not be asked, and no other builds it.

    None too without any backend.
    """
    checks = [
        _check_placed(wanted, placed, backend.nodes)
        for backend in backends
        if (placed := backend.placed.get(wanted.platform)) is not None
    ]
    good = next((check for check in checks if check.status is Status.OK), None)
    if good is not None or any(backend.problem is not None for backend in backends):
        return good
    return checks[0] if checks else None


def _check_placed(wanted: Wanted, placed: Placement | Refusal, nodes: tuple[Node, ...]) -> Check:
    subject = f"platform {wanted.platform}"
    status = Status.FAIL if wanted.declared else Status.WARN
    if isinstance(placed, Refusal):
        return Check(status=status, subject=subject, message=placed.message, hint="; ".join(placed.hints))
    chosen = [node for node in nodes if node.name in {placed.node, *placed.others}]
    names = _list(node.name for node in chosen)
    if any(_builds(node) for node in chosen):
        return Check(status=Status.OK, subject=subject, message=f"{placed.mode.value} on {names}")
    verb = "does not" if len(chosen) == 1 else "do not"
    return Check(status=status, subject=subject, message=f"only on {names}, which {verb} answer")


def _list(names: Iterator[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
