"""What became of one `docker buildx build`."""

from __future__ import annotations

from orchestrator.api.backend import FailureKind, SolveFailure, SolveResult
from orchestrator.api.invocation import Outcome
from orchestrator.api.solve import LayoutOutput, NoOutput, Solve
from orchestrator.buildkit.argv import METADATA
from orchestrator.buildkit.failure import describe_failure
from orchestrator.buildkit.metadata import parse_metadata


def read_result(solve: Solve, outcome: Outcome) -> SolveResult | SolveFailure:
    """The digest from the metadata file; the exit code decides whether there is one."""
    if not outcome.succeeded:
        return describe_failure(outcome)
    if isinstance(solve.output, NoOutput):
        return SolveResult()
    content = outcome.file(METADATA)
    if content is None:
        return SolveFailure(kind=FailureKind.INFRASTRUCTURE, message="buildx ended with 0 and wrote no metadata file")
    try:
        digest = parse_metadata(content)
    except ValueError as error:
        return SolveFailure(kind=FailureKind.INFRASTRUCTURE, message=str(error))
    path = dict(outcome.paths).get(solve.output.name, "") if isinstance(solve.output, LayoutOutput) else ""
    return SolveResult(digest=digest, path=path)
