"""Runs the invocations of one solve or test, again where a failure was transient."""

from __future__ import annotations

import asyncio
import re
import shlex
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

from orchestrator.api.backend import FailureKind, LowerRequest, Node, SolveFailure, SolveResult
from orchestrator.api.events import Retried
from orchestrator.api.invocation import Invocation, Outcome
from orchestrator.api.solve import NoOutput
from orchestrator.engine.invoke import Emit, Invoker
from orchestrator.engine.results import StepResult
from orchestrator.engine.watch import Watch
from orchestrator.errors import BuildError, RegistryError, TestFailedError
from orchestrator.model import Model
from orchestrator.plan.masked import masked_argv
from orchestrator.plan.model import SolveStep, TestStep
from orchestrator.plan.place import ConfiguredBackend

_FIRST_WAIT: Final = 1.0
_LONGEST_WAIT: Final = 30.0
_PUSHES: Final = 5
"""How often a push is tried again."""
_EXIT: Final = re.compile(r"did not complete successfully: (exit code: [0-9]+)")


class SolveFailedError(BuildError):
    """A solve failed; `lines` are the last lines of the step that did, `kind` is whose fault it is."""

    def __init__(self, failure: SolveFailure, *, hints: tuple[str, ...] = ()) -> None:
        super().__init__(failure.message, hints=hints)
        self.lines = failure.lines
        self.kind = failure.kind


class NodeLostError(SolveFailedError):
    """The node does not answer any more, so that nothing is known of what was to be built there."""

    def __init__(self, failure: SolveFailure) -> None:
        super().__init__(failure, hints=("when it answers again, the same command with `--resume` goes on",))


class PushFailedError(SolveFailedError):
    """The build was done, and the registry did not take it: the exit code is the registry's."""

    exit_code = RegistryError.exit_code


class Place(Model):
    """Where a solve or a test runs: on a node, whose builder has this name; `folder` is its own for its files."""

    node: Node
    builder: str
    folder: Path


class SolveWork(Model):
    """A solve or test with its invocations and the backend that reads what they give.

    `heed` asks the registry that a push goes to, and returns when it answers.
    """

    step: SolveStep | TestStep
    request: LowerRequest
    invocations: tuple[Invocation, ...]
    chosen: ConfiguredBackend
    builders: Mapping[str, str]
    heed: Callable[[], Awaitable[None]]


class Tries:
    """How often a solve was tried again.

    Builds are as often as the image says, pushes as often as registries are asked by ourselves: what was built is in
    the builder's cache by then.
    """

    def __init__(self, retries: int) -> None:
        self._left = {False: retries, True: _PUSHES}
        self.count = 0

    def wait_after(self, failure: SolveFailure) -> float | None:
        """How many seconds to wait after a failure, which counts as a try; None where it is not tried again."""
        pushing = failure.by_registry
        if failure.kind is FailureKind.USER or not self._left[pushing]:
            return None
        self._left[pushing] -= 1
        self.count += 1
        return min(_LONGEST_WAIT, _FIRST_WAIT * 2.0 ** (self.count - 1))


def failed_solve(failure: SolveFailure) -> SolveFailedError:
    """A failure as the error that ends its step."""
    return PushFailedError(failure) if failure.by_registry else SolveFailedError(failure)


def silence(backend: str) -> SolveFailure:
    """What a backend that says nothing comes to."""
    message = f"backend `{backend}` does not say what became of the solve"
    return SolveFailure(kind=FailureKind.USER, message=message)


async def run_solve(work: SolveWork, *, invoker: Invoker, folder: Path, emit: Emit, watch: Watch) -> StepResult:
    """Run one solve or test, again where it failed in a way that passes (`Tries`).

    Raises:
        SolveFailedError: it failed, and not (or not any more) in a way that passes.
        NodeLostError: the node does not answer any more.
    """
    step = work.step
    tries = Tries(step.solve.retries)
    while True:
        started = time.monotonic()
        result = await _attempt(work, invoker=invoker, folder=folder / str(tries.count), watch=watch)
        if isinstance(result, SolveResult):
            return StepResult(digest=result.digest, path=result.path, seconds=time.monotonic() - started)
        if result.kind is not FailureKind.USER and not result.by_registry:
            await check_node(work.chosen.name, work.request.node, watch)
        wait = tries.wait_after(result)
        if wait is None:
            raise failed_solve(result)
        emit(Retried(step=step.id, attempt=tries.count, message=result.message, time=time.time(), wait=wait))
        await asyncio.sleep(wait)
        if result.by_registry:
            await work.heed()


async def check_node(backend: str, node: Node, watch: Watch) -> None:
    """Nothing is begun, or tried again, on a node that is gone.

    Raises:
        NodeLostError: it does not answer.
    """
    lost = await watch.look(backend, node)
    if lost is not None:
        raise NodeLostError(lost)


async def _attempt(work: SolveWork, *, invoker: Invoker, folder: Path, watch: Watch) -> SolveResult | SolveFailure:
    """Run its invocations, the rest only after those that succeed.

    Raises:
        NodeLostError: the node does not answer any more.
    """
    step, backend, node = work.step, work.chosen.backend, work.request.node
    outcomes: list[Outcome] = []
    for number, invocation in enumerate(work.invocations):
        start = partial(invoker.run, invocation, folder=folder / str(number), builders=work.builders)
        outcome = await watch.run(start, backend.reader(invocation), backend=work.chosen.name, node=node)
        if isinstance(outcome, SolveFailure):
            raise NodeLostError(outcome)
        outcomes.append(outcome)
        if not outcome.succeeded:
            break
    result = backend.results(work.request, tuple(outcomes)).get(step.id)
    if isinstance(result, SolveResult) and (result.digest or isinstance(step.solve.output, NoOutput)):
        return result
    return result if isinstance(result, SolveFailure) else silence(work.chosen.name)


def failed_test(step: TestStep, error: SolveFailedError) -> TestFailedError:
    """What a test that did not pass comes to: its command, how that ended, and its last lines."""
    ended = _EXIT.search(error.message)
    command = shlex.join(masked_argv(step.command))
    message = f"`{command}` failed in `{step.image}@{step.platform}`: {ended[1] if ended else error.message}"
    return TestFailedError(message, lines=error.lines)
