"""A backend that breaks the contract is named, whatever it does; one that keeps it is not noticed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal

import pytest

from orchestrator.api.backend import (
    Backend,
    Emulation,
    LowerRequest,
    Mode,
    Node,
    Placement,
    PlaceRequest,
    Reader,
    Refusal,
)
from orchestrator.api.events import ReaderEvent
from orchestrator.api.invocation import Invocation, Phase
from orchestrator.oci.platform import parse_platform
from orchestrator.plugins.guard import GuardedBackend, PluginError
from orchestrator.testing.samples import sample_solves

AMD64 = parse_platform("linux/amd64")
NODE = Node(name="n", platforms=(AMD64,))
CHILD = Invocation(argv=("true",), steps=("s",), phase=Phase.BUILD)
PLACE = PlaceRequest(image="a", platform=AMD64, emulation=Emulation.FORBID, nodes=(NODE,), host=AMD64)
LOWER = LowerRequest(steps=(next(sample_solves()),), node=NODE)


class _Says:
    """A backend whose every method gives the same, or raises it."""

    def __init__(self, answer: object) -> None:
        self._answer = answer

    def __getattr__(self, name: str) -> Callable[..., object]:  # type: ignore[explicit-any]  # any method of it
        def method(*_: object) -> object:
            if isinstance(self._answer, Exception | SystemExit):
                raise self._answer
            return self._answer

        return method


def guarded(answer: object) -> GuardedBackend:
    """A guard around a backend that says this to everything."""
    backend: Backend = _Says(answer)  # type: ignore[assignment]  # it breaks the protocol on purpose
    return GuardedBackend(backend, "odd")


CALLS: tuple[Callable[[GuardedBackend], object], ...] = (
    lambda backend: backend.probes(),
    lambda backend: backend.nodes({}),
    lambda backend: backend.place(PLACE),
    lambda backend: backend.setup((NODE,)),
    lambda backend: backend.lower(LOWER),
    lambda backend: backend.results(LOWER, ()),
    lambda backend: list(backend.reader(CHILD).feed("stdout", "x")),
)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("answer", [ZeroDivisionError("oh"), SystemExit(3), None, "text", ("text",), {"s": 1}])
def test_what_breaks_the_contract_names_the_backend(call: Callable[[GuardedBackend], object], answer: object) -> None:
    """An error of its own, nothing at all, and values of another type."""
    with pytest.raises(PluginError, match="backend `odd` failed to") as caught:
        call(guarded(answer))
    assert ("report this to the authors of the backend",) == caught.value.hints


def test_a_node_that_was_not_offered_is_none() -> None:
    """A backend chooses among the nodes that it is given."""
    with pytest.raises(PluginError, match="failed to place `a`"):
        guarded(Placement(node="other", mode=Mode.NATIVE)).place(PLACE)


@pytest.mark.parametrize("answer", [Refusal(code="c", message="m"), Placement(node="n", mode=Mode.NATIVE)])
def test_answers_within_the_contract_pass(answer: Placement | Refusal) -> None:
    """As they are."""
    assert answer == guarded(answer).place(PLACE)


def test_refusals_and_invocations_pass() -> None:
    """As they are."""
    refusal = Refusal(code="c", message="m")
    assert refusal == guarded(refusal).lower(LOWER)
    assert (CHILD,) == guarded((CHILD,)).lower(LOWER)


def test_a_reader_that_fails_at_a_line_is_named() -> None:
    """Not only one that cannot be made."""

    class Failing:
        def feed(self, stream: Literal["stdout", "stderr"], line: str) -> Iterable[ReaderEvent]:
            raise ValueError(stream + line)

    reader: Reader = guarded(Failing()).reader(CHILD)
    with pytest.raises(PluginError, match="failed to read what its child prints"):
        reader.feed("stdout", "x")
