"""The nodes that a run builds on: what backends want to have run on them first, and last."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from orchestrator.api.backend import Node
from orchestrator.api.invocation import BuilderOf, Invocation, Outcome, late_values
from orchestrator.engine.invoke import Invoker
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

        Raises:
            BuildError: something that no node has for itself could not be made ready.
        """
        lost: dict[NodeKey, str] = {}
        for name, invocations in self._lowered.setup.items():
            for number, invocation in enumerate(invocations):
                if name not in self._begun:
                    self._begun.append(name)
                outcome = await self._run(name, invocation, folder / f"setup-{name}-{number}")
                if outcome.succeeded:
                    continue
                node, reason = _find_node(invocation), _reason(invocation, outcome)
                if node is None:
                    message = f"backend `{name}` could not be made ready: {reason}"
                    raise BuildError(message, hints=("`orchestrate doctor` looks at builders and nodes",))
                lost.setdefault((name, node), f"node `{node}` could not be made ready: {reason}")
        return lost

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


def _find_node(invocation: Invocation) -> str | None:
    """The node that a child is about, by what its words name."""
    named = (late.node for word in invocation.argv for late in late_values(word) if isinstance(late, BuilderOf))
    return next(named, None)


def _reason(invocation: Invocation, outcome: Outcome) -> str:
    if outcome.timed_out:
        return f"it did not answer within {invocation.timeout:g} seconds"
    lines = outcome.stderr.strip().splitlines() or [f"exit code {outcome.exit_code}"]
    return lines[-1].removeprefix("ERROR: ")
