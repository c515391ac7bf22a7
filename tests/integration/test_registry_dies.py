"""A registry that dies while a run promotes: what stands is told exactly, and the next command finishes it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.conftest import MakeWorkspace
from tests.integration.gatekeeper import Gatekeeper, Verdict, once_public_tag
from tests.integration.registries import Registries
from tests.integration.workspace import Workspace
from tests.lab import Lab, Registry

pytestmark = pytest.mark.integration

FILES = {
    "builds.toml": """\
format = 1
[project]
name = "fragile"
[version]
from = "git-tag"
match = "v*"
[defaults]
platforms = ["linux/amd64"]
tags = ["{{ version }}", "{{ version }}-again", { ref = "latest", moving = true }]
[images.parent]
[images.child]
""",
    "parent/Dockerfile": "FROM %BASE%\nRUN echo parent > /parent\n",
    "child/Dockerfile": "FROM parent\nRUN echo child > /child\n",
}
ALL = ["1.2.3", "1.2.3-again", "latest"]


@pytest.fixture(scope="module")
def registry(lab: Lab) -> Iterator[Registry]:
    """A registry that may be killed."""
    started = lab.new_registry()
    yield started
    started.close()


@pytest.fixture
def gatekeeper(registry: Registry) -> Iterator[Gatekeeper]:
    """In front of the registry, which runs again afterwards."""
    with Gatekeeper(registry.host) as keeper:
        yield keeper
    registry.restart()


@pytest.fixture
def workspace(make_workspace: MakeWorkspace, gatekeeper: Gatekeeper) -> Workspace:
    """A parent and a child, three tags each, published through the gatekeeper."""
    return make_workspace(FILES, host=gatekeeper.host)


def standing(workspace: Workspace, registries: Registries) -> dict[str, list[str]]:
    """The public tags of both images."""
    return {name: registries.public(f"{workspace.registry}/{name}") for name in ("parent", "child")}


def killing(registry: Registry) -> Verdict:
    """Kill the registry, in the place of an answer."""
    registry.kill()
    return Verdict.RESET


def test_no_tag_moves_when_the_registry_dies_before_the_first(
    workspace: Workspace, gatekeeper: Gatekeeper, registry: Registry, registries: Registries
) -> None:
    """Killed after the builds and before the tags: exit 5, the step and what to do are said, and no tag exists."""
    gatekeeper.judge = once_public_tag(lambda: killing(registry))
    failed = workspace.run("build", "--push")
    registry.restart()
    gatekeeper.judge = lambda _: Verdict.PASS

    assert 5 == failed.exit_code, failed.output
    assert {"parent": [], "child": []} == standing(workspace, registries)
    assert "failed: promote:parent" in failed.stderr
    assert "no tag was put" in failed.stderr
    assert "error: step `promote:parent` failed" in failed.stderr
    assert "hint: " in failed.stderr.splitlines()[-1]
    assert {"parent": "verified", "child": "verified"} == workspace.states()


def test_the_same_command_again_succeeds(
    workspace: Workspace, gatekeeper: Gatekeeper, registry: Registry, registries: Registries
) -> None:
    """Where no tag was put, the command that failed is the command that mends it."""
    gatekeeper.judge = once_public_tag(lambda: killing(registry))
    assert 5 == workspace.run("build", "--push").exit_code
    registry.restart()
    gatekeeper.judge = lambda _: Verdict.PASS

    workspace.succeed("build", "--push")

    assert {"parent": ALL, "child": ALL} == standing(workspace, registries)
    assert workspace.digest("child") == registries.digest(f"{workspace.registry}/child:latest")


def test_what_stands_is_told_when_the_registry_dies_between_two_tags(
    workspace: Workspace, gatekeeper: Gatekeeper, registry: Registry, registries: Registries
) -> None:
    """The first tag stands and is the only one that is reported; its child was never tagged, nor anything moved."""
    gatekeeper.judge = once_public_tag(lambda: killing(registry), number=2)
    failed = workspace.run("build", "--push")
    registry.restart()
    gatekeeper.judge = lambda _: Verdict.PASS
    put = [tag.ref for image in workspace.result().images for tag in image.tags if tag.put]

    assert 5 == failed.exit_code
    assert {"parent": ["1.2.3"], "child": []} == standing(workspace, registries)
    assert [f"{workspace.registry}/parent:1.2.3"] == put
    assert f"these tags were put before it failed: {workspace.registry}/parent:1.2.3\n" in failed.stderr
    assert "`orchestrate promote`" in failed.stderr


def test_promote_finishes_what_was_cut_off(
    workspace: Workspace, gatekeeper: Gatekeeper, registry: Registry, registries: Registries
) -> None:
    """After a promotion that stopped half way `promote` puts the rest, on the same digests, and builds nothing."""
    gatekeeper.judge = once_public_tag(lambda: killing(registry), number=2)
    assert 5 == workspace.run("build", "--push").exit_code
    registry.restart()
    gatekeeper.judge = lambda _: Verdict.PASS
    digest = workspace.digest("parent")

    promoted = workspace.succeed("promote")

    assert {"parent": ALL, "child": ALL} == standing(workspace, registries)
    assert digest == registries.digest(f"{workspace.registry}/parent:1.2.3")
    assert digest == registries.digest(f"{workspace.registry}/parent:latest")
    assert "solve:" not in promoted.stderr


def test_a_tag_whose_answer_got_lost_is_told(
    workspace: Workspace, gatekeeper: Gatekeeper, registry: Registry, registries: Registries
) -> None:
    """The registry puts the tag and dies before it says so: nobody can know, and the message says exactly that."""
    verdicts = iter([Verdict.SWALLOW])

    def then() -> Verdict:
        verdict = next(verdicts, None)
        return verdict or killing(registry)

    gatekeeper.judge = once_public_tag(then)
    failed = workspace.run("build", "--push")
    registry.restart()
    gatekeeper.judge = lambda _: Verdict.PASS

    assert 5 == failed.exit_code
    assert {"parent": ["1.2.3"], "child": []} == standing(workspace, registries)
    assert f"whether `{workspace.registry}/parent:1.2.3` stands is not known" in failed.stderr

    workspace.succeed("promote")
    assert {"parent": ALL, "child": ALL} == standing(workspace, registries)


def test_a_lost_answer_alone_is_no_failure(
    workspace: Workspace, gatekeeper: Gatekeeper, registries: Registries
) -> None:
    """A connection that breaks once is tried again; the run ends well and every tag stands."""
    verdicts = iter([Verdict.SWALLOW])
    gatekeeper.judge = once_public_tag(lambda: next(verdicts, Verdict.PASS))

    workspace.succeed("build", "--push")

    assert {"parent": ALL, "child": ALL} == standing(workspace, registries)


def test_a_registry_that_is_down_stops_before_anything_is_built(workspace: Workspace, registry: Registry) -> None:
    """`build --push` asks the registry for its tags first: exit 5, and no child was started."""
    registry.kill()
    failed = workspace.run("build", "--push")

    assert 5 == failed.exit_code
    assert "a registry does not answer" in failed.stderr
    assert "solve:" not in failed.stderr


def test_a_registry_that_dies_while_builds_push_fails_the_build(
    workspace: Workspace, gatekeeper: Gatekeeper, registry: Registry, registries: Registries
) -> None:
    """No manifest of a build gets through: the step is named, its child is skipped, no tag exists."""

    def judge(request: str) -> Verdict:
        return Verdict.RESET if request.startswith("PUT ") and "/manifests/" in request else Verdict.PASS

    gatekeeper.judge = judge
    failed = workspace.run("build", "--push", "--set=*.retries=0")

    assert failed.exit_code in {4, 5}
    assert "failed: solve:parent" in failed.stderr
    assert {"parent": "failed", "child": "skipped"} == workspace.states()
    assert {"parent": [], "child": []} == standing(workspace, registries)
