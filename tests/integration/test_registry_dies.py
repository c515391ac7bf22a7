"""A registry that dies while a run promotes: what stands is told exactly, and the next command finishes it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import suppress
from urllib.request import urlopen

import pytest

from tests.integration.conftest import MakeWorkspace
from tests.integration.gatekeeper import PUBLIC_TAG, Gatekeeper, Verdict, once_public_tag
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


def await_silence(registry: Registry) -> None:
    """Wait until a registry that was stopped answers nothing any more: its threads are not stopped all at once."""
    with suppress(OSError):
        while urlopen(f"http://{registry.host}/v2/", timeout=1).status:
            pass


def killing(registry: Registry) -> Verdict:
    """Kill the registry, in the place of an answer."""
    registry.kill()
    return Verdict.RESET


def test_no_tag_moves_when_the_registry_dies_before_the_first(
    workspace: Workspace, gatekeeper: Gatekeeper, registry: Registry, registries: Registries
) -> None:
    """Killed after the builds and before the tags: exit 5, no tag exists, and the same command again mends it."""
    gatekeeper.judge = once_public_tag(lambda: killing(registry))
    failed = workspace.run("build", "--push")
    registry.restart()
    gatekeeper.judge = lambda _: Verdict.HAND_ON

    assert 5 == failed.exit_code, failed.output
    assert {"parent": [], "child": []} == standing(workspace, registries)
    assert {"parent": "verified", "child": "verified"} == workspace.states()
    assert "failed: promote:parent: `PUT " in failed.stderr
    assert "whether these tags were put is not known:" in failed.stderr
    assert "error: step `promote:parent` failed\nhint: " in failed.stderr

    workspace.succeed("build", "--push")

    assert {"parent": ALL, "child": ALL} == standing(workspace, registries)
    assert workspace.digest("child") == registries.digest(f"{workspace.registry}/child:latest")


def test_a_promotion_that_was_cut_off_is_told_and_finished(
    workspace: Workspace, gatekeeper: Gatekeeper, registry: Registry, registries: Registries
) -> None:
    """Killed between two tags: the one that stands is told, and `promote` puts the others on what was verified."""
    gatekeeper.judge = once_public_tag(lambda: killing(registry), number=2)
    failed = workspace.run("build", "--push")
    registry.restart()
    gatekeeper.judge = lambda _: Verdict.HAND_ON
    first, built = f"{workspace.registry}/parent:1.2.3", workspace.image("parent")

    assert 5 == failed.exit_code
    assert {"parent": ["1.2.3"], "child": []} == standing(workspace, registries)
    assert [first] == [tag.ref for image in workspace.result().images for tag in image.tags if tag.put]
    assert f"these tags were put:\n  {first}\n" in failed.stderr
    assert "hint: `orchestrate promote` puts the tags that are missing" in failed.stderr

    promoted = workspace.succeed("promote")

    assert {"parent": ALL, "child": ALL} == standing(workspace, registries)
    assert [built.digest] * 2 == [registries.digest(ref) for ref in (first, f"{workspace.registry}/parent:latest")]
    assert f"tag {first}  stands" in promoted.stderr
    assert "solve:" not in promoted.stderr
    assert (built.digest, built.platforms) == (workspace.digest("parent"), workspace.image("parent").platforms)


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
    gatekeeper.judge = lambda _: Verdict.HAND_ON

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
    gatekeeper.judge = once_public_tag(lambda: next(verdicts, Verdict.HAND_ON))

    workspace.succeed("build", "--push")

    assert {"parent": ALL, "child": ALL} == standing(workspace, registries)


def test_tags_are_put_parents_first_and_moving_ones_last(workspace: Workspace, gatekeeper: Gatekeeper) -> None:
    """As the registry sees it: all fixed tags, then all moving ones, and a parent's always before its child's."""
    workspace.succeed("build", "--push")
    put = [request.split("/")[-3:] for request in gatekeeper.requests if PUBLIC_TAG.fullmatch(request)]

    assert [
        ("parent", "1.2.3"),
        ("parent", "1.2.3-again"),
        ("child", "1.2.3"),
        ("child", "1.2.3-again"),
        ("parent", "latest"),
        ("child", "latest"),
    ] == [(image, tag) for image, _, tag in put]


def test_a_registry_that_is_down_stops_before_anything_is_built(workspace: Workspace, registry: Registry) -> None:
    """`build --push` asks the registry for its tags first: exit 5, and no child was started."""
    registry.kill()
    failed = workspace.run("build", "--push")

    assert 5 == failed.exit_code
    assert "a registry does not answer" in failed.stderr
    assert "solve:" not in failed.stderr


def test_a_registry_that_dies_while_builds_push_fails_the_build(
    workspace: Workspace, gatekeeper: Gatekeeper, registries: Registries
) -> None:
    """No manifest of a build gets through: the step is named, its child is skipped, no tag exists."""
    gatekeeper.judge = lambda request: (
        Verdict.RESET if request.startswith("PUT ") and "/manifests/" in request else Verdict.HAND_ON
    )
    failed = workspace.run("build", "--push", "--set=*.retries=0")

    assert 5 == failed.exit_code
    assert "hint: check the registry with `orchestrate doctor`" in failed.stderr
    assert "failed: solve:parent" in failed.stderr
    assert {"parent": "failed", "child": "skipped"} == workspace.states()
    assert {"parent": [], "child": []} == standing(workspace, registries)


@pytest.mark.parametrize("times", [1, 9])
def test_ctrl_c_while_tags_are_put_tells_which_stand(
    times: int, workspace: Workspace, gatekeeper: Gatekeeper, registries: Registries
) -> None:
    """However often: exit 130, the tags that are reported are those that stand, and `promote` puts the others."""
    process = workspace.start("build", "--push")
    left = [signal.SIGINT] * times

    def interrupt() -> Verdict:
        for number in left[:1]:
            process.send_signal(number)
        del left[:1]
        return Verdict.HAND_ON

    gatekeeper.judge = once_public_tag(interrupt)
    _, stderr = process.communicate(timeout=60)
    gatekeeper.judge = lambda _: Verdict.HAND_ON
    reported = {
        image.name: sorted(tag.ref.rpartition(":")[2] for tag in image.tags if tag.put)
        for image in workspace.result().images
    }

    assert 130 == process.returncode, stderr
    assert reported == standing(workspace, registries)
    assert "`orchestrate promote` puts the tags that are missing" in stderr
    workspace.succeed("promote")
    assert {"parent": ALL, "child": ALL} == standing(workspace, registries)


def test_ctrl_c_ends_a_run_that_waits_for_a_registry(
    workspace: Workspace, gatekeeper: Gatekeeper, registry: Registry
) -> None:
    """A registry that takes connections and answers nothing does not keep somebody who wants to stop."""
    process = workspace.start("build", "--push")

    def hang() -> Verdict:
        registry.pause()
        await_silence(registry)
        process.send_signal(signal.SIGINT)
        return Verdict.HAND_ON

    gatekeeper.judge = once_public_tag(hang)
    try:
        _, stderr = process.communicate(timeout=40)
    finally:
        process.kill()
        registry.resume()

    assert 130 == process.returncode, stderr
    assert f"whether `{workspace.registry}/parent:1.2.3` stands is not known" in stderr
