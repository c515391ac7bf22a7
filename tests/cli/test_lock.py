"""`orchestrate lock`, with a registry that is small but real."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.testing.registry import AnswerWith, FakeRegistry
from tests.cli.conftest import Program
from tests.unit.oci import images
from tests.unit.plan.samples import HEAD, write_project

BOTH = ("linux/amd64", "linux/arm64")


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    """A registry of one's own."""
    with FakeRegistry() as running:
        yield running


def push(registry: FakeRegistry, name: str, *platforms: str, salt: str = "") -> str:
    """Push an image for these platforms, another one for another salt; its digest."""
    repository, _, tag = name.partition(":")
    entries = []
    for platform in platforms or BOTH:
        built = images.image(platform, runtime={"Cmd": [salt]})
        registry.put_blob(repository, built.config)
        registry.put_manifest(repository, "", built.manifest)
        entries.append(images.entry(platform, built))
    return registry.put_manifest(repository, tag, images.index(*entries))


@pytest.fixture
def project(program: Program, registry: FakeRegistry) -> Program:
    """Two images that stand on three of others, which the registry has."""
    for name in ("debian:12", "node:20", "tools:1"):
        push(registry, name)
    host = registry.host
    dockerfiles = {
        "api": f"FROM {host}/debian:12\nCOPY --from={host}/tools:1 / /\n",
        "web": f"FROM {host}/node:20\n",
    }
    write_project(program.folder, f"{HEAD}[images.api]\n[images.web]\n", dockerfiles)
    return program


def lock_of(project: Program) -> Path:
    """Where the lock is."""
    return project.folder / "builds.lock"


def changes(out: str) -> list[tuple[str, str]]:
    """The change and the short name of every line."""
    return [(line.split()[0], line.split()[1].partition("/")[2]) for line in out.splitlines()]


def test_everything_is_locked(project: Program, registry: FakeRegistry) -> None:
    """One line each, and a file with all platforms."""
    ran = project("lock")
    assert 0 == ran.code, ran.err
    assert [("added", "debian:12"), ("added", "node:20"), ("added", "tools:1")] == changes(ran.out)
    text = lock_of(project).read_text(encoding="utf-8")
    assert registry.tags("debian")["12"] in text
    assert 3 == text.count('platforms = ["linux/amd64", "linux/arm64"]')


def test_what_is_locked_is_not_asked_for_again(project: Program, registry: FakeRegistry) -> None:
    """The file is not even touched."""
    project("lock")
    before, asked = lock_of(project).stat().st_mtime_ns, len(registry.requests)
    push(registry, "debian:12", salt="moved")
    ran = project("lock", "--offline")
    assert (0, "") == (ran.code, ran.out)
    assert (before, asked) == (lock_of(project).stat().st_mtime_ns, len(registry.requests))


def test_entries_come_and_go_with_their_uses(project: Program, registry: FakeRegistry) -> None:
    """The rest stays as it is, although it has moved."""
    project("lock")
    kept = registry.tags("debian")["12"]
    push(registry, "debian:12", salt="moved")
    push(registry, "node:22")
    (project.folder / "web" / "Dockerfile").write_text(f"FROM {registry.host}/node:22\n", encoding="utf-8")
    ran = project("lock")
    assert [("removed", "node:20"), ("added", "node:22")] == changes(ran.out)
    assert kept in lock_of(project).read_text(encoding="utf-8")


def test_update_follows_tags(project: Program, registry: FakeRegistry) -> None:
    """Those of a glob, by short names; the old digest and the new one are shown."""
    project("lock")
    old = registry.tags("debian")["12"]
    new = push(registry, "debian:12", salt="moved")
    push(registry, "node:20", salt="moved")
    ran = project("lock", "--update", "*/debian*")
    assert 0 == ran.code, ran.err
    assert f"moved  {registry.host}/debian:12  {old} -> {new}\n" == ran.out
    assert [("moved", "node:20")] == changes(project("lock", "--update").out)
    assert "" == project("lock", "--update").out


def test_update_corrects_what_stands_beside_a_digest(project: Program) -> None:
    """Platforms that somebody wrote in are looked up again."""
    project("lock")
    right = lock_of(project).read_text(encoding="utf-8")
    lock_of(project).write_text(right.replace('"linux/amd64"', '"linux/riscv64"', 1), encoding="utf-8")
    assert [("corrected", "debian:12")] == changes(project("lock", "--update").out)
    assert right == lock_of(project).read_text(encoding="utf-8")


def test_check_of_a_lock_that_is_current(project: Program, registry: FakeRegistry) -> None:
    """One HEAD an image, nothing printed."""
    project("lock")
    asked = len(registry.requests)
    ran = project("lock", "--check")
    assert (0, "") == (ran.code, ran.out)
    assert ["HEAD"] * 3 == [request.method for request in registry.requests[asked:]]


