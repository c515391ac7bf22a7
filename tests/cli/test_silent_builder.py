"""What `plan` and `build` say of a builder that does not answer: why, and what to do."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Program
from tests.cli.fake_docker import FakeDocker
from tests.unit.plan.samples import EMULATED, HEAD, write_project

TEXT = HEAD + EMULATED + '[backends.qemu]\nbuilder = "farm"\n[images.base]\n'
STOPPED = "Name: farm\nDriver: docker-container\n\nNodes:\nName: farm0\nEndpoint: e\nStatus: stopped\n"
DOCTOR = "hint: `orchestrate doctor` says what is missing"
CASES = [
    (
        "docker: unknown command: docker buildx\n\nRun 'docker --help' for more information",
        "docker has no plugin buildx",
        "hint: install buildx 0.20 or newer: the package `docker-buildx-plugin`",
    ),
    (
        'ERROR: no builder "farm" found',
        'no builder "farm" found',
        "hint: create it: `orchestrate builders create farm`",
    ),
    ("ERROR: \x1b[31mno route\x1b[0m\x9b2J", "no route", DOCTOR),
    ("", "not running", "hint: start it: `orchestrate builders inspect farm --bootstrap`"),
]


@pytest.fixture
def project(program: Program) -> Program:
    """A project of one image, for a builder of its own."""
    write_project(program.folder, TEXT, {"base": "FROM scratch\n"})
    return program


@pytest.fixture
def docker(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> FakeDocker:
    """A docker that answers as recorded, and builds nothing."""
    fake = FakeDocker(tmp_path_factory.mktemp("docker"))
    fake.answer("buildx inspect farm", STOPPED)
    monkeypatch.setenv("PATH", fake.path)
    return fake


@pytest.mark.parametrize(("stderr", "summary", "hint"), CASES)
def test_a_build_does_not_begin(project: Program, docker: FakeDocker, stderr: str, summary: str, hint: str) -> None:
    """The reason is the tool's, without what moves a cursor; the hint says what to do."""
    if stderr:
        docker.fail("buildx inspect farm", stderr)
    ran = project("build")
    assert 3 == ran.code
    assert "error: nothing was done: node `farm` does not answer: " in ran.err
    assert summary in ran.err
    assert [hint in ran.err, DOCTOR in ran.err, "\x1b" in ran.err, "\x9b" in ran.err] == [True, True, False, False]


@pytest.mark.parametrize(("stderr", "summary", "hint"), CASES)
def test_a_plan_is_made_all_the_same(
    project: Program, docker: FakeDocker, stderr: str, summary: str, hint: str
) -> None:
    """And says that nobody answered."""
    del hint
    if stderr:
        docker.fail("buildx inspect farm", stderr)
    ran = project("plan", "--offline")
    assert (0, False) == (ran.code, summary in ran.out)
    ran = project("plan")
    assert "backend qemu: farm (no answer: " in ran.out
    assert summary in ran.out
    assert not {"\x1b", "\x9b"} & set(ran.out)


def test_a_plan_says_what_it_only_believes(program: Program, docker: FakeDocker) -> None:
    """Of a node whose BuildKit is still to be started."""
    del docker
    node = '[[backends.native.nodes]]\nname = "n"\nplatforms = ["linux/amd64", "linux/arm64"]\nbuilder = "farm"\n'
    write_project(program.folder, HEAD + node + "[images.base]\n", {"base": "FROM scratch\n"})
    said = "backend native: n (linux/amd64, linux/arm64; not started: from the configuration)"
    assert said in program("plan").out
