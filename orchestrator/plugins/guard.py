"""A backend that others wrote, behind a guard: whatever it raises or returns, the error names the backend."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, Literal, TypeVar

from orchestrator.api.backend import (
    Backend,
    Became,
    LowerRequest,
    Node,
    Placement,
    PlaceRequest,
    Probe,
    Reader,
    Refusal,
    SolveFailure,
    SolveResult,
    SolveUnknown,
)
from orchestrator.api.events import ReaderEvent
from orchestrator.api.invocation import Invocation, Outcome, StepId
from orchestrator.errors import UsageError

_T = TypeVar("_T")
_HINTS: Final = ("report this to the authors of the backend",)


class PluginError(UsageError):
    """A backend that is needed cannot be used."""


def call(name: str, what: str, function: Callable[[], _T]) -> _T:
    """Call into the backend of this name; `what` says to do what.

    Raises:
        PluginError: it raised something.
    """
    try:
        return function()
    except (Exception, SystemExit) as error:  # a plugin may raise anything; it is named
        message = f"backend `{name}` failed to {what}: {error!r}"
        raise PluginError(message, hints=_HINTS) from error


class GuardedBackend:
    """The `Backend` protocol around a backend; all methods raise `PluginError` where it does not keep the contract."""

    def __init__(self, backend: Backend, name: str) -> None:
        self._backend = backend
        self._name = name

    def probes(self) -> tuple[Probe, ...]:
        """Its probes."""
        return self._all("say its probes", self._backend.probes, Probe)

    def nodes(self, answers: Mapping[str, Outcome]) -> tuple[Node, ...]:
        """Its nodes."""
        return self._all("say its nodes", lambda: self._backend.nodes(answers), Node)

    def place(self, request: PlaceRequest) -> Placement | Refusal:
        """Its choice, which is one of the nodes that it was offered."""
        what = f"place `{request.image}`"
        placed = self._call(what, lambda: self._backend.place(request))
        if isinstance(placed, Refusal):
            return placed
        self._check(what, (placed,), Placement)
        if all(node.name != placed.node for node in request.nodes):
            raise self._broken(what, placed)
        return placed

    def setup(self, nodes: tuple[Node, ...]) -> tuple[Invocation, ...]:
        """What it runs first."""
        return self._all("set itself up", lambda: self._backend.setup(nodes), Invocation)

    def teardown(self, nodes: tuple[Node, ...]) -> tuple[Invocation, ...]:
        """What it runs last; nothing for a backend that was written before there was such a thing."""
        if not hasattr(self._backend, "teardown"):
            return ()
        return self._all("take down what it set up", lambda: self._backend.teardown(nodes), Invocation)

    def lower(self, request: LowerRequest) -> tuple[Invocation, ...] | Refusal:
        """Its invocations."""
        what = f"lower `{request.steps[0].id}`"
        lowered = self._call(what, lambda: self._backend.lower(request))
        if not isinstance(lowered, Refusal):
            self._check(what, lowered, Invocation)
        return lowered

    def reader(self, invocation: Invocation) -> Reader:
        """Its reader, guarded too."""
        return _GuardedReader(self._call("read a child", lambda: self._backend.reader(invocation)), self._name)

    def results(self, request: LowerRequest, outcomes: tuple[Outcome, ...]) -> Mapping[StepId, Became]:
        """Its results."""
        what = f"say what became of `{request.steps[0].id}`"
        results = self._call(what, lambda: dict(self._backend.results(request, outcomes)))
        self._check(what, tuple(results.values()), SolveResult, SolveFailure, SolveUnknown)
        return results

    def _call(self, what: str, function: Callable[[], _T]) -> _T:
        return call(self._name, what, function)

    def _all(self, what: str, function: Callable[[], tuple[_T, ...]], kind: type[_T]) -> tuple[_T, ...]:
        values = self._call(what, function)
        self._check(what, values, kind)
        return values

    def _check(self, what: str, values: object, *kinds: type) -> None:
        if not isinstance(values, tuple) or not all(isinstance(value, kinds) for value in values):
            raise self._broken(what, values)

    def _broken(self, what: str, value: object) -> PluginError:
        message = f"backend `{self._name}` failed to {what}: it returned {repr(value)[:200]}"
        return PluginError(message, hints=_HINTS)


class _GuardedReader:
    """The `Reader` protocol around a reader."""

    def __init__(self, reader: Reader, name: str) -> None:
        self._reader = reader
        self._name = name

    def feed(self, stream: Literal["stdout", "stderr"], line: str) -> Iterable[ReaderEvent]:
        """The events of a line, all of them before any is used."""
        return call(self._name, "read what its child prints", lambda: tuple(self._reader.feed(stream, line)))
