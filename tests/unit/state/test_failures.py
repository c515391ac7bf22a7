"""What a result says of a failure: where, what was printed last, the command that runs it alone, and its log."""

from __future__ import annotations

import pytest

from orchestrator.api.events import FailedAt, StepFinished, StepState
from orchestrator.plan.model import Plan
from orchestrator.state.summary import StepFailure, parse_result, render_result, summarise_run, tell_more
from tests.unit.plan.samples import HEAD, compile_text

AT = FailedAt(step="solve:api", file="Dockerfile", line=3, excerpt=("   3 | >>> RUN exit 7",))
INLINE = 'dockerfile-inline = "FROM scratch"\n'


def plan_of(more: str = "") -> Plan:
    """The plan of one image."""
    return compile_text(HEAD + "[images.api]\n" + more)


def failure(plan: Plan, *places: FailedAt) -> StepFailure:
    """The one failure of a run."""
    ended = StepFinished(step="solve:api", state=StepState.FAILED, time=1.0, seconds=1.0, message="exit 7\nlast\nline")
    result = summarise_run(plan, [*places, ended], now="x")
    more = tell_more(result, commands={"solve:api": "orchestrate build api -v"}, logs={"solve:api": "x.log"})
    assert more == parse_result(render_result(more))
    (found,) = more.failures
    return found


def test_it_is_told_whole() -> None:
    """And read back from `result.json`."""
    assert StepFailure(
        step="solve:api", image="api", message="exit 7", lines=("last", "line"), hints=(), place="api/Dockerfile:3",
        excerpt=AT.excerpt, command="orchestrate build api -v", log="x.log",
    ) == failure(plan_of(), AT)  # fmt: skip


def test_the_last_attempt_counts() -> None:
    """What failed before was another thing."""
    other = FailedAt(step="solve:api", file="Dockerfile", line=1)
    assert "api/Dockerfile:3" == failure(plan_of(), other, AT).place


@pytest.mark.parametrize(("more", "file"), [(INLINE, "Dockerfile"), ("", "other.Dockerfile")])
def test_a_file_that_is_not_the_dockerfile_keeps_its_name(more: str, file: str) -> None:
    """A Dockerfile that stands in `builds.toml`, or a source of another frontend."""
    at = FailedAt(step="solve:api", file=file, line=3)
    assert f"{file}:3" == failure(plan_of(more), at).place


def test_without_a_place_there_is_none() -> None:
    """As where a registry failed."""
    assert (None, ()) == (failure(plan_of()).place, failure(plan_of()).excerpt)
