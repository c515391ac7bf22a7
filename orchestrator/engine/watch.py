"""Whether nodes still answer while they build: clients wait for a dead one for ever."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Final, Literal, TypeAlias

from orchestrator.api.backend import Backend, FailureKind, Node, Probe, Reader, SolveFailure
from orchestrator.api.events import ReaderEvent
from orchestrator.api.invocation import Outcome
from orchestrator.buildkit.onebuilder import read_chosen
from orchestrator.engine.in_thread import ask_in_thread
from orchestrator.plan.place import ConfiguredBackend
from orchestrator.plan.schedule import NodeKey

Ask: TypeAlias = Callable[[Probe], Outcome]
"""Asks a node; blocking, within the time limit of the probe."""

_PATIENCE: Final = 20.0
_LOOKS: Final = 2
"""A node that is busy may miss one."""


class Watch:
    """Asks nodes from which nothing was heard for `patience` seconds; each at most once in that time."""

    def __init__(self, backends: Mapping[str, ConfiguredBackend], ask: Ask, *, patience: float = _PATIENCE) -> None:
        self._backends = backends
        self._ask = ask
        self._patience = patience
        self._locks: defaultdict[NodeKey, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._said: dict[NodeKey, tuple[float, str]] = {}

    async def run(
        self, start: Callable[[Reader], Awaitable[Outcome]], reader: Reader, *, backend: str, node: Node
    ) -> Outcome | SolveFailure:
        """What became of a child; one whose node does not answer any more is stopped, which is a failure of the node.

        Args:
            start: runs the child, with a reader of what it prints.
            reader: reads it.
            backend: the backend that the node is of.
            node: where it builds.
        """
        listening = _Listening(reader)
        child = asyncio.ensure_future(start(listening))
        lost = None
        try:
            while lost is None and not child.done():
                await asyncio.wait((child,), timeout=max(0.0, self._patience - listening.silence))
                if not child.done() and listening.silence >= self._patience:
                    lost = await self.look(backend, node)
                    listening.heard()
        finally:
            if not child.done():
                child.cancel()
                await asyncio.wait((child,))
        return lost if lost is not None and child.cancelled() else child.result()

    async def look(self, backend: str, node: Node) -> SolveFailure | None:
        """The failure of a node that does not answer; None where it does, or where nobody knows how to ask it."""
        reason = await self._silence(backend, node)
        if not reason:
            return None
        message = f"node `{node.name}` does not answer any more: {reason}"
        return SolveFailure(kind=FailureKind.INFRASTRUCTURE, message=message)

    async def _silence(self, backend: str, node: Node) -> str:
        key = (backend, node.builder)
        async with self._locks[key]:
            asked, reason = self._said.get(key, (float("-inf"), ""))
            if time.monotonic() - asked < self._patience:
                return reason
            for _ in range(_LOOKS):
                reason = await self._look(backend, node)
                if not reason:
                    break
            self._said[key] = (time.monotonic(), reason)
            return reason

    async def _look(self, backend: str, node: Node) -> str:
        chosen = self._backends[backend].backend
        probes = (node.probe,) if node.probe else tuple(_probes(chosen, node.builder))
        asked = {probe.node for probe in probes}  # a plan may have another name for it
        answers = {probe.name: await ask_in_thread(self._ask, probe) for probe in probes}
        own = read_chosen(node, answers)
        found = [own] if own else [each for each in chosen.nodes(answers) if each.name in asked]
        return next((each.summary or "no answer" for each in found if each.provisional), "")


def _probes(backend: Backend, builder: str) -> Iterator[Probe]:
    """The questions to a node that the configuration names."""
    named = {node.name for node in backend.nodes({}) if node.builder == builder}
    yield from (probe for probe in backend.probes() if probe.node in named)


class _Listening:
    """A reader that knows when something was heard."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._heard = time.monotonic()

    @property
    def silence(self) -> float:
        """For how many seconds nothing was heard."""
        return time.monotonic() - self._heard

    def heard(self) -> None:
        """Something was heard."""
        self._heard = time.monotonic()

    def feed(self, stream: Literal["stdout", "stderr"], line: str) -> Iterable[ReaderEvent]:
        """What this line says."""
        self.heard()
        return self._reader.feed(stream, line)
