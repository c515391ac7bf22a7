"""The nodes that a run builds on: what backends want to have run on them first, and last."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from orchestrator.api.backend import Node
from orchestrator.api.invocation import BuilderOf, Invocation, Outcome, late_values
from orchestrator.engine.invoke import Invoker
from orchestrator.engine.started import find_difference
from orchestrator.errors import BuildError, OrchestratorError, disk_error
from orchestrator.plan.lower import Lowered, used_nodes
from orchestrator.plan.model import Plan
from orchestrator.plan.place import ConfiguredBackend
from orchestrator.plan.schedule import NodeKey

_ENDING = 8


class Nodes:
    """The nodes of one run that something is built or tested on; others are left alone."""

    def __init__(
        self,
        plan: Plan,
        nodes: Mapping[str, tuple[Node, ...]],
        backends: Mapping[str, ConfiguredBackend],
        *,
        lowered: Lowered,
        invoker: Invoker,
        root: Path,
    ) -> None:
        self._used = used_nodes(plan, nodes)
        self._lowered = lowered
        self._backends = backends
        self._invoker = invoker
        self._ending = hashlib.sha256(str(root).encode(errors="surrogateescape")).hexdigest()[:_ENDING]
        self._begun: list[str] = []

    def find(self, key: NodeKey) -> Node:
        """A node that is used."""
        return next(node for node in self._used[key[0]] if node.name == key[1])

    def builder(self, node: Node) -> str:
        """The name of the buildx builder that stands for a node."""
        return f"{node.builder}-{self._ending}" if node.private else node.builder

    def _builders(self, backend: str) -> dict[str, str]:
        return {node.name: self.builder(node) for node in self._used[backend]}

    async def set_up(self, folder: Path) -> dict[NodeKey, str]:
        """Run what the backends want to have run first; the nodes that could not be made ready, each with the reason.

        Nodes are made ready at the same time, after what no node has for itself.

        Raises:
            BuildError: something that no node has for itself could not be made ready.
        """
        for name, invocations in self._lowered.setup.items():
            if invocations:
                self._begun.append(name)
            for child in _children(name, invocations, None, folder):
                if reason := await self._try(name, child):
                    message = f"backend `{name}` could not be made ready: {reason}"
                    raise BuildError(message, hints=("`orchestrate doctor` looks at builders and nodes",))
        try:
            async with asyncio.TaskGroup() as group:
                tasks = {
                    (backend, node.name): group.create_task(self._make_ready(backend, node, folder))
                    for backend, several in self._used.items()
                    for node in several
                }
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        reasons = {key: task.result() for key, task in tasks.items()}
        return {key: f"node `{key[1]}` could not be made ready: {reason}" for key, reason in reasons.items() if reason}

    async def _make_ready(self, backend: str, node: Node, folder: Path) -> str:
        """Run what one node wants to have run first, in its order; why it cannot be used, empty where it can."""
        for child in _children(backend, self._lowered.setup.get(backend, ()), node.name, folder):
            if reason := await self._try(backend, child):
                return reason
        return await find_difference(self._backends[backend].backend, node, self._invoker.ask) if node.asleep else ""

    async def _try(self, backend: str, child: _Child) -> str:
        outcome = await self._run(backend, child.invocation, child.folder)
        return "" if outcome.succeeded else _reason(child.invocation, outcome)

    async def take_down(self, folder: Path) -> tuple[str, ...]:
        """Run what they want to have run last, where anything was begun; what fails then changes no result.

        Returns what could not even be run, as people read it.
        """
        problems = []
        for name in self._begun:
            for number, invocation in enumerate(self._lowered.teardown.get(name, ())):
                try:
                    await self._run(name, invocation, folder / f"teardown-{name}-{number}")
                except OrchestratorError as error:
                    problems.append(f"backend `{name}` could not be taken down: {error.message}")
                except OSError as error:
                    problems.append(f"backend `{name}` could not be taken down: {disk_error(error).message}")
        return tuple(problems)

    async def _run(self, backend: str, invocation: Invocation, folder: Path) -> Outcome:
        reader = self._backends[backend].backend.reader(invocation)
        return await self._invoker.run(invocation, reader, folder=folder, builders=self._builders(backend))


class _Child(NamedTuple):
    """One of the children that a backend wants to have run first, with its folder."""

    invocation: Invocation
    folder: Path


def _children(backend: str, invocations: tuple[Invocation, ...], node: str | None, folder: Path) -> tuple[_Child, ...]:
    """Those of one node, or those that are about none."""
    return tuple(
        _Child(invocation, folder / f"setup-{backend}-{number}")
        for number, invocation in enumerate(invocations)
        if _find_node(invocation) == node
    )


def _find_node(invocation: Invocation) -> str | None:
    """The node that a child is about, by what its words name."""
    named = (late.node for word in invocation.argv for late in late_values(word) if isinstance(late, BuilderOf))
    return next(named, None)


def _reason(invocation: Invocation, outcome: Outcome) -> str:
    if outcome.timed_out:
        return f"it did not answer within {invocation.timeout:g} seconds"
    lines = outcome.stderr.strip().splitlines() or [f"exit code {outcome.exit_code}"]
    return lines[-1].removeprefix("ERROR: ")
