"""`orchestrate prune`, with a registry that is small but real."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

import pytest

from orchestrator.plan import names
from orchestrator.testing.registry import AnswerWith, Deletes, FakeRegistry
from tests.cli.conftest import Program
from tests.contract.registry_state import leave
from tests.unit.plan.samples import write_project

PROJECT = """\
format = 1
[project]
name = "acme"
registry = "%HOST%"
[defaults]
platforms = ["linux/amd64"]
tags = ["1.0"]
[images.api]
[images.web]
[groups]
site = ["web"]
"""


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    """A registry of one's own."""
    with FakeRegistry() as running:
        yield running


def write(program: Program, registry: FakeRegistry) -> Program:
    """A project of two images in this registry, of which old state is left."""
    write_project(
        program.folder,
        PROJECT.replace("%HOST%", registry.host),
        dict.fromkeys(("api", "web"), "FROM scratch\n"),
    )
    for path in ("api", "web"):
        leave(registry, "old", path=path, image=path)
        leave(registry, "new", "1.0", path=path, image=path)
    return program


@pytest.fixture
def project(program: Program, registry: FakeRegistry) -> Program:
    """Old state in a registry that deletes."""
    return write(program, registry)


class Terminal(io.StringIO):
    """A terminal at which somebody has typed."""

    def isatty(self) -> bool:
        """It is one."""
        return True


def test_it_is_shown_and_nothing_is_deleted(project: Program, registry: FakeRegistry) -> None:
    """Without a terminal there is nobody to ask: a table for each repository, then the sums."""
    ran = project("prune")
    assert 0 == ran.code
    assert "nothing is deleted without `--yes`\n" == ran.err
    lines = ran.out.splitlines()
    assert [f"{registry.host}/api", f"{registry.host}/web"] == [line for line in lines if line.startswith("127.")]
    assert "10 names, 12 manifests go; 10 stay" == lines[-1]
    (record,) = [line.split() for line in lines if line.startswith("  record") and line.endswith("api, scope main")]
    name, digest = record[1:3]
    assert registry.tags("api")[name].startswith(f"sha256:{digest}")
    kinds = ["inputs", "record", "index", "run", "run"]
    assert sorted(kinds * 2) == sorted(line.split()[0] for line in lines if line.startswith("  "))
    assert 0 == registry.count("DELETE", ".*")


def test_it_is_deleted(project: Program, registry: FakeRegistry) -> None:
    """What was shown, and no more."""
    shown = project("prune").out
    ran = project("prune", "--yes")
    assert (0, "") == (ran.code, ran.err)
    assert f"{shown}10 names, 12 manifests deleted\n" == ran.out
    assert {"1.0"} == {tag for tag in registry.tags("api") if not tag.startswith(("in-", "ok-", "im-", "at-"))}
    assert "0 names, 0 manifests go; 10 stay\n" == project("prune", "--yes").out


@pytest.mark.parametrize(("typed", "deleted"), [("y\n", 12), ("n\n", 0), ("\n", 0)])
def test_a_terminal_is_asked(
    project: Program, registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch, typed: str, deleted: int
) -> None:
    """After the table."""
    monkeypatch.setattr("sys.stdin", Terminal(typed))
    ran = project("prune")
    assert 0 == ran.code
    assert "Delete them? [y/N]: " in ran.err
    assert deleted == registry.count("DELETE", ".*")


@pytest.mark.parametrize("selected", ["web", "w*", "site"])
def test_only_what_is_selected(project: Program, registry: FakeRegistry, selected: str) -> None:
    """By name, glob or group."""
    before = registry.tags("api")
    assert 0 == project("prune", "--yes", selected).code
    assert before == registry.tags("api")
    assert 5 == len(registry.tags("web"))


def test_a_scope_is_forgotten(project: Program, registry: FakeRegistry) -> None:
    """Only where that is asked for."""
    left = leave(registry, "of a pull request", path="api", image="api", scope="pr-7")
    last = names.last_tag("pr-7", "api")
    project("prune", "--yes")
    assert {left.part, left.final, last} <= registry.tags("api").keys()
    ran = project("prune", "--yes", "--scope", "pr-7")
    assert f"last    {last}" in ran.out
    assert 2 == ran.out.count("api, scope pr-7")
    assert 5 == len(registry.tags("api"))


