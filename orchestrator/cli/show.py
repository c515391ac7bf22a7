"""Prints a plan: the plan itself to stdout, what is wrong with it to stderr."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from orchestrator.api.backend import Node
from orchestrator.cli.findings import Findings
from orchestrator.cli.prepare import Prepared
from orchestrator.config.locate import resolve
from orchestrator.diagnostics import Diagnostic
from orchestrator.plan.affected import Since
from orchestrator.plan.document import build_document, render_document
from orchestrator.plan.estimate import Estimate, estimate_plan
from orchestrator.plan.lower import Lowered
from orchestrator.plan.model import Destination, Plan
from orchestrator.plan.part import split
from orchestrator.plan.schedule import offered_seats
from orchestrator.tags.facts import NoGit
from orchestrator.ui.plan import Heading, render_invocations, render_plan
from orchestrator.ui.since import render_since
from orchestrator.ui.text import print_note, print_result

_NOT_ASKED: Final = "not asked"


def show_plan(
    prepared: Prepared, findings: Findings, *, style: str, verbose: bool, jobs: int, since: Since | None = None
) -> None:
    """Print the plan in the style asked for; `jobs` is how many solves would run at a time."""
    diagnostics = findings.resolved()
    estimate = _estimate(prepared, jobs)
    if style == "json":
        plan = with_lines(prepared.plan, findings)
        document = build_document(plan, prepared.lowered, diagnostics, estimate, since)
        print_result(render_document(document).decode())
        return
    text = render_plan(with_lines(prepared.plan, findings), _heading(prepared, since), diagnostics, estimate)
    if verbose:
        text += render_invocations(prepared.plan, prepared.lowered)
    print_result(text)
    if diagnostics:
        print_note("\n" + findings.render())


def _estimate(prepared: Prepared, jobs: int) -> Estimate | None:
    """How long it takes; None where nobody was asked what was built before, and where nothing is built."""
    if prepared.plan.blocked or not prepared.facts.state.asked:
        return None
    return estimate_plan(prepared.plan, prepared.facts.past, offered_seats(prepared.nodes), jobs=jobs)


def show_parts(plan: Plan) -> None:
    """Print the parts of a plan as JSON."""
    import msgspec

    print_result(msgspec.json.format(msgspec.json.encode(split(plan)), indent=2).decode() + "\n")


def show_unplanned(findings: Findings) -> None:
    """Print, for programs, why there is no plan."""
    plan = Plan(
        project="",
        destination=Destination.PUSH,
        run="",
        images=(),
        builds=(),
        steps=(),
        diagnostics=tuple(findings.all),
    )
    lowered = Lowered(invocations={}, refusals={})
    print_result(render_document(build_document(plan, lowered, findings.resolved())).decode())


def with_lines(plan: Plan, findings: Findings) -> Plan:
    """The plan with the places of its edges as lines and columns."""
    import msgspec

    edges = [edge for image in plan.images for edge in image.edges]
    carriers = tuple(Diagnostic(code="edge", message="", place=edge.place) for edge in edges)
    places = iter([carrier.place for carrier in resolve(carriers, findings.texts)])
    images = tuple(
        msgspec.structs.replace(
            image,
            edges=tuple(msgspec.structs.replace(edge, place=next(places) or edge.place) for edge in image.edges),
        )
        for image in plan.images
    )
    return msgspec.structs.replace(plan, images=images)


def _heading(prepared: Prepared, since: Since | None) -> Heading:
    git = prepared.loaded.facts.git
    if isinstance(git, NoGit):
        source = "no git"
    else:
        versions = {image.version for image in prepared.plan.images if image.version}
        version = f" {versions.pop()}" if len(versions) == 1 else ""
        source = f"git {git.short_sha}{version}, {'dirty' if git.dirty else 'clean'}"
    nodes = tuple(
        f"backend {name}: {'; '.join(map(_node, prepared.nodes[name]))}"
        for name in prepared.backends
        if name in prepared.plan.backends
    )
    return Heading(source=source, nodes=nodes, notes=(*_notes(prepared), *since_lines(prepared.plan, since)))


def since_lines(plan: Plan, since: Since | None) -> Iterator[str]:
    """What is affected, and whether any of that was asked for."""
    if since is not None:
        yield from render_since(since)
        if since.affected and not plan.images:
            yield "nothing that was asked for is affected"


def _notes(prepared: Prepared) -> Iterator[str]:
    """What was granted, and the state that the file names."""
    grants, state = prepared.loaded.grants, prepared.loaded.project.root.state
    granted = (*sorted(grants.entitlements), *(f"read={folder}" for folder in grants.folders))
    if granted:
        yield f"granted: {', '.join(granted)}"
    if state.read:
        yield f"state: reads {', '.join(state.read)}"
    if state.repository:
        yield f"state: in {state.repository}"


def _node(node: Node) -> str:
    parts = [", ".join(map(str, node.platforms))] if node.platforms else []
    parts += [f"emulates {', '.join(map(str, node.emulates))}"] if node.emulates else []
    if node.provisional:
        parts.append(_silence(node))
    if node.asleep:
        parts.append("not started: from the configuration")
    return f"{node.name} ({'; '.join(parts)})" if parts else node.name


def _silence(node: Node) -> str:
    """What is known of a node that says nothing of itself."""
    if node.summary in {"", _NOT_ASKED}:
        return "from the configuration" if node.platforms else _NOT_ASKED
    return f"no answer: {node.summary}"
