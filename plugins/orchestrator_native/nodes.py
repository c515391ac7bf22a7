"""A declared node, held against what it says of itself: never is something called native that a node emulates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from msgspec import structs

from orchestrator.api import Node, Outcome, Platform, Probe
from orchestrator.buildkit.builders import Builder, BuilderNode, Engine, builds_several_platforms
from orchestrator.buildkit.onebuilder import engine_probes, explain_silence, read_builder, read_engine
from orchestrator_native.builders import builder_name, probe_builder
from orchestrator_native.config import NodeTable, platforms_of
from orchestrator_native.copied import copy_node, probe_copy

_PATIENCE: Final = 25.0
"""Seconds, for a builder that may have several nodes: after 20 buildx tells of the others when one hangs."""
_NO_STORE: Final = "the `docker` driver builds several platforms only with the containerd image store"


def node_probes(tables: list[NodeTable]) -> tuple[Probe, ...]:
    """Ask each node, and where there are builders of this machine's, its engine: it knows its CPU."""
    asked = tuple(_probe(table) for table in tables)
    return (*asked, *engine_probes()) if any(table.builder for table in tables) else asked


def _probe(table: NodeTable) -> Probe:
    name = _probe_name(table)
    if not table.builder:
        return probe_builder(table, name)
    argv = ("docker", "buildx", "inspect", table.builder)
    return Probe(name=name, argv=argv, timeout=_PATIENCE, node=table.name)


def _probe_name(table: NodeTable) -> str:
    return f"inspect {table.name}"


def declared_node(table: NodeTable) -> Node:
    """What the file says; nobody was asked."""
    return Node(
        name=table.name,
        platforms=platforms_of(table.platforms),
        emulates=platforms_of(table.emulates),
        slots=table.slots,
        speed=table.speed,
        builder=table.builder or builder_name(table),
        private=not table.builder,
        provisional=True,
        summary="not asked",
    )


def answered_nodes(table: NodeTable, answers: Mapping[str, Outcome]) -> tuple[Node, ...]:
    """The declared node with what it answered; a builder of several is as many, each to be asked alone."""
    declared, probe = declared_node(table), _probe_name(table)
    if probe not in answers:
        return (declared, *_asked_alone(declared, answers))
    engine = read_engine(answers) if table.builder else None
    builder = read_builder(answers, engine, probe=probe)
    if table.builder and builder and len(several := builder.members) > 1:
        nodes = (_member(table, builder, each, answers) for each in several)
        return tuple(node for node in nodes if node.platforms or node.emulates)
    return (_answered(table, declared, answers, builder=builder, engine=engine),)


def _answered(
    table: NodeTable, declared: Node, answers: Mapping[str, Outcome], *, builder: Builder | None, engine: Engine | None
) -> Node:
    if builder is None or not builder.ready:
        return _silent(declared, answers, builder, probe=_probe_name(table), hints=_look(table))
    node = structs.replace(declared, provisional=False, summary=f"{builder.driver} driver")
    if engine is not None and not builds_several_platforms(builder, engine):
        hint = "create a builder: `orchestrate builders create orchestrate`, and name it here"
        return structs.replace(node, problem=_NO_STORE, hints=(hint,))
    if not builder.answering:
        return structs.replace(node, asleep=True, summary=f"{builder.driver} driver, not started")
    hidden = next((each for each in builder.answering if each.declared), None)
    return _unhidden(node, builder, hidden, answers) if hidden else _compare(node, builder)


def _unhidden(node: Node, builder: Builder, each: BuilderNode, answers: Mapping[str, Outcome]) -> Node:
    """The one node of a builder for which somebody has declared platforms, by what it says of itself when asked alone.

    The builder is used as it is: what it was created with plays no part.
    """
    copied = copy_node(builder.driver, each)
    if isinstance(copied, str):
        hint = f"create the builder `{builder.name}` again without `--platform`"
        problem = f"platforms were declared for it with `--platform`, and it cannot be asked without them: {copied}"
        return _compare(node, builder) if each.own else structs.replace(node, problem=problem, hints=(hint,))
    probe = probe_copy(copied, name=_alone(node.name), node=node.name)
    if probe.name not in answers:
        return structs.replace(node, probe=probe, problem="it was not asked what its machine is")
    found = read_builder(answers, read_engine(answers), probe=probe.name)
    if found is None or not found.answering:
        return _silent(node, answers, found, probe=probe.name, hints=_look_at(f"`{each.endpoint}`"))
    return _compare(node, found)


