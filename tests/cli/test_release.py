"""From the command line to tags: whole commands, with a registry and a docker that are small but real programs."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.testing.registry import AnswerWith, FakeRegistry
from tests.cli.conftest import Program
from tests.cli.fake_buildx import install
from tests.unit.plan.samples import EMULATED, HEAD, write_project

BODY = EMULATED + "[images.base]\nretries = 0\n[images.app]\nretries = 0\n"
FILES = {"base": "FROM scratch\n", "app": "FROM base\n"}


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    """A registry of one's own."""
    with FakeRegistry() as running:
        yield running


@pytest.fixture
def project(
    program: Program, registry: FakeRegistry, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Program:
    """Two images, a registry, and a docker that builds them."""
    write_project(program.folder, (HEAD + BODY).replace("r.example", registry.host), FILES)
    folder = install(tmp_path_factory.mktemp("bin"))
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    return program


def public(registry: FakeRegistry) -> dict[str, set[str]]:
    """The public tags of both images."""
    found = {name: set(registry.tags(f"acme/{name}")) for name in ("base", "app")}
    return {
        name: {tag for tag in tags if not re.match(r"run-|(?:in|ok|im|at|mv)-[0-9a-f]{64}\Z", tag)}
        for name, tags in found.items()
    }


ALL = {"base": {"1.0", "latest"}, "app": {"1.0", "latest"}}
NONE: dict[str, set[str]] = {"base": set(), "app": set()}


def test_a_build_alone_stays_on_this_machine(project: Program, registry: FakeRegistry) -> None:
    """Layouts under `.orchestrate`, a table, a result."""
    ran = project("build")
    assert 0 == ran.code, ran.err
    assert NONE == public(registry)
    assert "2 of 2 images verified in" in ran.out
    result = json.loads((project.folder / ".orchestrate" / "result.json").read_text())
    assert ["oci:.orchestrate/oci/base", "oci:.orchestrate/oci/app"] == [image["home"] for image in result["images"]]
    assert (project.folder / ".orchestrate" / "oci" / "app" / "index.json").is_file()


def test_layouts_go_where_the_user_says(project: Program) -> None:
    """One for each image, parents too."""
    assert 0 == project("build", "--oci", "out", "app").code
    assert ["app", "base"] == sorted(path.name for path in (project.folder / "out").iterdir())


def test_a_release_puts_every_tag(project: Program, registry: FakeRegistry) -> None:
    """And says so, with whole digests."""
    ran = project("build", "--push")
    assert 0 == ran.code, ran.err
    assert ALL == public(registry)
    assert registry.tags("acme/app")["1.0"] in ran.out
    assert "2 of 2 images verified; 4 of 4 tags put in" in ran.out
    assert f"tag {registry.host}/acme/app:latest  new" in ran.err


def test_staging_and_promoting_are_a_release(project: Program, registry: FakeRegistry) -> None:
    """Nothing is built in between, and the result tells of both."""
    assert 0 == project("build", "--stage").code
    assert NONE == public(registry)
    ran = project("promote")
    assert 0 == ran.code, ran.err
    assert ALL == public(registry)
    assert "4 of 4 tags put" in ran.out
    result = json.loads((project.folder / ".orchestrate" / "result.json").read_text())
    assert {"released"} == {image["state"] for image in result["images"]}


def test_a_promotion_needs_no_docker(project: Program, registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run is the same wherever it is planned."""
    assert 0 == project("build", "--stage").code
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert 0 == project("promote").code
    assert ALL == public(registry)


def test_a_promotion_of_something_else_is_refused(project: Program, registry: FakeRegistry) -> None:
    """What is declared now was not built."""
    assert 0 == project("build", "--stage").code
    path = project.folder / "builds.toml"
    path.write_text(path.read_text() + 'args = { A = "new" }\n')
    ran = project("promote")
    assert (3, NONE) == (ran.code, public(registry))
    assert "is not what was staged" in ran.err
    assert "with the same `--set`, `--var` and `--registry` as then" in ran.err


def test_a_second_release_of_the_same_version_is_refused(project: Program, registry: FakeRegistry) -> None:
    """Of other content: both digests are what the plan knows; only moving tags may move."""
    assert 0 == project("build", "--push").code
    before = registry.tags("acme/base")["1.0"]
    ran = project("build", "--push", "--force")
    assert (3, before) == (ran.code, registry.tags("acme/base")["1.0"])
    assert "error[tag-exists]" in ran.err
    assert 0 == project("build", "--push", "--force", "--replace-tags").code


def test_what_is_released_already_needs_nothing(project: Program, registry: FakeRegistry) -> None:
    """The second command puts nothing, and says so."""
    assert 0 == project("build", "--push").code
    written = len([request for request in registry.requests if request.method in {"PUT", "POST"}])
    ran = project("build", "--push")
    assert (0, written) == (ran.code, len([one for one in registry.requests if one.method in {"PUT", "POST"}]))
    assert "2 of 2 images verified; 4 of 4 tags stand in" in ran.out


def test_a_failure_leaves_no_tag(project: Program, registry: FakeRegistry) -> None:
    """The rest is built and verified, and nothing is public."""
    (project.folder / "app" / "fails").touch()
    ran = project("build", "--push")
    assert (4, NONE) == (ran.code, public(registry))
    assert "failed: solve:app" in ran.err
    assert "no tag was put" in ran.err


def test_a_registry_that_dies_before_the_tags(project: Program, registry: FakeRegistry) -> None:
    """It is said which step failed and what to do, and the next command finishes it."""
    registry.fail("PUT", r".*/manifests/1\.0", AnswerWith(status=403), times=0)
    ran = project("build", "--push")
    assert (5, NONE) == (ran.code, public(registry))
    assert "step `promote:base` failed" in ran.err
    assert "orchestrate promote" in ran.err


def test_an_image_is_loaded_into_docker(project: Program) -> None:
    """This machine's platform of what was asked for."""
    ran = project("build", "--load", "app")
    assert 0 == ran.code, ran.err
    assert (project.folder / "loaded.tar").is_file()


def test_what_builds_print_is_shown_to_those_who_ask(project: Program) -> None:
    """Progress is on stderr, the table alone on stdout."""
    ran = project("build", "-v")
    assert "solve:base  started" in ran.err
    assert ran.out.lstrip().startswith("IMAGE")


def test_a_result_may_go_to_a_pipe_of_its_own(project: Program, tmp_path: Path) -> None:
    """Into any file, made with its folder."""
    assert 0 == project("build", "--result", str(tmp_path / "deep" / "result.json")).code
    assert "1.0" == json.loads((tmp_path / "deep" / "result.json").read_text())["format_version"]


def test_a_result_that_cannot_be_written_is_found_out_before(project: Program) -> None:
    """Nothing is built for it."""
    ran = project("build", "--result", str(project.folder))
    assert 2 == ran.code
    assert not (project.folder / ".orchestrate" / "oci").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_build_is_told(project: Program, registry: FakeRegistry, number: signal.Signals) -> None:
    """What was built is in the result, no tag was put, and the exit code says so."""
    (project.folder / "app" / "hangs").touch()

    def interrupt() -> None:
        while not (project.folder / "app" / "started").exists():
            threading.Event().wait(0.01)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=interrupt)
    thread.start()
    ran = project("build", "--push")
    thread.join()
    assert (130, NONE) == (ran.code, public(registry))
    assert "interrupted" in ran.err
    result = json.loads((project.folder / ".orchestrate" / "result.json").read_text())
    assert {"base": "verified", "app": "cancelled"} == {image["name"]: image["state"] for image in result["images"]}


def test_a_release_that_was_cut_off_is_finished(project: Program, registry: FakeRegistry) -> None:
    """Nothing is built again: what was verified gets the tags that are missing."""
    registry.fail("PUT", r".*/app/manifests/latest", AnswerWith(status=403), times=1)
    ran = project("build", "--push")
    assert (5, {"base": {"1.0", "latest"}, "app": {"1.0"}}) == (ran.code, public(registry))
    assert "these tags were put:" in ran.err
    again = project("build", "--push", "--force")
    assert (3, True) == (again.code, "where a release was cut off after it, `--resume` finishes that one" in again.err)
    assert 0 == project("promote").code
    assert ALL == public(registry)


def test_a_release_that_was_cut_off_is_finished_by_the_same_command(project: Program, registry: FakeRegistry) -> None:
    """It takes over what was verified, and puts the tags that are missing."""
    registry.fail("PUT", r".*/app/manifests/latest", AnswerWith(status=403), times=1)
    assert 5 == project("build", "--push").code
    ran = project("build", "--push")
    assert (0, ALL, False) == (ran.code, public(registry), "solve:" in ran.err)


def test_a_release_with_a_result_of_its_own_is_finished_with_it(project: Program, registry: FakeRegistry) -> None:
    """The hint is the command, with the file; what went into a pipe is in a file that only the user knows."""
    registry.fail("PUT", r".*/manifests/1\.0", AnswerWith(status=403), times=0)
    assert "`orchestrate promote --result='my file.json'`" in project("build", "--push", "--result", "my file.json").err
    assert "`orchestrate promote --result=FILE`" in project("build", "--push", "--result", "/dev/null").err
    assert "`orchestrate promote`" in project("build", "--push", "--result", ".orchestrate/result.json").err


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("[images.app]", "[images.app2]\ncontext = 'app'"), "no image of that name is declared now"),
        (('tags = ["1.0"', 'tags = ["1.1"'), "was staged for"),
        (('"linux/arm64"]', '"linux/arm64", "linux/arm/v7"]'), "was staged without `linux/arm/v7`"),
    ],
)
def test_a_promotion_holds_what_is_declared_against_what_was_staged(
    project: Program, change: tuple[str, str], said: str
) -> None:
    """People were shown something else."""
    assert 0 == project("build", "--stage").code
    path = project.folder / "builds.toml"
    path.write_text(path.read_text().replace(*change))
    ran = project("promote")
    assert 3 == ran.code
    assert said in ran.err


def test_a_layout_does_not_replace_something_else(project: Program) -> None:
    """A folder that is no layout is left alone."""
    (project.folder / "out" / "base").mkdir(parents=True)
    (project.folder / "out" / "base" / "mine.txt").touch()
    ran = project("build", "--oci", "out")
    assert (3, True) == (ran.code, (project.folder / "out" / "base" / "mine.txt").exists())
    assert "something else than an OCI layout" in ran.err


def test_a_folder_for_layouts_that_buildx_would_misread_is_refused(project: Program) -> None:
    """It has no way to quote them."""
    ran = project("build", "--oci", "a:b")
    assert 2 == ran.code
    assert "`--oci a:b`" in ran.err


def test_findings_of_a_plan_are_told_before_it_is_built(project: Program) -> None:
    """Warnings stop nothing."""
    path = project.folder / "builds.toml"
    path.write_text(path.read_text().replace('emulation = "allow"', 'emulation = "warn"'))
    ran = project("build")
    assert 0 == ran.code
    assert "warning[emulated]" in ran.err
