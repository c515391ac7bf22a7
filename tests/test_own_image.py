"""This project's own `builds.toml`: it has to plan cleanly for whoever clones the repository."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from orchestrator.plan.document import PlanDocument

PROJECT = Path(__file__).resolve().parents[1]
GIT = ("git", "-c", "user.name=Tester", "-c", "user.email=tester@example.org", "-c", "commit.gpgsign=false")
REPOSITORY = "ghcr.io/orchestrate-builds/orchestrate"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A repository with what the image is made of, committed, without any tag."""
    for name in ("builds.toml", "Dockerfile", ".dockerignore", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(PROJECT / name, tmp_path)
    (tmp_path / "orchestrator").mkdir()
    (tmp_path / "plugins").mkdir()
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "--message=clone")
    return tmp_path


def git(folder: Path, *arguments: str) -> str:
    """Run git; returns its stdout."""
    return subprocess.run([*GIT, *arguments], cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


def plan(folder: Path) -> tuple[int, str, PlanDocument]:
    """The exit code, stderr and document of `orchestrate plan --offline`."""
    argv = [sys.executable, "-m", "orchestrator", "plan", "--offline", "--format=json"]
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr, msgspec.json.decode(done.stdout, type=PlanDocument)


def test_own_image_plans_without_warnings_before_any_tag(clone: Path) -> None:
    """The version falls back to one made from the commit, and nothing is complained about."""
    code, stderr, document = plan(clone)
    sha = git(clone, "rev-parse", "HEAD")[:12]

    assert (0, "") == (code, stderr)
    assert () == tuple(document.diagnostics)
    assert [f"{REPOSITORY}:0.0.1-dev.1.{sha}", f"{REPOSITORY}:sha-{sha}"] == [
        tag.ref for tag in document.images[0].tags
    ]


def test_own_image_is_for_both_platforms(clone: Path) -> None:
    """One image, a platform build each for amd64 and arm64."""
    _, _, document = plan(clone)

    assert ["orchestrate@linux/amd64", "orchestrate@linux/arm64"] == [build.id for build in document.builds]


def test_own_image_moves_latest_on_a_release(clone: Path) -> None:
    """On a release tag `latest` and the minor version move."""
    git(clone, "tag", "v1.4.2")
    code, stderr, document = plan(clone)
    moving = [tag.ref.rpartition(":")[2] for tag in document.images[0].tags if tag.moving]

    assert (0, "") == (code, stderr)
    assert ["1.4", "latest"] == moving


def test_own_image_does_not_move_latest_on_a_prerelease(clone: Path) -> None:
    """A prerelease has its version and its commit as tags, and nothing that moves."""
    git(clone, "tag", "v1.5.0-rc.1")
    _, _, document = plan(clone)

    assert "1.5.0-rc.1" == document.images[0].version
    assert [] == [tag.ref for tag in document.images[0].tags if tag.moving]
