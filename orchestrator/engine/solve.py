"""Runs the invocations of one solve, again where a failure was transient."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from orchestrator.api.backend import FailureKind, LowerRequest, SolveFailure, SolveResult
from orchestrator.api.events import Retried
from orchestrator.api.invocation import Invocation, Outcome
from orchestrator.engine.invoke import Emit, Invoker
from orchestrator.engine.results import StepResult
from orchestrator.errors import BuildError, RegistryError
from orchestrator.model import Model
from orchestrator.plan.model import SolveStep
from orchestrator.plan.place import ConfiguredBackend

_FIRST_WAIT: Final = 1.0
_LONGEST_WAIT: Final = 30.0


class SolveFailedError(BuildError):
    """A solve failed; `lines` are the last lines of the step that did."""

    def __init__(self, failure: SolveFailure) -> None:
        super().__init__(failure.message)
        self.lines = failure.lines


class PushFailedError(SolveFailedError):
    """The build was done, and the registry did not take it: the exit code is the registry's."""

    exit_code = RegistryError.exit_code


class SolveWork(Model):
    """A solve with its invocations and the backend that reads what they give."""

    step: SolveStep
    request: LowerRequest
    invocations: tuple[Invocation, ...]
    chosen: ConfiguredBackend


def _silence(backend: str) -> SolveFailure:
    message = f"backend `{backend}` does not say what became of the solve"
    return SolveFailure(kind=FailureKind.USER, message=message)


async def run_solve(work: SolveWork, *, invoker: Invoker, folder: Path, emit: Emit) -> StepResult:
    """Run one solve.

    Raises:
        SolveFailedError: it failed, and not (or not any more) in a way that passes.
    """
    step, backend = work.step, work.chosen.backend
    builders: Mapping[str, str] = {work.request.node.name: work.request.node.builder}
    attempt = 0
    while True:
        outcomes: list[Outcome] = []
        started = time.monotonic()
        for number, invocation in enumerate(work.invocations):
            outcome = await invoker.run(
                invocation,
                folder=folder / f"{attempt}-{number}",
                builders=builders,
                reader=backend.reader(invocation),
            )
            outcomes.append(outcome)
            if not outcome.succeeded:
                break
        result = backend.results(work.request, tuple(outcomes)).get(step.id, _silence(work.chosen.name))
        if isinstance(result, SolveResult):
            return StepResult(digest=result.digest, path=result.path, seconds=time.monotonic() - started)
        if result.kind is FailureKind.USER or attempt >= step.solve.retries:
            raise PushFailedError(result) if result.by_registry else SolveFailedError(result)
        attempt += 1
        emit(Retried(step=step.id, attempt=attempt, message=result.message))
        await asyncio.sleep(min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** (attempt - 1)))
