"""A declared node, held against what it says of itself: never is something called native that a node emulates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import structs

from orchestrator.api import Node, Outcome, Platform, Probe
from orchestrator.buildkit.builders import Builder, builds_several_platforms
from orchestrator.buildkit.onebuilder import engine_probes, explain_silence, read_builder, read_engine
from orchestrator_native.builders import builder_name, probe_builder
from orchestrator_native.config import NodeTable, platforms_of

_PATIENCE: Final = 12.0
"""Seconds; buildx itself waits 20 for a node that takes connections and says nothing."""
_NO_STORE: Final = "the `docker` driver builds several platforms only with the containerd image store"


def node_probes(tables: list[NodeTable]) -> tuple[Probe, ...]:
    """Ask each node, and where there are builders of this machine's, its engine: it knows its CPU."""
    asked = tuple(_probe(table) for table in tables)
    return (*asked, *engine_probes()) if any(table.builder for table in tables) else asked


def _probe(table: NodeTable) -> Probe:
    name = _probe_name(table)
    if not table.builder:
        return probe_builder(table, name, timeout=_PATIENCE)
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


def answered_node(table: NodeTable, answers: Mapping[str, Outcome]) -> Node:
    """The declared node with what it answered."""
    declared, probe = declared_node(table), _probe_name(table)
    if probe not in answers:
        return declared
    engine = read_engine(answers) if table.builder else None
    builder = read_builder(answers, engine, probe=probe)
    if builder is None:
        summary, hints = explain_silence(declared.builder, answers, probe=probe)
        return structs.replace(declared, summary=summary, hints=hints or _look(table))
    if not builder.ready:
        return structs.replace(declared, summary=builder.problem or "it has no nodes", hints=_look(table))
    node = structs.replace(declared, provisional=False, summary=f"{builder.driver} driver")
    if len(builder.nodes) > 1:
        return _several(node, builder)
    if engine is not None and not builds_several_platforms(builder, engine):
        hint = "create a builder: `orchestrate builders create orchestrate`, and name it here"
        return structs.replace(node, problem=_NO_STORE, hints=(hint,))
    # one that buildx starts when it is needed does not know yet what its machine is
    return _compare(node, builder) if builder.answering else node


def _compare(node: Node, builder: Builder) -> Node:
    """The node as far as it is what it was declared to be."""
    native = {platform for each in builder.answering for platform in each.native}
    emulated = {platform for each in builder.answering for platform in each.emulated}
    for platform in node.platforms:
        if platform in emulated - native:
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
    return structs.replace(node, emulates=tuple(each for each in node.emulates if each in native | emulated))


def _several(node: Node, builder: Builder) -> Node:
    """Which of them builds what is buildx's to decide, and it falls back to emulation without a word."""
    return structs.replace(
        node,
        problem=f"builder `{builder.name}` has {len(builder.nodes)} nodes, and a node of `native` is one BuildKit",
        hints=tuple(f'declare each: `endpoint = "{each.endpoint}"`' for each in builder.nodes[:3]),
    )


def _look(table: NodeTable) -> tuple[str, ...]:
    where = f"builder `{table.builder}`" if table.builder else f"`{table.endpoint or table.driver}`"
    return (f"see that BuildKit runs at {where} and can be reached from here, or take the node out of the file",)


def _list(platforms: set[Platform]) -> str:
    return ", ".join(f"`{platform}`" for platform in sorted(platforms, key=str))
