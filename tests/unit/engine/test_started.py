"""Nodes that are started for a run: at the same time, and held against what the plan took them for."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from orchestrator.api.backend import Mode, Node, Placement, PlaceRequest, Probe, Refusal
from orchestrator.api.events import NodeLost
from orchestrator.api.invocation import BuilderOf, Invocation, Outcome
from orchestrator.engine.started import find_difference
from orchestrator.errors import UsageError
from orchestrator_native.backend import NativeBackend
from orchestrator_native.config import NativeConfig
from tests.unit.engine.fakes import NODE, PythonBackend, Run
from tests.unit.plan.samples import HEAD

EMULATED = "it is declared to run `linux/arm64` natively, and only emulates it"
ENDPOINT: Mapping[str, object] = {"name": "far", "platforms": ["linux/arm64"], "endpoint": "ssh://u@h"}
BUILDER: Mapping[str, object] = {"name": "far", "platforms": ["linux/arm64"], "builder": "b"}
THERE = msgspec.structs.replace(NODE, name="there", builder="there")


def inspected(*platforms: str, status: str = "running", nodes: tuple[str, ...] = ("n",)) -> Outcome:
    """What `docker buildx inspect` prints of a builder whose nodes are all like this."""
    blocks = [
        f"Name: {name}\nEndpoint: ssh://u@h\nStatus: {status}\n"
        + (f"Platforms: {', '.join(platforms)}\n" if platforms else "")
        for name in nodes
    ]
    return Outcome(exit_code=0, stdout="Name: b\nDriver: docker-container\n\nNodes:\n" + "\n".join(blocks))


def differs(table: Mapping[str, object], *after: Outcome, platforms: tuple[str, ...] = ("linux/arm64",)) -> str:
    """What a node turns out to be that was believed before it ran; `after` are its answers, in their order."""
    backend = NativeBackend.configured(
        msgspec.convert({"nodes": [{**table, "platforms": list(platforms)}]}, NativeConfig)
    )
    (node,) = backend.nodes({"inspect far": inspected(status="inactive")})
    assert node.asleep
    answers = list(after)

    def ask(probe: Probe) -> Outcome:
        return answers.pop(0) if probe.node else Outcome(exit_code=1)

    return asyncio.run(find_difference(backend, msgspec.structs.replace(node, name="of-the-plan"), ask))


@pytest.mark.parametrize("table", [ENDPOINT, BUILDER])
@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (inspected("linux/arm64", "linux/amd64"), ""),
        (inspected("linux/amd64", "linux/arm64"), EMULATED),
        (inspected("linux/amd64"), "it is declared to run `linux/arm64`, and does not"),
        (inspected(status="inactive"), "it does not say what it builds: docker-container driver, not started"),
        (Outcome(exit_code=1, stderr="ERROR: no route"), "it does not say what it builds: no route"),
    ],
)
def test_a_node_that_was_started_is_held_against_the_plan(
    table: Mapping[str, object], answer: Outcome, expected: str
) -> None:
    """Whatever the plan calls it; what it only emulates is never taken for native."""
    assert expected == differs(table, answer)


def test_what_was_declared_for_it_is_no_proof_then_either() -> None:
    """It is asked alone, too."""
    declared = inspected("linux/arm64*", "linux/amd64")
    assert EMULATED == differs(BUILDER, declared, inspected("linux/amd64", "linux/arm64"))
    assert "" == differs(BUILDER, declared, inspected("linux/arm64", "linux/amd64"))


def test_a_machine_of_another_platform_is_planned_for_anew() -> None:
    """What is built from `$BUILDPLATFORM` would not be what was planned."""
    found = differs(ENDPOINT, inspected("linux/arm64", "linux/arm/v7"), platforms=("linux/arm/v7", "linux/arm64"))
    assert "its machine is `linux/arm64`, and was taken for `linux/arm/v7`: plan again" == found


def test_a_builder_that_has_got_another_node_meanwhile_is_not_used() -> None:
    """Which of them builds were for buildx to say."""
    assert "it is another one by now" == differs(BUILDER, inspected("linux/arm64", nodes=("n", "m")))


class Spread(PythonBackend):
    """Two equal nodes; `problem` is what the first turns out to have."""

    def __init__(self, setup: tuple[Invocation, ...] = (), *, problem: str = "") -> None:
        super().__init__({}, setup)
        self._problem = problem

    def nodes(self, answers: Mapping[str, Outcome]) -> tuple[Node, ...]:
        """Both."""
        del answers
        return msgspec.structs.replace(NODE, problem=self._problem), THERE

    def place(self, request: PlaceRequest) -> Placement | Refusal:
        """On either."""
        del request
        return Placement(node="here", mode=Mode.NATIVE, others=("there",))


def spread(folder: Path, backend: Spread, *, asleep: bool = False) -> Run:
    """A run on two nodes, of which the first may have to be started."""
    it = Run(folder, backend)
    it.nodes = (msgspec.structs.replace(NODE, asleep=asleep), THERE)
    return it


def child(program: str, node: str) -> Invocation:
    """A child that makes a node ready."""
    return Invocation(argv=(sys.executable, "-c", program, (BuilderOf(node=node),)))


def test_nodes_are_made_ready_at_the_same_time(tmp_path: Path) -> None:
    """Each of these waits for the other, and then does its second thing."""
    meet = (
        "import pathlib, sys, time\n"
        "pathlib.Path(sys.argv[1]).touch()\n"
        "for _ in range(3000):\n"
        "    if all(pathlib.Path(name).exists() for name in ('here', 'there')): sys.exit()\n"
        "    time.sleep(0.01)\n"
        "sys.exit('alone')\n"
    )
    second = "import pathlib, sys; pathlib.Path(sys.argv[1]).rename(sys.argv[1] + '-ready')"
    later = "import time, pathlib\nwhile not pathlib.Path('here-ready').exists(): time.sleep(0.01)\n"
    setup = (child(meet, "here"), child(meet, "there"), child(second, "here"), child(later + second, "there"))
    it = spread(tmp_path, Spread(setup))
    finished = it.finish(it.plan(HEAD + "[images.other]\n"))
    lost = [event.message for event in finished.events if isinstance(event, NodeLost)]
    assert ([], True) == (lost, (tmp_path / "there-ready").exists())


def test_a_node_that_is_not_what_it_was_taken_for_is_given_up(tmp_path: Path) -> None:
    """With the reason, before anything is built on it; an equal one takes over."""
    it = spread(tmp_path, Spread(problem="it only emulates that"), asleep=True)
    finished = it.finish(it.plan(HEAD + "[images.other]\n"))
    (lost,) = [event for event in finished.events if isinstance(event, NodeLost)]
    assert ("here", "node `here` could not be made ready: it only emulates that") == (lost.node, lost.message)
    assert (0, "there") == (finished.exit_code, finished.ended("solve:other").node)


def test_what_a_node_lacks_is_said_at_once(tmp_path: Path) -> None:
    """The others are not waited for."""
    lacking = msgspec.structs.replace(child("", "here"), inherits=("NODE_CA",))
    it = spread(tmp_path, Spread((lacking, child("import time; time.sleep(600)", "there"))))
    with pytest.raises(UsageError, match="NODE_CA"):
        it.finish(it.plan(HEAD + "[images.other]\n"))
