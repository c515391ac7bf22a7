"""Steps as jobs of the schedule, and what tags wait for where others may fail."""

from __future__ import annotations

from orchestrator.engine.jobs import Publish, make_jobs
from orchestrator.plan.model import PromoteStep
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
