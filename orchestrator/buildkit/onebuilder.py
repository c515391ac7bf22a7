"""A buildx builder as one node: the questions to it, the node that its answers make, and placement on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from msgspec import structs

from orchestrator.api.backend import LowerRequest, Node, Placement, PlaceRequest, Probe, Reader, Refusal
from orchestrator.api.invocation import Invocation, Outcome
from orchestrator.api.solve import LayoutOutput
from orchestrator.buildkit.builders import (
    INSTALL_BUILDX,
    NO_BUILDX,
    Builder,
    BuilderNode,
    Engine,
    builds_several_platforms,
    is_builder_name,
    is_without_builder,
    is_without_buildx,
    parse_engine,
    parse_inspection,
)
from orchestrator.buildkit.placement import place_on
from orchestrator.buildkit.progress import RawJsonReader
from orchestrator.buildkit.untrusted import UnreadableError, clean_lines
from orchestrator.model import Model
from orchestrator.oci.platform import Platform

INSPECT: Final = "inspect"
_VERSION = "version"
_INFO = "info"
_OTHER_BUILDER = (
    "create one: `docker buildx create --name orchestrate --driver docker-container --bootstrap`, or `doctor --fix`",
    'and name it: `[backends.qemu]` with `builder = "orchestrate"`',
)


class SeveralNodes(Model):
    """What a builder of several nodes is made of: which of them builds what is for buildx to say."""

    builder: str

    @property
    def hint(self) -> str:
        """How each of them is used alone."""
        return f'use each of its nodes alone: `[[backends.native.nodes]]` with `builder = "{self.builder}"`'


class OneBuilder:
    """What a backend of one builder for all platforms has in common with any other such; it adds `lower`."""

    def __init__(self, builder: str, *, slots: int) -> None:
        self._builder = builder
        self._slots = slots

    def probes(self) -> tuple[Probe, ...]:
        """Ask the builder and its engine."""
        return builder_probes(self._builder)

    def nodes(self, answers: Mapping[str, Outcome]) -> tuple[Node, ...]:
        """The one builder, as a node."""
        return (builder_node(self._builder, answers, slots=self._slots),)

    def place(self, request: PlaceRequest) -> Placement | Refusal:
        """On the one node, natively or emulated."""
        node = request.nodes[0]
        placed = place_on(node, request)
        if isinstance(placed, Refusal) and isinstance(node.origin, SeveralNodes) and not node.problem:
            return structs.replace(placed, hints=(node.origin.hint, *placed.hints))
        return placed

    def refuse(self, request: LowerRequest) -> Refusal | None:
        """Why buildx could not do this: it joins what several nodes built only in a registry (docker/buildx#2007)."""
        origin = request.node.origin
        layouts = (solve for solve in request.steps if isinstance(solve.output, LayoutOutput))
        if not isinstance(origin, SeveralNodes) or all(len(solve.platforms) == 1 for solve in layouts):
            return None
        message = f"builder `{origin.builder}` has several nodes, and buildx writes no layout of what these build"
        return Refusal(code="several-nodes", message=message, hints=(origin.hint,))

    def setup(self, nodes: tuple[Node, ...]) -> tuple[Invocation, ...]:
        """Nothing: the builder is there, or the plan is blocked."""
        del nodes
        return ()

    def teardown(self, nodes: tuple[Node, ...]) -> tuple[Invocation, ...]:
        """Nothing, as nothing was set up."""
        del nodes
        return ()

    def reader(self, invocation: Invocation) -> Reader:
        """Reads the progress of one child."""
        return RawJsonReader(invocation.steps[0])


def builder_probes(builder: str) -> tuple[Probe, ...]:
    """Ask the builder what it builds, and the engine what it is."""
    return (_inspect(builder), *engine_probes())


def _inspect(builder: str) -> Probe:
    return Probe(name=INSPECT, argv=("docker", "buildx", "inspect", builder), node=builder)


def engine_probes() -> tuple[Probe, ...]:
    """Ask the engine what it is."""
    return (
        Probe(name=_VERSION, argv=("docker", "version", "--format=json")),
        Probe(name=_INFO, argv=("docker", "info", "--format=json")),
    )


def builder_node(name: str, answers: Mapping[str, Outcome], *, slots: int) -> Node:
    """The node; provisional where the builder did not answer."""
    engine = read_engine(answers)
    builder = read_builder(answers, engine)
    running = builder.answering if builder else ()
    if builder is None or not running or _is_half_asleep(builder):
        summary, hints = explain_silence(name, answers) if builder is None else _asleep(builder)
        return Node(name=name, platforms=(), slots=slots, builder=name, provisional=True, summary=summary, hints=hints)
    native, emulated = _shared(running)
    problem, hints = _unfit(builder, engine)
    return Node(
        name=name,
        platforms=native,
        emulates=emulated,
        own=builder.own,
        owns=() if builder.own else tuple(_owns(running)),
        slots=slots,
        builder=builder.name,
        summary=f"{builder.driver} driver",
        problem=problem,
        hints=hints,
        origin=SeveralNodes(builder=builder.name) if len(builder.members) > 1 else None,
    )


def _is_half_asleep(builder: Builder) -> bool:
    """Whether buildx would start a node that may turn out to build what another one builds."""
    return len(builder.members) > 1 and not all(node.running for node in builder.ready)


def _shared(running: tuple[BuilderNode, ...]) -> tuple[tuple[Platform, ...], tuple[Platform, ...]]:
    """What these nodes build natively whichever of them buildx takes, and what one of them would emulate.

    It takes the first node that lists a platform, emulated or not, and after what was declared for them; so a platform
    is native only where all nodes that list it run it natively.
    """
    listed = dict.fromkeys(platform for node in running for platform in node.platforms)
    emulated = {platform for node in running for platform in node.emulated}
    native = tuple(platform for platform in listed if platform not in emulated)
    return native, tuple(platform for platform in listed if platform in emulated)


def _owns(running: tuple[BuilderNode, ...]) -> Iterator[tuple[Platform, Platform]]:
    """Which kind of machine builds a platform: the first for which it was declared, else the first that lists it."""
    for platform in dict.fromkeys(platform for node in running for platform in node.platforms):
        declared = (node for node in running if platform in node.declared)
        listed = (node for node in running if platform in node.platforms)
        taken = next(declared, None) or next(listed)
        if taken.own:
            yield platform, taken.own


def _unfit(builder: Builder, engine: Engine | None) -> tuple[str, tuple[str, ...]]:
    """Why nothing may be built on a builder that runs, and what to do about it."""
    if engine is not None and not builds_several_platforms(builder, engine):
        return "the `docker` driver builds several platforms only with the containerd image store", _OTHER_BUILDER
    hidden = next((node for node in builder.answering if node.own is None), None)
    if hidden is None:
        return "", ()
    return (
        f"`{hidden.name}` was created with `--platform`, which hides what its machine is",
        (
            "create the builder again without `--platform`",
            f'or have it asked alone: `[[backends.native.nodes]]` with `builder = "{builder.name}"`',
        ),
    )


def chosen_node(name: str, answers: Mapping[str, Outcome]) -> Node:
    """A builder that the user chose for a node: no backend knows of it, so the question to it comes with it."""
    node = builder_node(name, answers, slots=1)
    return structs.replace(node, probe=_inspect(node.builder))


def read_chosen(node: Node, answers: Mapping[str, Outcome]) -> Node | None:
    """A chosen node by the answer to its own question; None where it is one that its backend knows."""
    if node.probe != _inspect(node.builder):
        return None
    return builder_node(node.builder, answers, slots=node.slots)


def read_engine(answers: Mapping[str, Outcome]) -> Engine | None:
    """The engine that the client talks to; None where it did not answer."""
    version, info = answers.get(_VERSION), answers.get(_INFO)
    if version is None or info is None or not (version.succeeded and info.succeeded):
        return None
    try:
        return parse_engine(version.stdout.encode(), info.stdout.encode())
    except UnreadableError:
        return None


def read_builder(answers: Mapping[str, Outcome], engine: Engine | None, *, probe: str = INSPECT) -> Builder | None:
    """The builder that this probe asked for; None where it did not answer."""
    answer = answers.get(probe)
    if answer is None or not answer.succeeded:
        return None
    try:
        return parse_inspection(answer.stdout.encode(), engine_architecture=engine.architecture if engine else "")
    except UnreadableError:
        return None


def explain_silence(name: str, answers: Mapping[str, Outcome], *, probe: str = INSPECT) -> tuple[str, tuple[str, ...]]:
    """Why nobody answered, and what to do about it where that is known."""
    answer = answers.get(probe)
    if answer is None:
        return "not asked", ()
    if is_without_buildx(answer.stderr):
        return NO_BUILDX, (INSTALL_BUILDX,)
    lines = clean_lines(answer.stderr.encode(errors="replace"))
    said = lines[-1].removeprefix("ERROR: ") if lines else "did not answer"
    return said, _absent(name) if is_without_builder(said) else ()


def _absent(name: str) -> tuple[str, ...]:
    creation = (f"create it: `orchestrate builders create {name}`",) if is_builder_name(name) else ()
    return (
        *creation,
        "`orchestrate builders ls` lists those that there are, `orchestrate builders use NAME` takes one",
    )


def _asleep(builder: Builder) -> tuple[str, tuple[str, ...]]:
    """Why a builder that is there builds nothing; one whose nodes are all lost is not to be started."""
    if builder.problem and not builder.ready:
        return builder.problem, (f"`orchestrate builders inspect {builder.name}` shows its nodes",)
    return "not running", (f"start it: `orchestrate builders inspect {builder.name} --bootstrap`",)