def test_for_programs(project: Program, registry: FakeRegistry) -> None:
    """One document, before or after."""
    document = json.loads(project("prune", "--format=json", "api").out)
    assert (1, False) == (document["format_version"], document["deleted"])
    (repository,) = document["repositories"]
    assert (f"{registry.host}/api", 5) == (repository["repository"], repository["stay"])
    (record,) = [each for each in repository["names"] if each["kind"] == "record"]
    tags = registry.tags("api")
    assert {
        "name": record["name"],
        "kind": "record",
        "digest": tags[record["name"]],
        "image": "api",
        "scope": "main",
        "state": "goes",
    } == record
    assert {"goes"} == {each["state"] for each in (*repository["names"], *repository["manifests"])}
    document = json.loads(project("prune", "--format=json", "--yes", "api").out)
    (repository,) = document["repositories"]
    assert document["deleted"]
    assert {"gone"} == {each["state"] for each in (*repository["names"], *repository["manifests"])}
    assert [] == json.loads(project("prune", "--format=json", "--yes", "api").out)["repositories"][0]["names"]


def test_a_registry_that_deletes_nothing(program: Program) -> None:
    """It has its say once; every name is printed, and the way to switch deletion on."""
    with FakeRegistry(deletes=Deletes.NOTHING) as registry:
        project = write(program, registry)
        before = registry.tags("api"), registry.tags("web")
        ran = project("prune", "--yes")
        assert 5 == ran.code
        assert before == (registry.tags("api"), registry.tags("web"))
        assert 1 == ran.err.count("answered 405")
        assert "error: 10 names and 12 manifests should have gone and are still there\n" in ran.err
        assert "REGISTRY_STORAGE_DELETE_ENABLED" in ran.err
        told = ran.out.partition("10 names still there: the registry refuses to delete them\n")[2].splitlines()
        assert 10 == len(told)
        assert {line.strip().partition("/api:")[2] for line in told if "/api:" in line} < before[0].keys()


def test_names_that_cannot_go_alone(program: Program) -> None:
    """They are told, and that is all: there is nothing to be done about them."""
    with FakeRegistry(deletes=Deletes.DIGESTS) as registry:
        project = write(program, registry)
        project("prune", "--yes")
        left = leave(registry, "lone", "2.0", path="api", image="api", lone=True)
        ran = project("prune", "--yes")
        assert (0, "") == (ran.code, ran.err)
        assert "1 name still there: what they name is needed" in ran.out
        assert f"  {registry.host}/api:{left.run}\n" in ran.out


def test_a_registry_that_cannot_be_read(project: Program, registry: FakeRegistry) -> None:
    """Nothing is deleted, of other repositories neither: what is in it might need that."""
    registry.fail("GET", "/v2/web/tags/list.*", AnswerWith(status=403), times=0)
    ran = project("prune", "--yes", "api", "web")
    assert (5, "") == (ran.code, ran.out)
    assert 0 == registry.count("DELETE", ".*")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--offline",), "`prune` is about registries, and with `--offline` nobody is asked"),
        (("--scope=",), "`` is no state scope"),
        (("--scope=Main",), "`Main` is no state scope"),
        (("nothing",), "there is no image or group `nothing`"),
    ],
)
def test_what_cannot_be_asked_for(project: Program, arguments: tuple[str, ...], message: str) -> None:
    """It is a mistake of the command line, with a way out."""
    ran = project("prune", *arguments)
    assert 2 == ran.code
    assert message in ran.err


def test_a_project_without_a_registry(program: Program) -> None:
    """There is nowhere to look."""
    write_project(
        program.folder, 'format = 1\n[defaults]\nplatforms = ["linux/amd64"]\n[images.api]\n', {"api": "FROM scratch\n"}
    )
    ran = program("prune")
    assert 2 == ran.code
    assert "there is no repository to look at" in ran.err
