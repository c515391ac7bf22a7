"""The outline says what the plan says."""

from __future__ import annotations

from pathlib import Path

from orchestrator.plan.outline import outline_images, outline_steps
from tests.unit.engine.fakes import PythonBackend, Run
from tests.unit.plan.samples import HEAD

TEXT = HEAD + '[images.base]\n[images.app]\ntest = { run = ["true"] }\n'


def test_every_step_is_in_it_with_its_kind(tmp_path: Path) -> None:
    """Under the word that ids begin with, but for the two kinds of tags."""
    plan = Run(tmp_path, PythonBackend({})).plan(TEXT, {"app": "FROM base\n"})
    outlined = outline_steps(plan.steps, {"solve:base": 2.5})
    assert [(step.id, step.needs) for step in plan.steps] == [(step.id, step.needs) for step in outlined]
    assert {"solve", "record", "test", "assemble", "verify", "export"} == {step.kind for step in outlined}
    solve = next(step for step in outlined if step.id == "solve:base")
    assert (2.5, "base", ("linux/amd64", "linux/arm64"), 1) == (
        solve.seconds, solve.image, solve.platforms, len(solve.nodes)
    )  # fmt: skip


def test_every_image_is_in_it_with_its_reasons(tmp_path: Path) -> None:
    """And its tags."""
    plan = Run(tmp_path, PythonBackend({})).plan(TEXT, {"app": "FROM base\n"})
    base, app = outline_images(plan)
    assert ("base", "build", ("r.example/acme/base:1.0", "r.example/acme/base:latest")) == (
        base.name,
        base.action,
        base.tags,
    )
    assert [build.platform for build in app.builds] == ["linux/amd64", "linux/arm64"]
    assert all(build.reasons for build in app.builds)
