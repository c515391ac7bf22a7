"""Reading folders and Dockerfiles, and the links that lead out of a repository."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator.plan.facts import FolderState, SourceFacts
from orchestrator.plan.grants import Grants
from orchestrator.plan.sources import NeededSources
from orchestrator.probe.sources import MAX_DOCKERFILE, read_sources


def look(
    root: Path,
    *,
    folders: tuple[str, ...] = (),
    dockerfiles: tuple[str, ...] = (),
    others: tuple[str, ...] = (),
    granted: tuple[str, ...] = (),
    boundary: Path | None = None,
) -> SourceFacts:
    """Read these paths."""
    needed = NeededSources(folders=folders, dockerfiles=dockerfiles, others=others)
    return read_sources(root, needed, boundary=boundary or root, grants=Grants(folders=granted))


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
    facts = look(repository, folders=("api", "file", "gone", "a\0b"), dockerfiles=())
    assert {
        "api": FolderState.FOLDER,
        "file": FolderState.OTHER,
        "gone": FolderState.MISSING,
        "a\0b": FolderState.MISSING,
    } == facts.folders


def test_a_dockerfile_is_read_once_for_all_that_name_it(repository: Path) -> None:
    """The text of a Dockerfile; None where there is none, where it is a folder, and where it would make us wait."""
    os.mkfifo(repository / "api" / "pipe")
    names = ("api/Dockerfile", "api/gone", "api", "api/pipe")
    facts = look(repository, folders=(), dockerfiles=names)
    assert {"api/Dockerfile": "FROM scratch\n", "api/gone": None, "api": None, "api/pipe": None} == facts.dockerfiles


def test_a_huge_dockerfile_is_not_read_to_its_end(repository: Path) -> None:
    """One byte more than is allowed is read, so that the parser refuses it."""
    (repository / "api" / "Dockerfile").write_bytes(b"#" * (MAX_DOCKERFILE + 100))
    facts = look(repository, folders=(), dockerfiles=("api/Dockerfile",))
    assert MAX_DOCKERFILE + 1 == len(facts.dockerfiles["api/Dockerfile"] or "")


def test_links_out_of_the_repository_are_seen(repository: Path, tmp_path: Path) -> None:
    """A link inside is fine, wherever it stands in the path; one that leaves, directly or by a folder, is outside."""
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "Dockerfile").write_text("FROM scratch\n", encoding="utf-8")
    (repository / "alias").symlink_to("api")
    (repository / "leak").symlink_to(tmp_path / "secret")
    facts = look(repository, folders=("api", "alias", "leak"), dockerfiles=("alias/Dockerfile", "leak/Dockerfile"))
    assert {"leak", "leak/Dockerfile"} == facts.outside
    assert {"alias/Dockerfile": "FROM scratch\n", "leak/Dockerfile": None} == facts.dockerfiles


def test_what_is_outside_is_read_where_that_was_granted(repository: Path, tmp_path: Path) -> None:
    """What a Dockerfile says is shown in messages, so one elsewhere is read by leave of the user alone."""
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "Dockerfile").write_text("FROM base\n", encoding="utf-8")
    (repository / "link").symlink_to(tmp_path / "shared")
    names = ("../shared/Dockerfile", "link/Dockerfile")
    refused = look(repository, dockerfiles=names)
    assert dict.fromkeys(names) == refused.dockerfiles
    granted = look(repository, dockerfiles=names, granted=("../shared", "link"))
    assert dict.fromkeys(names, "FROM base\n") == granted.dockerfiles


def test_other_files_are_held_against_the_same_boundary(repository: Path, tmp_path: Path) -> None:
    """A secret or a cache that is a link out of the repository is outside, too."""
    (tmp_path / "token").touch()
    (repository / "token").symlink_to(tmp_path / "token")
    (repository / "plain").touch()
    assert {"token"} == look(repository, others=("token", "plain")).outside


def test_a_path_that_is_written_outside_is_for_grants_to_judge(repository: Path) -> None:
    """`../x` says where it leads; only links lead elsewhere than they say."""
    facts = look(repository / "api", folders=("../..",), boundary=repository)
    assert frozenset() == facts.outside
