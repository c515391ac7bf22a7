from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from orchestrator.probe.git import read_git, tracks
from orchestrator.process.capture import Captured, capture
from orchestrator.tags.facts import Described, GitFacts, NoGit

TIME = 1_700_000_000
ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
}
IDENTITY = {
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@example.org",
    "GIT_AUTHOR_DATE": f"{TIME} +0000",
    "GIT_COMMITTER_DATE": f"{TIME} +0000",
}


def _git(folder: Path, *arguments: str) -> str:
    """Run git in a folder, and give what it printed."""
    command = ["git", "-c", "protocol.file.allow=always", *arguments]
    return subprocess.run(
        command, cwd=folder, env=ENVIRONMENT | IDENTITY, check=True, capture_output=True, text=True
    ).stdout.strip()


def _repository(folder: Path, commits: int = 1) -> str:
    """Make a repository with empty commits on `main`; gives the sha of HEAD."""
    folder.mkdir(exist_ok=True)
    _git(folder, "init", "--quiet", "--initial-branch=main")
    for number in range(commits):
        _git(folder, "commit", "--quiet", "--allow-empty", f"--message={number}")
    return _git(folder, "rev-parse", "HEAD")


def _read(folder: Path, *matches: str, env: Mapping[str, str] = ENVIRONMENT) -> GitFacts:
    facts = read_git(folder, matches, env=env)
    assert isinstance(facts, GitFacts)
    return facts


def _refusal(folder: Path, env: Mapping[str, str] = ENVIRONMENT) -> str:
    """Why there are no facts; there is a hint too."""
    facts = read_git(folder, (), env=env)
    assert isinstance(facts, NoGit)
    assert facts.hints
    return facts.reason


def test_a_clean_repository_is_read(tmp_path: Path) -> None:
    """Commit, branch, tags, time and what each glob describes."""
    _repository(tmp_path, commits=2)
    _git(tmp_path, "tag", "v1.2.0", "HEAD~1")
    _git(tmp_path, "tag", "--annotate", "--message=x", "api-v3.0.0")
    _git(tmp_path, "tag", "nightly")
    sha = _git(tmp_path, "rev-parse", "HEAD")
    expected = GitFacts(
        sha=sha,
        short_sha=sha[:12],
        branch="main",
        default_branch="main",
        tags_at_head=("api-v3.0.0", "nightly"),
        dirty=False,
        dirty_paths=(),
        commit_time=TIME,
        shallow=False,
        described=(
            Described(match="v*", tag="v1.2.0", distance=1),
            Described(match="api-v*", tag="api-v3.0.0", distance=0),
            Described(match="x*", tag=None, distance=2),
        ),
    )

    assert expected == _read(tmp_path, "v*", "api-v*", "x*", "v*")


def test_the_highest_reachable_tag_is_described(tmp_path: Path) -> None:
    """Not the nearest one, and not one of another branch."""
    _repository(tmp_path, commits=3)
    _git(tmp_path, "tag", "v1.10.0", "HEAD~2")
    _git(tmp_path, "tag", "v1.9.0", "HEAD~1")
    _git(tmp_path, "checkout", "--quiet", "-b", "other", "HEAD~1")
    _git(tmp_path, "commit", "--quiet", "--allow-empty", "--message=other")
    _git(tmp_path, "tag", "v9.0.0")
    _git(tmp_path, "checkout", "--quiet", "main")

    assert (Described(match="v*", tag="v1.10.0", distance=2),) == _read(tmp_path, "v*").described


def test_a_detached_head_has_no_branch(tmp_path: Path) -> None:
    """As in every release job, whatever the CI's own variables say."""
    _repository(tmp_path)
    _git(tmp_path, "checkout", "--quiet", "--detach")

    assert "" == _read(tmp_path, env=ENVIRONMENT | {"GITHUB_REF_NAME": "main"}).branch