def _compare(node: Node, builder: Builder) -> Node:
    """The node as far as it is what it was declared to be; of several pods what one emulates is emulated."""
    emulated = {platform for each in builder.answering for platform in each.emulated}
    native = {platform for each in builder.answering for platform in each.native} - emulated
    for platform in node.platforms:
        if platform in emulated:
            return structs.replace(
                node,
                problem=f"it is declared to run `{platform}` natively, and only emulates it",
                hints=(f'move it: `emulates = ["{platform}"]`',),
            )
        if platform not in native:
            return structs.replace(
                node,
                problem=f"it is declared to run `{platform}`, and does not",
                hints=(f"it runs {_list(native)}",),
            )
    emulates = tuple(each for each in node.emulates if each in native | emulated)
    return structs.replace(node, emulates=emulates, own=builder.own)


def _silent(
    declared: Node, answers: Mapping[str, Outcome], builder: Builder | None, *, probe: str, hints: tuple[str, ...]
) -> Node:
    """The node as it is declared, and why it did not answer."""
    if builder is not None:
        return structs.replace(declared, provisional=True, summary=builder.problem or "it has no nodes", hints=hints)
    summary, better = explain_silence(declared.builder, answers, probe=probe)
    return structs.replace(declared, provisional=True, summary=summary, hints=better or hints)


def _member(table: NodeTable, builder: Builder, each: BuilderNode, answers: Mapping[str, Outcome]) -> Node:
    """One node of a builder; which of them builds what were buildx's to decide, which emulates without a word."""
    copied = copy_node(builder.driver, each)
    name = f"{table.name}/{each.name}"
    declared = structs.replace(declared_node(table), name=name, builder=f"{builder.name}/{each.name}")
    if isinstance(copied, str):
        hint = "declare the nodes of this builder that you need one by one, each with its `endpoint`"
        return structs.replace(declared, provisional=False, problem=copied, hints=(hint,))
    probe = probe_copy(copied, name=_alone(name), node=name)
    node = structs.replace(declared, builder=copied.name_builder(name), private=True, probe=probe, origin=copied)
    if probe.name not in answers:
        return node
    found = read_builder(answers, read_engine(answers), probe=probe.name)
    if found is None or not found.ready:
        return _silent(node, answers, found, probe=probe.name, hints=_look_at(f"`{each.endpoint}`"))
    node = structs.replace(node, provisional=False, summary=f"{builder.driver} driver of builder `{builder.name}`")
    if not found.answering:
        return structs.replace(
            node,
            problem="it does not run, and nobody knows yet what it builds",
            hints=(f"start it: `orchestrate builders inspect {builder.name} --bootstrap`",),
        )
    emulated = {platform for one in found.answering for platform in one.emulated}
    native = {platform for one in found.answering for platform in one.native} - emulated
    runs = native | emulated
    platforms = tuple(platform for platform in node.platforms if platform in native)
    emulates = tuple(platform for platform in node.emulates if platform in runs and platform not in platforms)
    return structs.replace(node, platforms=platforms, emulates=emulates, own=found.own)


def _alone(name: str) -> str:
    return f"alone {name}"


def _asked_alone(declared: Node, answers: Mapping[str, Outcome]) -> Iterator[Node]:
    """Nodes of a builder that was not asked itself: whether they answer."""
    for probe in answers:
        name = probe.removeprefix(_alone(""))
        if name == probe or name.rpartition("/")[0] != declared.name:
            continue
        found = read_builder(answers, None, probe=probe)
        node = structs.replace(declared, name=name)
        if found is not None and found.ready:
            yield structs.replace(node, provisional=False)
        else:
            yield _silent(node, answers, found, probe=probe, hints=())


def _look(table: NodeTable) -> tuple[str, ...]:
    return _look_at(f"builder `{table.builder}`" if table.builder else f"`{table.endpoint or table.driver}`")


def _look_at(where: str) -> tuple[str, ...]:
    return (f"see that BuildKit runs at {where} and can be reached from here, or take the node out of the file",)


def _list(platforms: set[Platform]) -> str:
    return ", ".join(f"`{platform}`" for platform in sorted(platforms, key=str))
