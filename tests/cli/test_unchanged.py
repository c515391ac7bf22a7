"""A whole `build --push` of which nothing has changed: what it asks of registries, request by request."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.testing.registry import FakeRegistry
from tests.cli.conftest import Program
from tests.cli.fake_buildx import install
from tests.cli.test_lock import push
from tests.unit.plan.samples import EMULATED, HEAD, write_project

BODY = EMULATED + "[images.base]\n[images.app]\n[images.tool]\n"
KINDS = {
    "ok": r"/v2/acme/[a-z]+/manifests/ok-[0-9a-f]{64}",
    "note": r"/v2/acme/[a-z]+/manifests/mv-[0-9a-f]{64}",
    "tag": r"/v2/acme/[a-z]+/manifests/(1\.0|latest)",
    "external": r"/v2/debian/.*",
}
OURS = {("HEAD", "ok"): 3, ("HEAD", "tag"): 6, ("HEAD", "note"): 3}


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    """A registry of one's own."""
    with FakeRegistry() as running:
        yield running


@pytest.fixture
def project(
    program: Program, registry: FakeRegistry, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Program:
    """Three images on an external one, of which two stand on the third."""
    push(registry, "debian:12")
    files = {"base": f"FROM {registry.host}/debian:12\n", "app": "FROM base\n", "tool": "FROM base\n"}
    write_project(program.folder, (HEAD + BODY).replace("r.example", registry.host), files)
    folder = install(tmp_path_factory.mktemp("bin"))
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    return program


def requests(project: Program, registry: FakeRegistry) -> dict[tuple[str, str], int]:
    """What one run asks, by method and kind; it has to end well."""
    before = len(registry.requests)
    ran = project("build", "--push")
    assert 0 == ran.code, ran.err
    return dict(Counter((logged.method, kind_of(logged.path)) for logged in registry.requests[before:]))


def kind_of(path: str) -> str:
    """What a request asks for; its path, where that is nothing that an unchanged run may ask for."""
    return next((kind for kind, pattern in KINDS.items() if re.fullmatch(pattern, path)), path)


def test_an_unchanged_run_fetches_nothing(project: Program, registry: FakeRegistry) -> None:
    """One HEAD an image, one a tag, one a note of a moving tag, and one an external image."""
    requests(project, registry)
    assert {("HEAD", "external"): 1} | OURS == requests(project, registry)


def test_what_is_locked_is_not_asked_about(project: Program, registry: FakeRegistry) -> None:
    """A digest stands for the same for ever, so only what is public of our own is looked at."""
    project("lock")
    requests(project, registry)
    assert OURS == requests(project, registry)


def test_a_clone_without_a_cache_asks_as_often(project: Program, registry: FakeRegistry) -> None:
    """GET in place of HEAD; of the external image once also what its stages trigger."""
    project("lock")
    requests(project, registry)
    for file in (project.folder / ".orchestrate").rglob("*"):
        if file.is_file():
            file.unlink()
    asked = requests(project, registry)
    ours = {key: count for key, count in asked.items() if key[1] != "external"}
    assert {("GET", "ok"): 3, ("HEAD", "tag"): 6, ("GET", "note"): 3} == ours
    assert {("GET", "external")} == {key for key in asked if key[1] == "external"}


def test_a_cache_that_cannot_be_written_costs_requests_only(project: Program, registry: FakeRegistry) -> None:
    """The run ends as well as any other."""
    (project.folder / ".orchestrate").mkdir()
    (project.folder / ".orchestrate/cache").write_text("mine")
    requests(project, registry)
    asked = requests(project, registry)
    assert {("GET", "ok"): 3, ("HEAD", "tag"): 6, ("GET", "note"): 3, ("HEAD", "external"): 1} == asked


def test_links_of_a_repository_are_not_followed(project: Program, registry: FakeRegistry, tmp_path: Path) -> None:
    """A folder elsewhere that a link in the place of the cache names stays as it is."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (project.folder / ".orchestrate").mkdir()
    (project.folder / ".orchestrate/cache").symlink_to(elsewhere)
    requests(project, registry)
    assert [] == list(elsewhere.iterdir())
