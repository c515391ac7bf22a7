"""What the steps of a run have given so far, and late values filled in from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never

from orchestrator.api.events import PlatformSize
from orchestrator.api.invocation import BuilderOf, DigestOf, FileOf, Late, PathOf, StepId, Word
from orchestrator.model import Model
from orchestrator.oci.digest import Digest


class StepResult(Model):
    """What a step gave: the digest of its index (or what it put), and where it has one, of the lone manifest in it.

    `path` is the folder of a layout that a solve wrote, `key` what a record is known by, `seconds` how long it took,
    `sizes` those of the platforms that were verified. A record is `taken` where it is that of another run, and of
    another image than was built here.
    """

    digest: Digest | None = None
    manifest: Digest | None = None
    path: str = ""
    key: str = ""
    seconds: float = 0.0
    sizes: tuple[PlatformSize, ...] = ()
    taken: bool = False


class Where(Model):
    """Where a child runs: its own files by name, the builders by node, the project's root, and its environment."""

    paths: Mapping[str, str] = {}
    builders: Mapping[str, str] = {}
    root: str = ""
    environment: Mapping[str, str] = {}


class Results:
    """The results of finished steps; written once each, by the engine."""

    def __init__(self) -> None:
        self._results: dict[StepId, StepResult] = {}

    def put(self, step: StepId, result: StepResult) -> None:
        """Remember what a step gave."""
        self._results[step] = result

    def find(self, step: StepId) -> StepResult:
        """What a step gave, or nothing where it has not run."""
        return self._results.get(step, StepResult())

    def get(self, step: StepId) -> StepResult:
        """What a finished step gave; the order of steps guarantees that it is there."""
        return self._results[step]

    def digest(self, step: StepId) -> Digest:
        """The digest that a finished step gave.

        Raises:
            LookupError: the step gives none, which is a bug of the plan.
        """
        digest = self._results[step].digest
        if digest is None:
            msg = f"step `{step}` gave no digest"
            raise LookupError(msg)
        return digest

    def fill(self, word: Word, where: Where) -> str:
        """The word with its late values filled in."""
        if isinstance(word, str):
            return word
        return "".join(part if isinstance(part, str) else self._late(part, where) for part in word)

    def _late(self, late: Late, where: Where) -> str:
        match late:
            case DigestOf(step=step, part="manifest"):
                manifest = self._results[step].manifest
                return str(manifest or self.digest(step))
            case DigestOf(step=step):
                return self.digest(step)
            case PathOf(name=name):
                return where.paths[name]
            case BuilderOf(node=node):
                return where.builders[node]
            case FileOf():
                return late.locate(where.root, where.environment)
            case _:
                assert_never(late)
