"""Reading folders and Dockerfiles, and the links that lead out of a repository."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator.plan.facts import FolderState
from orchestrator.probe.sources import MAX_DOCKERFILE, read_sources


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with one service."""
    root = tmp_path / "repository"
    (root / "api").mkdir(parents=True)
    (root / "api" / "Dockerfile").write_text("FROM scratch\n", encoding="utf-8")
    return root


def test_folders_are_told_from_files_and_from_nothing(repository: Path) -> None:
    """A context is a folder; what else may stand there is told apart."""
    (repository / "file").touch()
    facts = read_sources(repository, folders=("api", "file", "gone", "a\0b"), dockerfiles=(), boundary=repository)
    assert {
        "api": FolderState.FOLDER,
        "file": FolderState.OTHER,
        "gone": FolderState.MISSING,
        "a\0b": FolderState.MISSING,
    } == facts.folders


def test_a_dockerfile_is_read_once_for_all_that_name_it(repository: Path) -> None:
    """The text of a Dockerfile; None where there is none, where it is a folder, and where it would make us wait."""
    os.mkfifo(repository / "api" / "pipe")
    names = ("api/Dockerfile", "api/Dockerfile", "api/gone", "api", "api/pipe")
    facts = read_sources(repository, folders=(), dockerfiles=names, boundary=repository)
    assert {"api/Dockerfile": "FROM scratch\n", "api/gone": None, "api": None, "api/pipe": None} == facts.dockerfiles


def test_a_huge_dockerfile_is_not_read_to_its_end(repository: Path) -> None:
    """One byte more than is allowed is read, so that the parser refuses it."""
    (repository / "api" / "Dockerfile").write_bytes(b"#" * (MAX_DOCKERFILE + 100))
    facts = read_sources(repository, folders=(), dockerfiles=("api/Dockerfile",), boundary=repository)
    assert MAX_DOCKERFILE + 1 == len(facts.dockerfiles["api/Dockerfile"] or "")


def test_links_out_of_the_repository_are_seen(repository: Path, tmp_path: Path) -> None:
    """A link inside is fine, wherever it stands in the path; one that leaves, directly or by a folder, is outside."""
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "Dockerfile").write_text("FROM scratch\n", encoding="utf-8")
    (repository / "alias").symlink_to("api")
    (repository / "leak").symlink_to(tmp_path / "secret")
    facts = read_sources(
        repository,
        folders=("api", "alias", "leak"),
        dockerfiles=("alias/Dockerfile", "leak/Dockerfile"),
        boundary=repository,
    )
    assert {"leak", "leak/Dockerfile"} == facts.outside


def test_a_path_that_is_written_outside_is_for_grants_to_judge(repository: Path) -> None:
    """`../x` says where it leads; only links lead elsewhere than they say."""
    facts = read_sources(repository / "api", folders=("../..",), dockerfiles=(), boundary=repository)
    assert frozenset() == facts.outside