def test_check_lists_what_is_stale(project: Program, registry: FakeRegistry) -> None:
    """Missing, unused, moved and gone; the file stays as it is."""
    project("lock")
    before = lock_of(project).read_bytes()
    push(registry, "debian:12", salt="moved")
    registry.content.tags("tools").clear()
    (project.folder / "web" / "Dockerfile").write_text(f"FROM {registry.host}/node:22\n", encoding="utf-8")
    ran = project("lock", "--check")
    assert 10 == ran.code
    assert [("moved", "debian:12"), ("unused", "node:20"), ("missing", "node:22"), ("gone", "tools:1")] == changes(
        ran.out
    )
    assert "used by `web`" in ran.out
    assert before == lock_of(project).read_bytes()


def test_check_offline_asks_nobody(project: Program, registry: FakeRegistry) -> None:
    """What is missing or unused can be told all the same."""
    ran = project("lock", "--check", "--offline")
    assert 10 == ran.code
    assert {"missing"} == {change for change, _ in changes(ran.out)}
    assert () == registry.requests


def test_changes_as_json(project: Program, registry: FakeRegistry) -> None:
    """For programs: each change with old and new digest and the images that it is for."""
    document = json.loads(project("lock", "--format", "json").out)
    assert 1 == document["format_version"]
    assert {
        "change": "added",
        "reference": f"{registry.host}/debian:12",
        "old": None,
        "new": registry.tags("debian")["12"],
        "images": ["api"],
    } == document["changes"][0]
    assert [] == json.loads(project("lock", "--check", "--format", "json").out)["changes"]


def test_registry_that_refuses_leaves_everything_as_it_was(project: Program, registry: FakeRegistry) -> None:
    """All reasons are told, and nothing is half written."""
    registry.fail("GET", "/v2/node/.*", AnswerWith(status=401), times=0)
    registry.content.tags("tools").clear()
    ran = project("lock")
    assert 5 == ran.code
    assert not lock_of(project).exists()
    assert "" == ran.out
    assert "answered 401" in ran.err
    assert f"there is no `{registry.host}/tools:1` in its registry" in ran.err
    assert "2 images cannot be looked up; nothing was written" in ran.err


def test_check_that_gets_no_answer(project: Program, registry: FakeRegistry) -> None:
    """It is neither current nor stale: nobody knows."""
    project("lock")
    registry.fail("HEAD", "/v2/node/.*", AnswerWith(status=403), times=0)
    ran = project("lock", "--check")
    assert (5, "") == (ran.code, ran.out)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--update", "--check"), "`--update` and `--check` exclude each other"),
        (("debian*",), "`debian*`: names are for `--update`"),
        (("--update", "nothing*"), "`nothing*` matches no external image"),
        (("--offline",), "3 images to look up, and with `--offline` nobody is asked"),
    ],
)
def test_what_cannot_be_asked_for(project: Program, arguments: tuple[str, ...], message: str) -> None:
    """It is a mistake of the command line, with a way out."""
    ran = project("lock", *arguments)
    assert 2 == ran.code
    assert message in ran.err
    assert "hint: " in ran.err
    assert not lock_of(project).exists()


def test_lock_that_cannot_be_read_is_not_replaced(project: Program) -> None:
    """Conflict markers are shown where they stand; what was in it is not thrown away."""
    lock_of(project).write_text("<<<<<<< HEAD\nformat = 1\n", encoding="utf-8")
    ran = project("lock")
    assert 2 == ran.code
    assert "--> builds.lock:1:1" in ran.err
    assert "<<<<<<<" in lock_of(project).read_text(encoding="utf-8")


def test_link_in_place_of_the_lock_is_refused(project: Program, tmp_path: Path) -> None:
    """A repository may bring one."""
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    lock_of(project).symlink_to(outside)
    assert 2 == project("lock").code
    assert not outside.exists()


def test_project_without_external_images_gets_no_lock(program: Program) -> None:
    """There is nothing to write."""
    write_project(program.folder, f"{HEAD}[images.api]\n", {"api": "FROM scratch\n"})
    ran = program("lock")
    assert (0, "") == (ran.code, ran.out)
    assert not lock_of(program).exists()


def test_plain_http_is_spoken_only_where_the_user_allows_it(
    project: Program, registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To loopback addresses, and to hosts that the user's own environment names."""
    host = registry.host.replace("127.0.0.1", "0.0.0.0")  # noqa: S104 (leads here too, and is no loopback address)
    write_project(project.folder, f"{HEAD}[images.api]\n", {"api": f"FROM {host}/debian:12\n"})
    ran = project("lock")
    assert 5 == ran.code
    assert f"`GET https://{host}/v2/debian/manifests/12`" in ran.err
    monkeypatch.setenv("ORCHESTRATE_INSECURE_REGISTRIES", host)
    assert 0 == project("lock").code
