from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from orchestrator.cli.options import ProjectOptions
from orchestrator.diagnostics import Severity
from tests.unit.plan.samples import EMULATED, HEAD, codes, find_mistakes, places, prepare, write_project

BODY = """[images.a]
[images.b]
contexts = { shared = "lib/shared" }
[images.c]
dockerfile = "other"
"""


def test_all_missing_folders_and_dockerfiles_are_told_at_once(tmp_path: Path) -> None:
    """Each at its line; a Dockerfile in a missing folder is not told as well."""
    path = write_project(tmp_path, HEAD + BODY, {"a": "FROM scratch\n", "c": "FROM scratch\n"})
    (tmp_path / "a" / "Dockerfile").unlink()
    assert [
        ("missing-dockerfile", "builds.toml", 7),
        ("missing-context", "builds.toml", 8),
        ("missing-context", "builds.toml", 9),
        ("missing-dockerfile", "builds.toml", 11),
    ] == places(find_mistakes(path))


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    """It says so."""
    path = write_project(tmp_path, HEAD + "[images.a]\n", {})
    (tmp_path / "a").write_text("")
    (finding,) = find_mistakes(path)
    assert "context `a` of `a` is not a folder" == finding.message


def test_mistakes_of_all_kinds_are_told_at_once(tmp_path: Path) -> None:
    """A template, a missing folder, two images with one tag, a wrong platform and a Dockerfile's own."""
    text = HEAD + '[images.a]\n[images.b]\nargs = { A = "{{ nobody }}" }\n'
    text += '[images.c]\ncontext = "a"\nrepository = "r.example/acme/a"\n[images.d]\ncontext = "gone"\n'
    path = write_project(tmp_path, text, {"a": "FROM scratch\n", "b": "FROM scratch\nCOPY --from=$X / /\n"})
    assert {"template", "tag-collision", "missing-context", "dockerfile-substitution"} <= set(
        codes(find_mistakes(path))
    )


@pytest.mark.parametrize("link", ["a", "a/Dockerfile"])
def test_a_link_out_of_the_repository_needs_a_grant(tmp_path: Path, link: str) -> None:
    """Of a folder or a Dockerfile; granted, the same project plans."""
    root, outside = tmp_path / "project", tmp_path / "outside"
    outside.mkdir()
    (outside / "Dockerfile").write_text("FROM scratch\n")
    (root / link).parent.mkdir(parents=True)
    (root / link).symlink_to(outside if link == "a" else outside / "Dockerfile")
    path = write_project(root, HEAD + EMULATED + "[images.a]\n", {})
    (finding,) = find_mistakes(path)
    assert "outside-repository" == finding.code
    assert f"--allow read={link}" in finding.hints[0]
    _, prepared = prepare(path, options=ProjectOptions(file=path, offline=True, allow=(f"read={link}",)))
    assert not prepared.plan.blocked


def test_a_link_inside_of_the_repository_needs_none(tmp_path: Path) -> None:
    """However the folders lie: the repository begins where git does."""
    root = tmp_path / "deep" / "project"
    (tmp_path / ".git").mkdir()
    path = write_project(root, HEAD + EMULATED + '[images.a]\ncontext = "../../shared"\n', {})
    write_project(tmp_path, "", {"shared": "FROM scratch\n"})
    assert () == find_mistakes(path)


def test_a_folder_that_is_used_twice_is_told_for_each_image(tmp_path: Path) -> None:
    """Once an image, although it has two platforms."""
    path = write_project(tmp_path, HEAD + '[images.a]\ncontext = "x"\n[images.b]\ncontext = "x"\n', {})
    assert [("missing-context", "builds.toml", 8), ("missing-context", "builds.toml", 10)] == places(
        find_mistakes(path)
    )


def test_what_is_elsewhere_is_not_looked_for(tmp_path: Path) -> None:
    """A URL is BuildKit's to read, and an inline Dockerfile is there."""
    text = (
        HEAD
        + EMULATED
        + '[images.a]\ncontext = "https://e.example/x.git"\n[images.b]\ndockerfile-inline = "FROM scratch"\n'
    )
    assert () == find_mistakes(write_project(tmp_path, text, {"b": ""}))


def test_a_dirty_tree_is_a_warning_about_its_tags(tmp_path: Path) -> None:
    """`sha-` tags are left out, the rest is planned."""
    text = HEAD + EMULATED + '[images.a]\ntags = ["1", "sha-{{ git.short_sha }}"]\n'
    path = write_project(tmp_path, text, {"a": "FROM scratch\n"})
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    for arguments in (("init", "-q"), ("add", "-A"), (*identity, "commit", "-qm", "first")):
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True)
    clean = prepare(path)[1].plan.images[0].tags
    (tmp_path / "a" / "new").write_text("")
    preparation, prepared = prepare(path)
    assert ["1"] == [tag.name for tag in prepared.plan.images[0].tags]
    assert 2 == len(clean)
    assert [("dirty-sha-tag", Severity.WARNING)] == [
        (finding.code, finding.severity) for finding in preparation.findings.resolved()
    ]


@pytest.mark.parametrize(
    ("body", "key"),
    [
        ('secrets = [{ id = "s", src = "out/secret" }]', "secrets"),
        ('ssh = [{ id = "s", paths = ["out/key"] }]', "ssh"),
        ('cache-to = [{ type = "local", dest = "out/cache" }]', "cache-to"),
        ('cache-from = [{ type = "local", src = "out/cache" }]', "cache-from"),
        ('contexts = { base = "oci-layout://out/base@sha256:0" }', "contexts"),
    ],
)
def test_a_link_out_of_the_repository_is_found_wherever_a_path_is_written(tmp_path: Path, body: str, key: str) -> None:
    """Secrets, keys, caches and layouts are read and written by the user's own tools."""
    (tmp_path / "outside").mkdir()
    path = write_project(tmp_path / "project", HEAD + EMULATED + f"[images.a]\n{body}\n", {"a": "FROM scratch\n"})
    (tmp_path / "project" / "out").symlink_to(tmp_path / "outside")
    (finding,) = find_mistakes(path)
    assert ("outside-repository", "builds.toml", 10) == places((finding,))[0]
    assert key


def test_a_remote_context_that_is_a_path_here_is_refused(tmp_path: Path) -> None:
    """Buildx takes a folder `https:` before the network, and `..` would lead it out of the repository."""
    text = HEAD + EMULATED + '[images.a]\ncontext = "https://../../outside"\n'
    path = write_project(tmp_path / "project", text, {})
    assert find_mistakes(path) == ()
    (tmp_path / "outside").mkdir()
    (path.parent / "https:").mkdir()
    (finding,) = find_mistakes(path)
    assert ("outside-repository", ("remove or rename the folder `https:`",)) == (finding.code, finding.hints)
