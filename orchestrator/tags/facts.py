"""What git says about a repository, as a value; the probe reads it."""

from __future__ import annotations

from orchestrator.model import Model


class Described(Model):
    """The highest tag that matches a glob and is reachable from HEAD, and how many commits HEAD is ahead of it.

    Without such a tag it is None, and the distance counts from the beginning.
    """

    match: str
    tag: str | None
    distance: int


class GitFacts(Model):
    """A repository with at least one commit.

    `branch` is empty on a detached HEAD; `commit_time` is in seconds since the epoch; `dirty_paths` are the first few
    changed or untracked paths. In a `shallow` clone tags and distances are those that the clone knows.
    """

    sha: str
    short_sha: str
    branch: str
    default_branch: str
    tags_at_head: tuple[str, ...]
    dirty: bool
    dirty_paths: tuple[str, ...]
    commit_time: int
    shallow: bool
    described: tuple[Described, ...] = ()

    def describe(self, match: str) -> Described | None:
        """What was read for a glob; None where the probe was not asked for it."""
        return next((described for described in self.described if described.match == match), None)


class NoGit(Model):
    """Why nothing is known from git."""

    reason: str
    hints: tuple[str, ...] = ("run this in a git repository with a commit",)
