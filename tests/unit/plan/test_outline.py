"""The outline says what the plan says."""

from __future__ import annotations

from pathlib import Path

import msgspec

from orchestrator.oci.digest import digest_bytes
from orchestrator.plan.memory import RememberedPart
from orchestrator.plan.model import Plan, PromoteStep, VerifyStep
from orchestrator.plan.outline import outline_images, outline_steps
from orchestrator.plan.part import remaining
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
    """And its tags, and the images that it needs."""
    plan = Run(tmp_path, PythonBackend({})).plan(TEXT, {"app": "FROM base\n"})
    base, app = outline_images(plan)
    assert ("base", "build", ("r.example/acme/base:1.0", "r.example/acme/base:latest")) == (
        base.name,
        base.action,
        base.tags,
    )
    assert ((), ("base",)) == (base.needs, app.needs)
    assert [build.platform for build in app.builds] == ["linux/amd64", "linux/arm64"]
    assert all(build.reasons for build in app.builds)


def test_what_a_run_takes_over_is_reused(tmp_path: Path) -> None:
    """What is left of a plan says of what stands by now that it stands, with its digest, and of the rest why."""
    plan = Run(tmp_path, PythonBackend({})).plan(TEXT, {"app": "FROM base\n"})
    manifest = digest_bytes(b"m")
    part = RememberedPart(record=digest_bytes(b"r"), manifest=manifest, key="k")
    base, app = outline_images(remaining(plan, {"base@linux/amd64": part}))
    assert [("reuse", (), manifest), ("build", 1, None)] == [
        (base.builds[0].action, base.builds[0].reasons, base.builds[0].digest),
        (base.builds[1].action, len(base.builds[1].reasons), base.builds[1].digest),
    ]
    assert ["build", "build"] == [build.action for build in app.builds]


def test_the_last_part_of_a_staged_run_reuses_all(tmp_path: Path) -> None:
    """It has nothing but verifications and tags."""
    plan = Run(tmp_path, PythonBackend({})).plan(TEXT, {"app": "FROM base\n"})
    steps = tuple(step for step in plan.steps if isinstance(step, VerifyStep | PromoteStep))
    promoted: Plan = msgspec.structs.replace(plan, steps=steps)
    assert {"reuse"} == {build.action for image in outline_images(promoted) for build in image.builds}


def test_tags_that_stand_are_told(tmp_path: Path) -> None:
    """One that points at the index is not put again, and nothing else says so; another one is missing."""
    plan = Run(tmp_path, PythonBackend({})).plan(TEXT)
    index = digest_bytes(b"index")
    first = plan.images[0]
    tags = (msgspec.structs.replace(first.tags[0], current=index), *first.tags[1:])
    images = (msgspec.structs.replace(first, digest=index, tags=tags), *plan.images[1:])
    base, app = outline_images(msgspec.structs.replace(plan, images=images))
    assert (("r.example/acme/base:1.0",), ()) == (base.standing, app.standing)
