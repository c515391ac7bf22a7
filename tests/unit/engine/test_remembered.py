"""What a run takes of what others have recorded meanwhile, and what its verification demands of its parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import msgspec
import pytest

from orchestrator.engine.results import StepResult
from orchestrator.oci.digest import Digest, digest_bytes
from orchestrator.oci.manifest import Manifest, parse_index
from orchestrator.oci.record import PARENTS, SCOPE, read_record, render_index
from orchestrator.plan import names, stepnames
from orchestrator.plan.model import Destination, Plan, RecordKey, RecordStep, VerifyStep
from orchestrator.testing.registry import FakeRegistry
from tests.contract.registry_sample import make_sample
from tests.unit.engine.fakes import Finished, PythonBackend, Run, push_image
from tests.unit.plan.samples import AMD64, ARM64, HEAD

TWO = HEAD + "[images.base]\n[images.app]\n"
PARENTS_OF = {"base": (), "app": ("base",)}
APP = stepnames.record_id("app", AMD64)
BASE = stepnames.record_id("base", AMD64)


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    """A registry of one's own."""
    with FakeRegistry() as running:
        yield running


def inputs_of(image: str, platform: object) -> Digest:
    """The input digest of a platform build."""
    return digest_bytes(f"{image}@{platform}".encode())


def keyed(plan: Plan, parents_of: Mapping[str, tuple[str, ...]] = PARENTS_OF) -> Plan:
    """The plan of images of which everything is known that they are made from."""

    def key(step: RecordStep) -> RecordKey:
        parents = tuple(stepnames.record_id(parent, step.platform) for parent in parents_of[step.image])
        inputs = inputs_of(step.image, step.platform)
        return RecordKey(scope="main", inputs=inputs, manifest="", listings=(), parents=parents)

    steps = tuple(
        msgspec.structs.replace(step, key=key(step), replaces=False) if isinstance(step, RecordStep)
        else msgspec.structs.replace(step, scope="main") if isinstance(step, VerifyStep)
        else step
        for step in plan.steps
    )  # fmt: skip
    return msgspec.structs.replace(plan, steps=steps)


def publish(
    registry: FakeRegistry, folder: Path, *, base: str = "base", remembered: Mapping[str, StepResult] | None = None
) -> Finished:
    """Run the plan; `base` tells one build of the base from another, `remembered` is what earlier steps gave."""
    it = Run(folder, PythonBackend({}))
    it.remembered = dict(remembered or {})
    for image, content in (("base", base), ("app", "app")):
        if not (folder / "pushed" / f"acme/{image}" / content).exists():
            (folder / f"{image}.pushed").write_text(push_image(registry, f"acme/{image}", content, folder).digest)
    plan = it.plan(TWO, {"app": "FROM base\n"}, destination=Destination.STAGE, registry=registry.host)
    return it.finish(keyed(plan))


def private_names(registry: FakeRegistry, image: str, kind: str) -> dict[str, str]:
    """The private names of one kind."""
    return {tag: digest for tag, digest in registry.tags(f"acme/{image}").items() if tag.startswith(kind)}


def name_of_app(registry: FakeRegistry) -> tuple[str, Manifest]:
    """The name of the record of the child for amd64, and the record."""
    for tag, digest in private_names(registry, "app", "in-").items():
        record = registry.manifests("acme/app")[digest]
        if read_record(record).part.platform == AMD64:
            return tag, record
    raise AssertionError


def test_what_another_run_has_recorded_is_not_solved_again(registry: FakeRegistry, tmp_path: Path) -> None:
    """The parent is, as nobody had looked for it; by then its record is known, and so is that of its child."""
    publish(registry, tmp_path)
    before = registry.tags("acme/app")
    finished = publish(registry, tmp_path)
    assert (0, "found", []) == (finished.exit_code, finished.states()["solve:app"], finished.argv("solve:app"))
    assert before == registry.tags("acme/app")


