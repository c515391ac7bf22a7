"""`read_git`: what git says about the repository, in few children, and without starting anything of the repository's.

Names of branches and tags are bytes that anybody who may push chooses; what is no UTF-8 cannot be a version and is
left out. Variables such as GIT_DIR, which git sets for its hooks, would make it read another repository.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol

from orchestrator.errors import OrchestratorError
from orchestrator.model import Model
from orchestrator.process.capture import Captured, capture
from orchestrator.tags.facts import Described, GitFacts, NoGit
from orchestrator.tags.tagnames import highest_tag

OWN_FOLDER: Final = ".orchestrate"
MAX_DIRTY_PATHS: Final = 10
SHORT_LENGTH: Final = 12

GIT: Final = ("git", "--no-optional-locks", "-c", "core.fsmonitor=false", "-c", "core.quotePath=false")
_KEPT: Final = ("GIT_CONFIG_", "GIT_CEILING_DIRECTORIES", "GIT_DISCOVERY_ACROSS_FILESYSTEM")
_ORIGIN_HEAD: Final = "refs/remotes/origin/HEAD"
_ORIGIN: Final = "refs/remotes/origin/"
_INITIAL: Final = "(initial)"
_DETACHED: Final = "(detached)"
_TAG_FORMAT: Final = "%(refname:lstrip=2)%00%(objectname)%00%(*objectname)"
_RENAME: Final = "2 "
_FIELDS_BEFORE_PATH: Final = {"1": 8, "2": 9, "u": 10, "?": 1}


class Capture(Protocol):
    """Runs a child to its end: `orchestrator.process.capture.capture`."""

    def __call__(
        self, argv: tuple[str, ...], *, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> Captured:
        """Run `argv` in a folder, with an environment."""


class _GitError(Exception):
    """A git command failed; the message is git's own first line."""


class _Status(Model):
    """`git status`: the commit and branch of HEAD, and what was changed."""

    sha: str
    branch: str
    dirty_paths: tuple[str, ...]


class _Tag(Model):
    """A tag that is reachable from HEAD, and the objects it names: itself where annotated, and its commit."""

    name: str
    objects: tuple[str, ...]


def read_git(
    root: Path,
    matches: tuple[str, ...],
    capture: Capture = capture,
    *,
    env: Mapping[str, str] | None = None,
) -> GitFacts | NoGit:
    """Read the repository that `root` is in.

    Args:
        root: the project's folder.
        matches: globs of tags to describe, from `needed_matches`.
        capture: runs a child.
        env: the user's environment; ours unless given.
    """
    git = _Git(root, capture, os.environ if env is None else env)
    try:
        return git.read(matches)
    except OrchestratorError as error:
        return NoGit(reason=error.message, hints=error.hints)
    except _GitError as error:
        return no_repository(str(error), root)


def tracks(root: Path, folder: str, capture: Capture = capture, *, env: Mapping[str, str] | None = None) -> bool:
    """Whether git has files below a folder of the project, so that a commit of somebody else may have brought them."""
    git = _Git(root, capture, os.environ if env is None else env)
    try:
        return git.tracks(folder)
    except (OrchestratorError, _GitError):
        return False


