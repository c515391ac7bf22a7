"""A release that was cut off between its tags is undone: what had moved points where it did before."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping

import pytest

from tests.integration.conftest import MakeWorkspace, end_processes
from tests.integration.gatekeeper import Gatekeeper, Verdict, once_public_tag
from tests.integration.registries import Registries
from tests.integration.workspace import MARK, Workspace
from tests.lab import Lab

pytestmark = pytest.mark.integration

FILES: Mapping[str, str] = {
    "builds.toml": """\
format = 1
[project]
name = "undone"
[version]
from = "git-tag"
match = "v*"
[defaults]
platforms = ["linux/amd64"]
tags = ["{{ version }}", { ref = "latest", moving = true }]
[images.parent]
[images.child]
""",
    "parent/Dockerfile": "FROM %BASE%\nCOPY file /file\n",
    "parent/file": "one",
    "child/Dockerfile": "FROM parent\nRUN echo child > /child\n",
    ".gitignore": ".orchestrate\n",
}
LAST_TAG = 4
"""Of the second release: `parent:2.0.0`, `child:2.0.0`, `parent:latest`, and then `child:latest`."""


@pytest.fixture
def gatekeeper(lab: Lab) -> Iterator[Gatekeeper]:
    """In front of the registry."""
    with Gatekeeper(lab.registry.host) as keeper:
        yield keeper


@pytest.fixture
def released(make_workspace: MakeWorkspace, gatekeeper: Gatekeeper) -> Workspace:
    """A repository that was released as 1.2.3, and is changed and tagged for 2.0.0."""
    workspace = make_workspace(FILES, host=gatekeeper.host)
    workspace.succeed("build", "--push")
    workspace.write({"parent/file": "two"})
    workspace.commit("v2.0.0")
    return workspace


def digests(workspace: Workspace, registries: Registries) -> dict[str, str]:
    """What each public tag points at."""
    return {
        f"{name}:{tag}": registries.digest(f"{workspace.registry}/{name}:{tag}")
        for name in ("parent", "child")
        for tag in registries.public(f"{workspace.registry}/{name}")
    }


def test_what_had_moved_is_put_back_and_what_is_new_is_listed(
    released: Workspace, gatekeeper: Gatekeeper, registries: Registries
) -> None:
    """This registry removes no tags, and the exit code says that something stays; then a release goes through again."""
    before = digests(released, registries)
    gatekeeper.judge = once_public_tag(lambda: Verdict.RESET, number=LAST_TAG)
    failed = released.run("build", "--push")
    gatekeeper.judge = lambda _: Verdict.HAND_ON
    moved = digests(released, registries)
    assert 5 == failed.exit_code
    assert moved["parent:latest"] == moved["parent:2.0.0"] != before["parent:latest"]
    assert "`orchestrate build --rollback` undoes" in failed.stderr

    undone = released.run("build", "--rollback")

    after = digests(released, registries)
    assert before == {tag: digest for tag, digest in after.items() if not tag.endswith("2.0.0")}
    assert 5 == undone.exit_code
    assert [
        f"{released.registry}/child:latest  had not moved",
        f"{released.registry}/parent:latest  points at {before['parent:latest']} again",
        *(
            f"{released.registry}/{name}:2.0.0  is new, and this registry removes no tags: it stays at "
            + after[f"{name}:2.0.0"]
            for name in ("child", "parent")
        ),
    ] == undone.stdout.splitlines()
    assert "nothing to undo" in released.succeed("build", "--rollback").stderr

    released.succeed("build", "--push")
    final = digests(released, registries)
    assert final["parent:latest"] == final["parent:2.0.0"]
    assert "nothing to undo" in released.succeed("build", "--rollback").stderr


def test_a_run_that_was_killed_between_two_tags_is_undone(
    released: Workspace, gatekeeper: Gatekeeper, registries: Registries
) -> None:
    """Also the tag of which it could not say any more that it had moved; a stranger's is left alone."""
    before = digests(released, registries)
    with released.start("build", "--push") as process:

        def kill() -> Verdict:
            os.kill(process.pid, signal.SIGKILL)
            gatekeeper.judge = lambda _: Verdict.HAND_ON
            return Verdict.SWALLOW

        gatekeeper.judge = once_public_tag(kill, number=LAST_TAG)
        process.communicate()
    end_processes(released.environ[MARK])
    assert before["child:latest"] != digests(released, registries)["child:latest"]
    registries.move(f"{released.registry}/child:1.2.3", f"{released.registry}/parent:latest")

    undone = released.run("build", "--rollback")

    assert f"{released.registry}/parent:latest  was moved by somebody else, and is left alone\n" in undone.stdout
    assert before["child:latest"] == digests(released, registries)["child:latest"]


