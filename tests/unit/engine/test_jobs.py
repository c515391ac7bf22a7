"""Steps as jobs of the schedule, and what tags wait for where others may fail."""

from __future__ import annotations

import pytest

from orchestrator.engine.jobs import Publish, make_jobs, most_at_once
from orchestrator.plan.model import PromoteStep
from orchestrator.plan.schedule import Job, Seat
from tests.unit.plan.samples import HEAD, compile_text

PROJECT = (
    HEAD
    + """
[images.base]
[images.app]
tags = ["1.0", { ref = "latest", moving = true }, "other.example/acme/app:1.0",
        "more.example/acme/app:1.0", "third.example/acme/app:1.0"]
"""
)


def test_tags_of_whole_images_wait_for_what_is_theirs() -> None:
    """In the order of the plan: the image is verified and copied, and fixed tags stand before others move."""
    steps = compile_text(PROJECT).steps
    jobs = {job.id: job.needs for job in make_jobs(steps, (), {}, Publish.FINISHED)}
    own = {step.id: jobs[step.id][len(step.needs) :] for step in steps if isinstance(step, PromoteStep)}
    copies = tuple(f"copy:app:{host}.example/acme/app" for host in ("other", "more", "third"))
    assert {
        "promote:base": ("verify:base",),
        "promote:app": ("verify:app", *copies),
        "promote-moving:base": ("verify:base", "promote:base"),
        "promote-moving:app": ("verify:app", *copies, "promote:app"),
    } == own


@pytest.mark.parametrize(("limit", "expected"), [(1, 1), (4, 4), (16, 5)])
def test_no_more_run_at_a_time_than_is_allowed_and_nodes_take(limit: int, expected: int) -> None:
    """Nodes on which nothing of the plan may run do not count."""
    one, other, unused = ("native", "one"), ("native", "other"), ("native", "unused")
    jobs = (Job("solve:a", seats=(one,)), Job("solve:b", seats=(one, other)), Job("gate:release"))
    seats = {one: Seat(slots=3), other: Seat(slots=2), unused: Seat(slots=8)}
    assert expected == most_at_once(jobs, seats, limit=limit)


def test_a_run_without_builds_does_one_thing_at_a_time() -> None:
    """As far as anybody counts."""
    assert 1 == most_at_once((Job("gate:release"),), {}, limit=8)