def git_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a git that reads the repository of its folder, asks nobody and speaks English."""
    kept = {name: value for name, value in environment.items() if not name.startswith("GIT_") or name.startswith(_KEPT)}
    return kept | {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"}


def no_repository(message: str, root: Path) -> NoGit:
    """Why git refuses to read."""
    if "dubious ownership" in message or "unsafe repository" in message:
        hint = f"if you trust it: git config --global --add safe.directory {root.resolve()}"
        return NoGit(reason="git refuses this repository, because another user owns it", hints=(hint,))
    if "not a git repository" in message:
        return NoGit(reason="this is no git repository")
    return NoGit(reason=f"git cannot read this repository: {message}")


class _Git:
    """One repository."""

    def __init__(self, root: Path, capture: Capture, environment: Mapping[str, str]) -> None:
        self._root = root
        self._capture = capture
        self._environment = git_environment(environment)

    def tracks(self, folder: str) -> bool:
        """Whether something below this folder is in the index."""
        return bool(self._output("ls-files", "-z", "--", folder))

    def read(self, matches: tuple[str, ...]) -> GitFacts | NoGit:
        """Read everything; a child for each line, and one for each glob whose tag is not on HEAD."""
        # rev-parse prints what it can before it fails for want of origin/HEAD, which few clones in CI have
        kind = self._run(
            "rev-parse", "--is-shallow-repository", "--is-inside-work-tree", "--symbolic-full-name", _ORIGIN_HEAD
        )
        lines = _text(kind.stdout).splitlines()
        if not lines or lines[0] not in {"true", "false"}:
            raise _GitError(first_line(kind.stderr))
        if lines[1:2] != ["true"]:
            return NoGit(reason="this is a bare git repository, or a folder inside `.git`")
        status = _parse_status(self._output("status", "--porcelain=v2", "--branch", "-z", "--untracked-files=normal"))
        if status.sha == _INITIAL:
            return NoGit(reason="the git repository has no commit yet", hints=("commit something first",))
        time = self._output("rev-list", "--max-count=1", "--timestamp", "HEAD").split()[0]
        tags = _parse_tags(self._output("for-each-ref", "--merged=HEAD", f"--format={_TAG_FORMAT}", "refs/tags/"))
        at_head = tuple(tag.name for tag in tags if status.sha in tag.objects)
        return GitFacts(
            sha=status.sha,
            short_sha=status.sha[:SHORT_LENGTH],
            branch=status.branch,
            default_branch=self._default_branch(lines[2:3]),
            tags_at_head=at_head,
            dirty=bool(status.dirty_paths),
            dirty_paths=status.dirty_paths[:MAX_DIRTY_PATHS],
            commit_time=int(time),
            shallow=lines[0] == "true",
            described=tuple(self._describe(match, tags, at_head) for match in dict.fromkeys(matches)),
        )

    def _default_branch(self, origin_head: list[str]) -> str:
        if origin_head and origin_head[0].startswith(_ORIGIN) and origin_head[0] != _ORIGIN_HEAD:
            return origin_head[0].removeprefix(_ORIGIN)
        configured = self._run("config", "--get", "init.defaultBranch")
        return _text(configured.stdout).strip() or "main"

    def _describe(self, match: str, tags: tuple[_Tag, ...], at_head: tuple[str, ...]) -> Described:
        tag = highest_tag((tag.name for tag in tags), match)
        if tag in at_head:
            return Described(match=match, tag=tag, distance=0)
        excluded = () if tag is None else (f"^refs/tags/{tag}",)
        count = self._output("rev-list", "--count", "HEAD", *excluded)
        return Described(match=match, tag=tag, distance=int(count))

    def _output(self, *arguments: str) -> str:
        result = self._run(*arguments)
        if result.exit_code:
            raise _GitError(first_line(result.stderr))
        return _text(result.stdout)

    def _run(self, *arguments: str) -> Captured:
        return self._capture((*GIT, *arguments), cwd=self._root, env=self._environment)


def _text(output: bytes) -> str:
    return output.decode("utf-8", "replace")


def first_line(output: bytes) -> str:
    """What git says of its failure."""
    line = next(iter(_text(output).splitlines()), "").removeprefix("fatal: ")
    return "".join(letter for letter in line if letter.isprintable())[:200] or "it says nothing"


def _parse_status(output: str) -> _Status:
    """Porcelain v2 with NUL at the end of each entry; a rename has its old path in an entry of its own.

    Our own folder is no change: a build writes there before it publishes.
    """
    sha = branch = ""
    paths: list[str] = []
    entries = iter(output.split("\0"))
    for entry in entries:
        if entry.startswith("# branch.oid "):
            sha = entry.split(" ", 2)[2]
        elif entry.startswith("# branch.head "):
            branch = entry.split(" ", 2)[2]
        elif entry and not entry.startswith("#"):
            path = entry.split(" ", _FIELDS_BEFORE_PATH.get(entry[0], 1))[-1]
            if not (entry[0] == "?" and OWN_FOLDER in path.split("/")):
                paths.append(path)
            if entry.startswith(_RENAME):
                next(entries, "")
    return _Status(sha=sha, branch="" if branch == _DETACHED else branch, dirty_paths=tuple(paths))


def _parse_tags(output: str) -> tuple[_Tag, ...]:
    """One tag a line; a name that is no UTF-8 came through with replacement characters, and is left out."""
    lines = [line.split("\0") for line in output.split("\n") if line and "\ufffd" not in line]
    return tuple(_Tag(name=name, objects=tuple(objects)) for name, *objects in lines)