def test_a_resumed_run_that_is_cut_off_too_is_undone_to_the_first_beginning(
    released: Workspace, gatekeeper: Gatekeeper, registries: Registries
) -> None:
    """What tags pointed at before the first of the two is what counts."""
    before = digests(released, registries)
    for number in (LAST_TAG, 1):
        gatekeeper.judge = once_public_tag(lambda: Verdict.RESET, number=number)
        assert 5 == released.run("build", "--push", "--resume").exit_code
        gatekeeper.judge = lambda _: Verdict.HAND_ON
    released.run("build", "--rollback")
    after = digests(released, registries)
    assert before == {tag: digest for tag, digest in after.items() if not tag.endswith("2.0.0")}


def test_a_journal_that_git_tracks_is_not_believed(released: Workspace) -> None:
    """Whoever may write to the repository could have written it."""
    released.git("add", "--force", ".orchestrate/journal.jsonl")
    refused = released.run("build", "--rollback")
    assert 2 == refused.exit_code
    assert "git tracks `.orchestrate/journal.jsonl`" in refused.stderr


def test_an_apply_that_was_cut_off_is_gone_on_with(
    released: Workspace, gatekeeper: Gatekeeper, registries: Registries
) -> None:
    """Without its plan file: what was kept of it is enough; where nothing was cut off a plan has to be named."""
    plan = released.folder / "release.plan.json"
    released.succeed("plan", "--push", f"--out={plan}")
    gatekeeper.judge = once_public_tag(lambda: Verdict.RESET, number=LAST_TAG)
    assert 5 == released.run("apply", str(plan)).exit_code
    gatekeeper.judge = lambda _: Verdict.HAND_ON
    plan.unlink()
    resumed = released.succeed("apply", "--resume")
    assert "solve:" not in resumed.stderr
    after = digests(released, registries)
    assert after["child:latest"] == after["child:2.0.0"]
    refused = released.run("apply", "--resume")
    assert (2, True) == (refused.exit_code, "nothing was cut off here" in refused.stderr)


def test_a_build_of_something_else_does_not_forget_the_release(
    released: Workspace, gatekeeper: Gatekeeper, registries: Registries
) -> None:
    """Neither its journal nor its plan: what was cut off can still be undone, or gone on with."""
    before = digests(released, registries)
    gatekeeper.judge = once_public_tag(lambda: Verdict.RESET, number=LAST_TAG)
    assert 5 == released.run("build", "--push").exit_code
    gatekeeper.judge = lambda _: Verdict.HAND_ON
    for arguments in (("build", "child"), ("build", "parent", "--stage", "-v")):
        assert "a release was left open here" in released.succeed(*arguments).stderr
    assert 5 == released.run("build", "--rollback").exit_code
    after = digests(released, registries)
    assert before == {tag: digest for tag, digest in after.items() if not tag.endswith("2.0.0")}


def test_what_is_undone_is_undone_as_a_whole(released: Workspace) -> None:
    """A name beside it would mean nothing."""
    refused = released.run("build", "parent", "--rollback")
    assert (2, True) == (refused.exit_code, "means nothing there" in refused.stderr)
