"""A plan that was saved is done elsewhere, later and in parts, exactly; and not at all where something has changed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from orchestrator.plan.saved import parse_saved
from tests.integration.conftest import MakeWorkspace
from tests.integration.recorder import Recorder
from tests.integration.registries import Registries
from tests.integration.workspace import Ran, Workspace

pytestmark = pytest.mark.integration

PROJECT = """\
format = 1
[project]
name = "saved"
[version]
from = "git-tag"
match = "v*"
[defaults]
platforms = ["linux/amd64", "linux/arm64"]
tags = ["{{ version }}", { ref = "latest", moving = true }]
labels = { "revision" = { value = "{{ git.sha }}", volatile = true } }
[platforms."*"]
emulation = "allow"
[images.base]
[images.leaf]
"""
FILES: Mapping[str, str] = {
    "builds.toml": PROJECT,
    "base/Dockerfile": "FROM %BASE%\nCOPY seed /seed\nRUN cat /proc/sys/kernel/random/uuid > /random\n",
    "base/seed": "a",
    "leaf/Dockerfile": "FROM base\nCOPY app /app\nRUN cp /random /leaf\n",
    "leaf/app": "one",
    ".gitignore": ".orchestrate\n",
}
PLAN = "release.plan.json"


@pytest.fixture
def planned(make_workspace: MakeWorkspace) -> Workspace:
    """A repository with a saved plan of everything."""
    workspace = make_workspace(FILES)
    workspace.succeed("plan", "--push", f"--out={workspace.folder / PLAN}")
    return workspace


@pytest.fixture
def clone(planned: Workspace, make_workspace: MakeWorkspace) -> Workspace:
    """The same commit elsewhere, with the plan beside it, and without its tags."""
    workspace = make_workspace({})
    shutil.rmtree(workspace.root)
    planned.git("clone", "--quiet", "--no-tags", str(planned.root), str(workspace.root))
    workspace.environ["ORCHESTRATE_REGISTRY"] = planned.registry
    shutil.copy(planned.folder / PLAN, workspace.folder / PLAN)
    return workspace


def apply(workspace: Workspace, *arguments: str, **environ: str) -> Ran:
    """Apply the plan that is there."""
    return workspace.run("apply", str(workspace.folder / PLAN), *arguments, **environ)


def digest_of(workspace: Workspace) -> str:
    """The digest of the plan that is there."""
    digest: str = json.loads((workspace.folder / PLAN).read_bytes())["digest"]
    return digest


def test_a_second_clone_does_what_was_planned(planned: Workspace, clone: Workspace, registries: Registries) -> None:
    """With the version and the time of the plan, though the clone knows neither tag nor engine state."""
    ran = apply(clone)
    assert 0 == ran.exit_code, ran.output
    for name in ("base", "leaf"):
        assert registries.digest(f"{planned.registry}/{name}:1.2.3") == clone.digest(name)
        assert registries.digest(f"{planned.registry}/{name}:latest") == clone.digest(name)
    labels = registries.labels(f"{planned.registry}/leaf:1.2.3", "linux/amd64")
    assert planned.git("rev-parse", "HEAD") == labels["revision"]


def test_the_children_are_those_of_the_plan(clone: Workspace, tmp_path: Path) -> None:
    """Argv for argv, but for digests that the run itself gives."""
    _, saved = parse_saved((clone.folder / PLAN).read_bytes())
    recorder = Recorder(tmp_path, clone.environ)
    assert 0 == apply(clone, PATH=recorder.path(clone.environ)).exit_code
    planned_argvs = [argv for step in saved.plan.steps for argv in step.argv]
    assert len(planned_argvs) == len(recorder.builds())
    for call, argv in zip(recorder.builds(), planned_argvs, strict=True):
        fixed = [word for word in argv if "<" not in word]
        assert fixed == [word for word in call.argv if word in fixed]


def test_an_edited_file_of_a_context_stops_it(clone: Workspace, tmp_path: Path) -> None:
    """Exit 3, with the path; nothing was started."""
    clone.write({"leaf/app": "two"})
    recorder = Recorder(tmp_path, clone.environ)
    ran = apply(clone, PATH=recorder.path(clone.environ))
    assert 3 == ran.exit_code, ran.output
    assert "`leaf@linux/amd64`, `leaf@linux/arm64`: files changed: `app`" in ran.stderr
    assert [] == recorder.builds()


def test_a_tag_moved_by_hand_stops_it(planned: Workspace, clone: Workspace, registries: Registries) -> None:
    """Exit 3, with the tag; and not where that is allowed."""
    registries.move(base_of(planned), f"{planned.registry}/leaf:latest")
    ran = apply(clone)
    assert 3 == ran.exit_code, ran.output
    assert f"tag `{planned.registry}/leaf:latest` pointed at nothing when it was planned" in ran.stderr
    assert 0 == apply(clone, "--allow-moved-tags").exit_code
    assert registries.digest(f"{planned.registry}/leaf:latest") == clone.digest("leaf")


def base_of(workspace: Workspace) -> str:
    """The base image of the lab."""
    text = (workspace.root / "base/Dockerfile").read_text()
    return text.split()[1]


def test_an_edited_plan_stops_it(clone: Workspace) -> None:
    """By its checksum; and where the checksum was mended too, by the digest that was expected."""
    expected = digest_of(clone)
    path = clone.folder / PLAN
    text = path.read_text()
    path.write_text(text.replace('"1.2.3"', '"6.6.6"'))
    ran = apply(clone)
    assert 2 == ran.exit_code
    assert "damaged or was edited" in ran.stderr
    said = ran.stderr.split("its digest is ")[1].split(",")[0]
    path.write_text(path.read_text().replace(expected, said))
    ran = apply(clone, f"--expect={expected}")
    assert 3 == ran.exit_code
    assert f"this is plan {said}, expected {expected}" in ran.stderr


def test_an_argv_of_the_file_is_never_executed(clone: Workspace) -> None:
    """Whatever the plan says that a step starts, what the backend says now decides, and a difference stops it."""
    path = clone.folder / PLAN
    path.write_text(path.read_text().replace('"--progress=rawjson"', '"--builder=evil"', 1))
    said = apply(clone).stderr.split("its digest is ")[1].split(",")[0]
    path.write_text(path.read_text().replace(digest_of(clone), said))
    ran = apply(clone)
    assert 3 == ran.exit_code, ran.output
    assert "`solve:base`: argv would be" in ran.stderr


def test_what_builds_toml_says_otherwise_stops_it(clone: Workspace) -> None:
    """Tags, registries and contexts are what the file beside the plan allows."""
    clone.write({"builds.toml": (clone.root / "builds.toml").read_text().replace('"latest"', '"stable"')})
    ran = apply(clone)
    assert 3 == ran.exit_code, ran.output
    assert "`leaf`: tags would be" in ran.stderr


def test_another_registry_has_to_be_said_again(planned: Workspace, clone: Workspace) -> None:
    """A plan that brings a registry of its own is no grant, unless its digest vouches for it."""
    path = clone.folder / PLAN
    planned.succeed("plan", "--push", f"--registry={planned.registry}/other", f"--out={path}")
    ran = apply(clone)
    assert 3 == ran.exit_code, ran.output
    assert f"`--registry` is `{planned.registry}/other` in the plan, and `{planned.registry}` here" in ran.stderr
    assert 0 == apply(clone, f"--registry={planned.registry}/other").exit_code
    ran = apply(clone, f"--expect={digest_of(clone)}")
    assert 0 == ran.exit_code, ran.output


def test_a_plan_is_done_in_parts(planned: Workspace, clone: Workspace, registries: Registries) -> None:
    """One machine a platform, each from its own clone; a third one gathers what they built."""
    first = planned
    results = clone.folder / "results"
    results.mkdir()
    ran = apply(clone, "--only=leaf@linux/arm64")
    assert 3 == ran.exit_code, ran.output
    assert "`base@linux/arm64` is not built yet" in ran.stderr
    ran = apply(first, "--only=linux/amd64", f"--result={results / 'amd64.json'}")
    assert 0 == ran.exit_code, ran.output
    assert [] == [tag for name in ("base", "leaf") for tag in registries.public(f"{planned.registry}/{name}")]
    ran = apply(clone, "--finish", str(results))
    assert 3 == ran.exit_code, ran.output
    assert "`base@linux/arm64`, `leaf@linux/arm64` are not built yet" in ran.stderr
    ran = apply(clone, "--only=base@linux/arm64", f"--result={results / 'base.json'}")
    assert 0 == ran.exit_code, ran.output
    ran = apply(clone, "--only=leaf@linux/arm64", f"--result={results / 'leaf.json'}")
    assert 0 == ran.exit_code, ran.output
    ran = apply(clone, "--finish", str(results))
    assert 0 == ran.exit_code, ran.output
    image = f"{planned.registry}/leaf:1.2.3"
    assert {"linux/amd64", "linux/arm64"} == set(registries.index(image).images)
    for platform in ("linux/amd64", "linux/arm64"):
        base = registries.file(f"{planned.registry}/base:1.2.3", platform, "random")
        assert base == registries.file(image, platform, "leaf")


def test_a_part_waits_for_another_one(planned: Workspace, clone: Workspace) -> None:
    """`--wait` polls until what is missing stands."""
    with planned.start("apply", str(planned.folder / PLAN), "--only=leaf", "--wait=3m") as waiting:
        assert waiting.stderr is not None
        assert any("waiting for `base@linux/amd64`" in line for line in iter(waiting.stderr.readline, ""))
        ran = apply(clone, "--only=base")
        assert 0 == ran.exit_code, ran.output
        _, rest = waiting.communicate(timeout=180)
        assert 0 == waiting.returncode, rest


def test_an_interrupted_apply_goes_on(planned: Workspace, clone: Workspace, tmp_path: Path) -> None:
    """What one try has built is not built by the next one, and tags that it put are its own."""
    assert 0 == apply(planned).exit_code
    recorder = Recorder(tmp_path, clone.environ)
    ran = apply(clone, PATH=recorder.path(clone.environ))
    assert 0 == ran.exit_code, ran.output
    assert [] == recorder.builds()


def test_a_node_is_bound_to_a_builder(clone: Workspace) -> None:
    """By `--node`; a builder that is not there is named."""
    node = parse_saved((clone.folder / PLAN).read_bytes())[1].plan.builds[0].placement
    assert node is not None
    ran = apply(clone, f"--node={node.node}=no-such-builder")
    assert 3 == ran.exit_code, ran.output
    assert "`no-such-builder` does not answer" in ran.stderr
    assert 0 == apply(clone, f"--node={node.node}={node.node}").exit_code


def test_a_forced_plan_is_done_once(
    planned: Workspace, clone: Workspace, registries: Registries, tmp_path: Path
) -> None:
    """What stood when it was made is replaced; what it has put in its place is not built again by the next try."""
    assert 0 == apply(planned).exit_code
    before = registries.digest(f"{planned.registry}/base:1.2.3")
    planned.commit("v1.2.4")
    planned.succeed("plan", "--push", "--force", f"--out={clone.folder / PLAN}")
    planned.git("push", "--quiet", "--tags", str(clone.root))
    ran = apply(clone)
    assert 0 == ran.exit_code, ran.output
    forced = registries.digest(f"{planned.registry}/base:1.2.4")
    assert before != forced
    recorder = Recorder(tmp_path, clone.environ)
    ran = apply(clone, PATH=recorder.path(clone.environ))
    assert 0 == ran.exit_code, ran.output
    assert [] == recorder.builds()
    assert forced == registries.digest(f"{planned.registry}/base:1.2.4")