def test_changes_make_it_dirty_but_our_own_folder_does_not(tmp_path: Path) -> None:
    """Changed, renamed, added and untracked files count; `.orchestrate` is where a build writes."""
    _repository(tmp_path)
    for name in ("a b", "old", "ü\nx"):
        (tmp_path / name).write_text(name * 99)
    _git(tmp_path, "add", ".")
    _git(tmp_path, "commit", "--quiet", "--message=files")
    (tmp_path / ".orchestrate").mkdir()
    (tmp_path / ".orchestrate" / "x").write_text("")
    assert (False, ()) == (_read(tmp_path).dirty, _read(tmp_path).dirty_paths)

    (tmp_path / "a b").write_text("changed")
    _git(tmp_path, "mv", "old", "new name")
    (tmp_path / "ü\nx").unlink()
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "untracked").write_text("")
    facts = _read(tmp_path / "sub")

    assert facts.dirty
    assert {"a b", "new name", "ü\nx", "sub/"} == set(facts.dirty_paths)


def test_only_the_first_dirty_paths_are_kept(tmp_path: Path) -> None:
    """A tree with thousands of changes is as dirty as one with ten."""
    _repository(tmp_path)
    for number in range(30):
        (tmp_path / str(number)).write_text("")

    assert 10 == len(_read(tmp_path).dirty_paths)


def test_the_default_branch_is_that_of_the_origin(tmp_path: Path) -> None:
    """A clone knows it from its origin; without one the configuration says it."""
    _repository(tmp_path / "origin")
    _git(tmp_path / "origin", "branch", "--move", "trunk/x")
    _git(tmp_path, "clone", "--quiet", "origin", "clone")

    assert "trunk/x" == _read(tmp_path / "clone").default_branch
    _git(tmp_path / "clone", "remote", "remove", "origin")
    _git(tmp_path / "clone", "config", "init.defaultBranch", "devel")
    assert "devel" == _read(tmp_path / "clone").default_branch


def test_a_shallow_clone_is_known_as_one(tmp_path: Path) -> None:
    """What it says about tags and distances is not the whole truth."""
    _repository(tmp_path / "origin", commits=3)
    _git(tmp_path, "clone", "--quiet", "--depth=1", (tmp_path / "origin").as_uri(), "clone")

    assert (False, True) == (_read(tmp_path / "origin").shallow, _read(tmp_path / "clone").shallow)


def test_odd_tag_names_do_no_harm(tmp_path: Path) -> None:
    """Names that are no UTF-8 are left out; names that look like options or revisions are names."""
    sha = _repository(tmp_path, commits=2)
    packed = [f"{sha} refs/tags/{name}".encode() for name in ("-v1", "HEAD", "v1.0.0@x", "v$(x)", "vü")]
    packed.append(f"{sha} refs/tags/".encode() + b"v\xff\xfe")
    (tmp_path / ".git" / "packed-refs").write_bytes(b"\n".join(sorted(packed)) + b"\n")
    facts = _read(tmp_path, "*", "v$*")

    assert {"-v1", "HEAD", "v1.0.0@x", "v$(x)", "vü"} == set(facts.tags_at_head)
    assert ("v$(x)", 0) == (facts.described[1].tag, facts.described[1].distance)


def test_a_tag_named_like_an_option_is_counted_from(tmp_path: Path) -> None:
    """A distance is counted from exactly that tag."""
    sha = _repository(tmp_path)
    (tmp_path / ".git" / "packed-refs").write_text(f"{sha} refs/tags/--all\n")
    _git(tmp_path, "commit", "--quiet", "--allow-empty", "--message=later")

    assert (Described(match="-*", tag="--all", distance=1),) == _read(tmp_path, "-*").described


def test_variables_of_hooks_do_not_mislead(tmp_path: Path) -> None:
    """Within a hook GIT_DIR names another repository."""
    sha = _repository(tmp_path / "this")
    _repository(tmp_path / "other", commits=2)
    other = str(tmp_path / "other")
    env = ENVIRONMENT | {
        "GIT_DIR": f"{other}/.git",
        "GIT_WORK_TREE": other,
        "GIT_INDEX_FILE": f"{other}/.git/index",
        "GIT_OBJECT_DIRECTORY": f"{other}/.git/objects",
        "GIT_NAMESPACE": "x",
    }

    assert sha == _read(tmp_path / "this", env=env).sha