def test_a_child_of_another_build_of_its_parent_is_built(registry: FakeRegistry, tmp_path: Path) -> None:
    """Though it is made from the same, and so is the parent."""
    publish(registry, tmp_path)
    for tag in private_names(registry, "base", "in-"):
        registry.content.tags("acme/base").pop(tag)
    finished = publish(registry, tmp_path, base="base again")
    assert (0, "done") == (finished.exit_code, finished.states()["solve:app"])
    assert 4 == len(private_names(registry, "app", "in-"))


def rewritten(**annotations: str) -> Callable[[Manifest, Manifest], Manifest]:
    """A record that says something else of itself."""

    def forge(record: Manifest, other: Manifest) -> Manifest:
        del other
        index = parse_index(record.content)
        return render_index(index.manifests, {**index.annotations, **annotations})

    return forge


def with_input(record: Manifest, other: Manifest) -> Manifest:
    """A record that was made from something else."""
    del other
    text = record.content.replace(inputs_of("app", AMD64).encode(), digest_bytes(b"something else").encode())
    assert text != record.content
    return Manifest(media_type=record.media_type, content=text)


FORGERIES: Mapping[str, Callable[[Manifest, Manifest], Manifest]] = {
    "another scope": rewritten(**{SCOPE: "pr-1"}),
    "another parent": rewritten(**{PARENTS: digest_bytes(b"another parent")}),
    "no parent": rewritten(**{PARENTS: ""}),
    "another input": with_input,
    "another platform": lambda _, other: other,
    "an image": lambda _, __: make_sample().manifest,
    "rubbish": lambda record, _: Manifest(media_type=record.media_type, content=b'{"manifests": 7}'),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_record_is_not_taken_while_a_run_runs(registry: FakeRegistry, tmp_path: Path, forgery: str) -> None:
    """It is built, and the right record takes the name back."""
    publish(registry, tmp_path)
    tag, record = name_of_app(registry)
    (elsewhere,) = set(private_names(registry, "app", "in-").values()) - {record.digest}
    other = registry.manifests("acme/app")[elsewhere]
    assert ARM64 == read_record(other).part.platform
    registry.put_manifest("acme/app", tag, FORGERIES[forgery](record, other))
    finished = publish(registry, tmp_path)
    assert (0, "done") == (finished.exit_code, finished.states()["solve:app"])
    assert record.digest == registry.tags("acme/app")[tag]


def test_verification_refuses_a_part_on_another_parent(registry: FakeRegistry, tmp_path: Path) -> None:
    """The record of the parent was exchanged after its child was built: exit 6, and the index gets no name."""
    publish(registry, tmp_path)
    _, old = name_of_app(registry)
    bases = set(private_names(registry, "base", "in-").values())
    for tag in private_names(registry, "base", "in-"):
        registry.content.tags("acme/base").pop(tag)
    verified = private_names(registry, "app", "ok-")

    def remembered(base: Digest) -> dict[str, StepResult]:
        key = names.part_key(inputs_of("app", AMD64), (base,))
        return {APP: StepResult(digest=old.digest, manifest=read_record(old).part.manifest, key=key)}

    (own,) = read_record(old).parents
    assert own in bases
    for base in (digest_bytes(b"base of this run"), own):  # its own key is no excuse
        finished = publish(registry, tmp_path, base="base again", remembered=remembered(base))
        assert (6, "failed") == (finished.exit_code, finished.states()["verify:app"])
        assert f"`{APP}` stands on other parents than those of this plan" in finished.ended("verify:app").message
        assert verified == private_names(registry, "app", "ok-")

    image = read_record(registry.manifests("acme/base")[own]).part.manifest
    parent = StepResult(digest=own, manifest=image, key=names.part_key(inputs_of("base", AMD64), ()))
    finished = publish(registry, tmp_path, base="base again", remembered={**remembered(own), BASE: parent})
    assert (0, "done") == (finished.exit_code, finished.states()["verify:app"])
