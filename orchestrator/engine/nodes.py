"""The nodes that a run builds on: what backends want to have run on them first, and last."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from orchestrator.api.backend import Node
from orchestrator.api.invocation import BuilderOf, Invocation, Outcome, late_values
from orchestrator.engine.invoke import Invoker
from orchestrator.errors import BuildError
from orchestrator.plan.model import Plan, SolveStep, TestStep
from orchestrator.plan.place import ConfiguredBackend

_ENDING = 8


class Nodes:
    """The nodes of one run that something is built or tested on; others are left alone."""

    def __init__(
        self,
        plan: Plan,
        nodes: Mapping[str, tuple[Node, ...]],
        backends: Mapping[str, ConfiguredBackend],
        *,
        invoker: Invoker,
        root: Path,
    ) -> None:
        used = {(step.backend, step.node) for step in plan.steps if isinstance(step, SolveStep | TestStep)}
        self._used = {
            name: tuple(node for node in several if (name, node.name) in used) for name, several in nodes.items()
        }
        self._backends = backends
        self._invoker = invoker
        self._ending = hashlib.sha256(str(root).encode(errors="surrogateescape")).hexdigest()[:_ENDING]
        self._begun: list[str] = []

    def builders(self, backend: str) -> dict[str, str]:
        """The buildx builders of a backend, by node."""
        return {node.name: self._builder(node) for node in self._used[backend]}

    def _builder(self, node: Node) -> str:
        return f"{node.builder}-{self._ending}" if node.private else node.builder

    async def set_up(self, folder: Path) -> None:
        """Run what the backends want to have run first.

        Raises:
            BuildError: a node could not be made ready.
        """
        for name, chosen in self._backends.items():
            for number, invocation in enumerate(chosen.backend.setup(self._used[name])):
                if name not in self._begun:
                    self._begun.append(name)
                outcome = await self._run(name, invocation, folder / f"setup-{name}-{number}")
                if not outcome.succeeded:
                    message = f"{_subject(name, invocation)} could not be made ready: {_reason(invocation, outcome)}"
                    raise BuildError(message, hints=("`orchestrate doctor` looks at builders and nodes",))

    async def take_down(self, folder: Path) -> None:
        """Run what they want to have run last, where anything was begun; what fails then changes no result."""
        for name in self._begun:
            for number, invocation in enumerate(self._backends[name].backend.teardown(self._used[name])):
                await self._run(name, invocation, folder / f"teardown-{name}-{number}")

    async def _run(self, backend: str, invocation: Invocation, folder: Path) -> Outcome:
        reader = self._backends[backend].backend.reader(invocation)
        return await self._invoker.run(invocation, reader, folder=folder, builders=self.builders(backend))


def _subject(backend: str, invocation: Invocation) -> str:
    """The node that a child was about, by what its words name."""
    named = (late.node for word in invocation.argv for late in late_values(word) if isinstance(late, BuilderOf))
    node = next(named, None)
    return f"node `{node}`" if node else f"backend `{backend}`"


def _reason(invocation: Invocation, outcome: Outcome) -> str:
    if outcome.timed_out:
        return f"it did not answer within {invocation.timeout:g} seconds"
    lines = outcome.stderr.strip().splitlines() or [f"exit code {outcome.exit_code}"]
    return lines[-1].removeprefix("ERROR: ")