@pytest.mark.parametrize("key", ["core.fsmonitor", "core.pager", "gpg.program", "core.hooksPath", "core.sshCommand"])
def test_the_configuration_of_a_repository_starts_nothing(tmp_path: Path, key: str) -> None:
    """Looking at a repository of others runs no program of theirs, and writes nothing into it."""
    _repository(tmp_path / "this")
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    program = hooks / "post-index-change"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    program.chmod(0o755)
    (tmp_path / "this" / "file").write_text("")
    _git(tmp_path / "this", "add", "file")
    _git(tmp_path / "this", "config", "log.showSignature", "true")
    _git(tmp_path / "this", "config", key, str(hooks if key == "core.hooksPath" else program))
    os.utime(tmp_path / "this" / "file", (1, 1))
    index = (tmp_path / "this" / ".git" / "index").read_bytes()

    assert ("file",) == _read(tmp_path / "this", "v*").dirty_paths
    assert not (tmp_path / "started").exists()
    assert index == (tmp_path / "this" / ".git" / "index").read_bytes()


def test_a_changed_submodule_is_a_change(tmp_path: Path) -> None:
    """A commit in a submodule that is not recorded is not what is built elsewhere."""
    _repository(tmp_path / "library")
    _repository(tmp_path / "this")
    _git(tmp_path / "this", "submodule", "--quiet", "add", str(tmp_path / "library"), "library")
    _git(tmp_path / "this", "commit", "--quiet", "--message=library")
    assert not _read(tmp_path / "this").dirty

    _git(tmp_path / "this" / "library", "commit", "--quiet", "--allow-empty", "--message=more")

    assert ("library",) == _read(tmp_path / "this").dirty_paths


def test_a_folder_outside_a_repository_is_none(tmp_path: Path) -> None:
    """Nothing is known from git, and that is no error."""
    assert "this is no git repository" == _refusal(
        tmp_path, ENVIRONMENT | {"GIT_CEILING_DIRECTORIES": str(tmp_path.parent)}
    )


def test_a_repository_without_a_commit_is_none(tmp_path: Path) -> None:
    """There is no sha."""
    _git(tmp_path, "init", "--quiet")

    assert "no commit yet" in _refusal(tmp_path)


def test_a_bare_repository_is_none(tmp_path: Path) -> None:
    """It has no files to build."""
    _git(tmp_path, "init", "--quiet", "--bare")

    assert "bare" in _refusal(tmp_path)


def test_a_repository_of_another_user_is_refused(tmp_path: Path) -> None:
    """Git does not read it, and the hint is what git itself advises."""
    _repository(tmp_path)
    facts = read_git(tmp_path, (), env=ENVIRONMENT | {"GIT_TEST_ASSUME_DIFFERENT_OWNER": "1"}, capture=_as_other_owner)

    assert isinstance(facts, NoGit)
    assert "another user" in facts.reason
    assert f"git config --global --add safe.directory {tmp_path}" in facts.hints[0]


def _as_other_owner(
    argv: tuple[str, ...], *, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> Captured:
    """Run git as if the repository belonged to another user: git's own switch for its tests, which we drop."""
    return capture(argv, cwd=cwd, env={**(env or {}), "GIT_TEST_ASSUME_DIFFERENT_OWNER": "1"})


def test_a_machine_without_git_has_no_facts(tmp_path: Path) -> None:
    """Only what needs git fails there."""
    assert "`git` is not installed" in _refusal(tmp_path, {"PATH": str(tmp_path)})


def test_a_broken_repository_is_none(tmp_path: Path) -> None:
    """Git's own words are the reason."""
    _repository(tmp_path)
    shutil.rmtree(tmp_path / ".git" / "objects")
    (tmp_path / ".git" / "objects").mkdir()

    assert "git cannot read this repository: " in _refusal(tmp_path)


def test_what_git_tracks_below_a_folder(tmp_path: Path) -> None:
    """Whatever hides it, also in a project that is only a part of the repository; a name alike is another folder."""
    _repository(tmp_path)
    project = tmp_path / "sub"
    for folder in (".orchestrate/state/api", ".orchestrate/state-of-others"):
        (project / folder).mkdir(parents=True)
        (project / folder / "file").touch()
    (project / ".orchestrate/.gitignore").write_text("*\n")
    _git(project, "add", "--force", ".orchestrate/state-of-others")
    assert not tracks(project, ".orchestrate/state", env=ENVIRONMENT)
    _git(project, "add", "--force", ".orchestrate/state/api/file")
    assert tracks(project, ".orchestrate/state", env=ENVIRONMENT)


def test_nothing_is_tracked_without_a_repository(tmp_path: Path) -> None:
    """Nor where git cannot say so."""
    assert not tracks(tmp_path, ".orchestrate/state", env=ENVIRONMENT)
