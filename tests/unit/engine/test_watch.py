"""Nodes that stop answering while something is built on them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping

import pytest
from msgspec.structs import replace

from orchestrator.api.backend import Capabilities, Node, Probe, Reader, SolveFailure
from orchestrator.api.invocation import Invocation, Outcome
from orchestrator.buildkit.onebuilder import INSPECT, OneBuilder, chosen_node
from orchestrator.engine.watch import Watch
from orchestrator.errors import UsageError
from orchestrator.plan.place import ConfiguredBackend
from tests.unit.engine.fakes import PythonBackend

ANSWER = Outcome(
    exit_code=0, stdout="Name: b\nDriver: remote\nNodes:\nName: n\nStatus: running\nPlatforms: linux/amd64\n"
)
SILENCE = Outcome(exit_code=127, stderr="it did not end within 10 seconds")
NODE = Node(name="of-the-plan", platforms=(), builder="b")
DONE = Outcome(exit_code=0, stdout="done")


class Asked(PythonBackend):
    """A backend whose one node is a buildx builder, which can be asked."""

    def probes(self) -> tuple[Probe, ...]:
        """As a backend of one builder."""
        return OneBuilder("b", slots=1).probes()

    def nodes(self, answers: Mapping[str, Outcome]) -> tuple[Node, ...]:
        """As a backend of one builder."""
        return OneBuilder("b", slots=1).nodes(answers)


class Line:
    """A node that answers in turn, the last answer for ever."""

    def __init__(self, *answers: Outcome) -> None:
        self._answers = list(answers)
        self.asked = 0

    def __call__(self, probe: Probe) -> Outcome:
        """Whatever is asked."""
        assert probe.node == "b"
        self.asked += 1
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


def watching(line: Line, backend: PythonBackend | None = None, *, patience: float = 0.0) -> Watch:
    """A watch over one backend, which has no patience."""
    chosen = ConfiguredBackend(name="x", backend=backend or Asked({}), capabilities=Capabilities())
    return Watch({"x": chosen}, line, patience=patience)


class Child:
    """A child that ends when it is told to, or when it is stopped."""

    def __init__(self, line: Line, *, ends_after: int) -> None:
        self._line = line
        self._ends_after = ends_after
        self.stopped = False

    async def __call__(self, reader: Reader) -> Outcome:
        """Say something, then nothing until the node was asked often enough."""
        assert list(reader.feed("stderr", "x")) == []
        try:
            while self._line.asked < self._ends_after:  # noqa: ASYNC110 (it is asked in a thread)
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            self.stopped = True
            raise
        return DONE


def run(watch: Watch, child: Child) -> Outcome | SolveFailure:
    """What becomes of a child."""
    reader = Asked({}).reader(Invocation(argv=("x",), steps=("solve:x",)))
    return asyncio.run(watch.run(child, reader, backend="x", node=NODE))


def test_a_silent_node_is_asked_and_its_child_is_stopped() -> None:
    """Twice, since one that is busy may miss one; the failure names the node as the plan does, and says why."""
    line = Line(SILENCE)
    child = Child(line, ends_after=1000)
    found = run(watching(line), child)
    assert isinstance(found, SolveFailure)
    assert "node `of-the-plan` does not answer any more: it did not end within 10 seconds" == found.message
    assert (True, 2) == (child.stopped, line.asked)


@pytest.mark.parametrize("answers", [(ANSWER,), (SILENCE, ANSWER)])
def test_a_node_that_answers_goes_on(answers: tuple[Outcome, ...]) -> None:
    """However long a build says nothing."""
    line = Line(*answers)
    child = Child(line, ends_after=5)
    assert DONE == run(watching(line), child)
    assert not child.stopped


def test_a_child_that_talks_or_ends_is_not_disturbed() -> None:
    """Nobody is asked."""
    line = Line(SILENCE)
    assert DONE == run(watching(line, patience=3600.0), Child(line, ends_after=0))
    assert 0 == line.asked


def test_a_node_that_nobody_can_ask_is_believed() -> None:
    """As that of a backend without probes."""
    line = Line(SILENCE)
    found = asyncio.run(watching(line, PythonBackend({})).look("x", NODE))
    assert (None, 0) == (found, line.asked)


@pytest.mark.parametrize(("said", "lost"), [(ANSWER, False), (SILENCE, True)])
def test_a_node_with_a_question_of_its_own_is_asked_that(said: Outcome, lost: bool) -> None:  # noqa: FBT001 (a case)
    """It is known by the name that its backend has for it, whatever the plan calls it."""
    own = Probe(name="inspect", argv=("docker",), node="b")
    node = Node(name="of-the-plan", platforms=(), builder="unknown", probe=own)
    line = Line(said)
    found = asyncio.run(watching(line).look("x", node))
    assert (lost, 2 if lost else 1) == (found is not None, line.asked)


@pytest.mark.parametrize(("said", "lost"), [(ANSWER, ""), (SILENCE, "it did not end within 10 seconds")])
def test_a_builder_that_was_chosen_for_a_node_is_asked(said: Outcome, lost: str) -> None:
    """As with `--node`: its backend does not know of it."""
    node = replace(chosen_node("b", {INSPECT: ANSWER}), name="of-the-plan")
    line = Line(said)
    found = asyncio.run(watching(line, PythonBackend({})).look("x", node))
    message = f"node `of-the-plan` does not answer any more: {lost}" if lost else ""
    assert (message, 2 if lost else 1) == (found.message if found else "", line.asked)


def test_a_node_is_asked_once_for_all_that_wait_for_it() -> None:
    """Within the time of its patience."""

    async def look_often(watch: Watch) -> list[SolveFailure | None]:
        return [await watch.look("x", NODE) for _ in range(3)]

    line = Line(SILENCE)
    found = asyncio.run(look_often(watching(line, patience=3600.0)))
    assert (3, 2) == (len([each for each in found if each]), line.asked)


def test_what_a_child_raises_is_raised() -> None:
    """As it is, not in a group."""

    async def broken(reader: Reader) -> Outcome:
        del reader
        message = "a variable is missing"
        raise UsageError(message)

    reader = Asked({}).reader(Invocation(argv=("x",), steps=("solve:x",)))
    with pytest.raises(UsageError, match="a variable is missing"):
        asyncio.run(watching(Line(ANSWER)).run(broken, reader, backend="x", node=NODE))


def test_who_is_cancelled_stops_the_child() -> None:
    """And waits until it has stopped."""

    async def cancelled(watch: Watch, child: Child) -> None:
        reader = Asked({}).reader(Invocation(argv=("x",), steps=("solve:x",)))
        work = asyncio.ensure_future(watch.run(child, reader, backend="x", node=NODE))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work

    line = Line(ANSWER)
    child = Child(line, ends_after=1000)
    asyncio.run(cancelled(watching(line, patience=3600.0), child))
    assert child.stopped


class Held(Line):
    """A node that is being asked until somebody lets it answer."""

    def __init__(self, *answers: Outcome) -> None:
        super().__init__(*answers)
        self.begun = threading.Event()
        self.may_answer = threading.Event()

    def __call__(self, probe: Probe) -> Outcome:
        """After a while."""
        self.begun.set()
        self.may_answer.wait()
        return super().__call__(probe)


async def cancel_asking(line: Held, work: asyncio.Future[Outcome | SolveFailure]) -> None:
    """Cancel while the node is asked, and let it answer then."""
    await asyncio.to_thread(line.begun.wait)
    work.cancel()
    await asyncio.sleep(0)
    line.may_answer.set()
    with pytest.raises(asyncio.CancelledError):
        await work


def test_who_is_cancelled_while_a_node_is_asked_stops_the_child() -> None:
    """The answer does not matter any more."""

    async def cancelled(line: Held, child: Child) -> None:
        reader = Asked({}).reader(Invocation(argv=("x",), steps=("solve:x",)))
        await cancel_asking(line, asyncio.ensure_future(watching(line).run(child, reader, backend="x", node=NODE)))

    line = Held(ANSWER)
    child = Child(line, ends_after=1000)
    asyncio.run(cancelled(line, child))
    assert (True, 1) == (child.stopped, line.asked)
