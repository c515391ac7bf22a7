"""A release that is left open between its tags: what closes it, what keeps its ways open, and what is said of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from orchestrator.testing.registry import AnswerWith, Deletes, FakeRegistry
from tests.cli.conftest import Program
from tests.cli.fake_buildx import install
from tests.unit.plan.samples import EMULATED, HEAD, write_project

BODY = EMULATED + "[images.base]\nretries = 0\n[images.web]\nretries = 0\n"
FILES = {"base": "FROM scratch\n", "web": "FROM scratch\n"}
OPEN = "a release was left open here"
RESUME = "`orchestrate build --push --resume` goes on with it"


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    """A registry that removes no tags."""
    with FakeRegistry(deletes=Deletes.NOTHING) as running:
        yield running


@pytest.fixture
def project(
    program: Program, registry: FakeRegistry, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Program:
    """Two images that know nothing of each other, a registry, and a docker that builds them."""
    write_project(program.folder, (HEAD + BODY).replace("r.example", registry.host), FILES)
    folder = install(tmp_path_factory.mktemp("bin"))
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    return program


def cut_off(project: Program, registry: FakeRegistry, image: str, *arguments: str) -> None:
    """Release, and stop before the last tag of an image."""
    registry.fail("PUT", f".*/{image}/manifests/latest", AnswerWith(status=403), times=1)
    assert 5 == project("build", "--push", *arguments).code


def test_a_good_release_closes_what_was_published_by_another(project: Program) -> None:
    """Also where its tags stand by then, so that none is put: there is nothing to undo, and nothing more to say."""
    (project.folder / "base/fails").touch()
    assert 4 == project("build", "--push", "--publish=finished").code
    said = project("build", "web").err
    assert (True, True) == (f"{OPEN}, and 2 tags may have moved" in said, RESUME in said)
    (project.folder / "base/fails").unlink()
    (project.folder / "base/Dockerfile").write_text("FROM scratch\nLABEL mended=yes\n")
    released = project("build", "--push")
    assert (0, True) == (released.code, "takes the place of the one that was left open here" in released.err)
    assert OPEN not in project("build").err
    undone = project("build", "--rollback")
    assert (0, "", True) == (undone.code, undone.out, "nothing to undo" in undone.err)


def test_a_release_of_other_tags_leaves_both_ways(project: Program, registry: FakeRegistry) -> None:
    """The plan that was cut off is kept, and `--resume` goes on with it."""
    cut_off(project, registry, "base", "base")
    other = project("build", "--push", "web")
    assert (0, True) == (other.code, f"{OPEN}, and 2 tags may have moved: {RESUME} and not with this" in other.err)
    assert "latest" not in registry.tags("acme/base")
    assert 0 == project("build", "--push", "--resume").code
    assert "latest" in registry.tags("acme/base")
    assert "nothing to undo" in project("build", "--rollback").err


def test_a_release_of_some_of_the_tags_leaves_one_way(project: Program, registry: FakeRegistry) -> None:
    """Its plan takes the place of the one that was cut off, so that nobody is told to go on with that."""
    cut_off(project, registry, "web")
    said = project("build", "--push", "base").err
    assert (True, False, True) == (OPEN in said, "--resume" in said, "`orchestrate build --rollback` undoes" in said)
    said = project("build", "base").err
    assert (True, False) == (f"{OPEN}, and 2 tags may have moved" in said, "--resume" in said)


def test_a_promotion_ends_what_can_be_gone_on_with(project: Program, registry: FakeRegistry) -> None:
    """A job that always says `--resume` builds as ever after it, whatever has changed."""
    cut_off(project, registry, "web")
    assert 0 == project("promote").code
    (project.folder / "web/file").write_text("new")
    ran = project("build", "--stage", "--resume")
    assert (0, True) == (ran.code, "there is nothing to go on with" in ran.err), ran.err


def test_a_promotion_of_something_else_leaves_it(project: Program, registry: FakeRegistry) -> None:
    """Other tags are another release."""
    assert 0 == project("build", "--stage", "web", "--result", "staged.json").code
    cut_off(project, registry, "base", "base")
    assert 0 == project("promote", "--result", "staged.json").code
    assert 0 == project("build", "--push", "--resume").code
    assert "latest" in registry.tags("acme/base")


def test_a_promotion_of_some_of_the_tags_leaves_one_way(project: Program, registry: FakeRegistry) -> None:
    """As any other release of these."""
    assert 0 == project("build", "--stage", "base", "--result", "staged.json").code
    cut_off(project, registry, "web")
    ran = project("promote", "--result", "staged.json")
    assert (0, True, False) == (ran.code, OPEN in ran.err, "--resume" in ran.err)
    assert "there is nothing to go on with" in project("build", "--push", "--resume").err


def test_what_cannot_be_undone_is_said_once(project: Program, registry: FakeRegistry) -> None:
    """Then it is over: no build speaks of it again, and there is nothing more to undo."""
    cut_off(project, registry, "web")
    undone = project("build", "--rollback")
    assert (5, 3) == (undone.code, undone.out.count("is new, and this registry removes no tags"))
    assert OPEN not in project("build").err
    again = project("build", "--rollback")
    assert (0, "", True) == (again.code, again.out, "nothing to undo" in again.err)


def test_an_undoing_that_was_cut_off_is_not_over(project: Program, registry: FakeRegistry) -> None:
    """What stays is said by the one that comes to its end."""
    cut_off(project, registry, "web")
    registry.fail("HEAD", r".*/base/manifests/1\.0", AnswerWith(status=403), times=1)
    assert 5 == project("build", "--rollback").code
    undone = project("build", "--rollback")
    assert (5, 3) == (undone.code, undone.out.count("is new, and this registry removes no tags"))
