"""`read_changes`: what differs between a commit and the working tree, which is what would be built.

Uncommitted and untracked files count. Of files that git ignores nobody knows what they were; so do all of `.git`, which
is part of a context that does not leave it out. Where git was told to believe a file unchanged, it is not believed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

from orchestrator.plan.changes import Changes, Location
from orchestrator.probe.git import OWN_FOLDER
from orchestrator.probe.revision import GitReader, Revision

_DIFF: Final = (
    "diff", "--raw", "-z", "--no-abbrev", "--no-renames", "--no-relative", "--no-ext-diff", "--no-textconv",
    "--no-color", "--ignore-submodules=none",
)  # fmt: skip
_LINK: Final = b"120000"
_SUBMODULE: Final = b"160000"
_CACHED: Final = b"H"
_MOST_LINKS: Final = 40
"""As Linux has it."""


def read_changes(git: GitReader, revision: Revision, root: str) -> Changes:
    """Ask git, which runs in the top folder; our own folder beneath `root` is no change.

    Raises:
        OrchestratorError: git cannot be asked, or fails.
    """
    reading = _Reading(revision.top, root)
    reading.compare(git.read(*_DIFF, revision.commit, "--"))
    reading.distrust(git.read("ls-files", "--stage", "-v", "-z"))
    reading.add(git.read("ls-files", "--others", "--exclude-standard", "-z"), reading.paths)
    reading.add(git.read("ls-files", "--others", "--ignored", "--exclude-standard", "-z"), reading.hidden)
    reading.add_repository()
    return reading.changes()


class _Reading:
    """What was understood of git's output so far."""

    def __init__(self, top: str, root: str) -> None:
        self.paths: set[str] = set()
        self.hidden: set[str] = set()
        self._trees: set[str] = set()
        self._links: dict[str, str] = {}
        self._top = top
        own = os.path.normpath(os.path.join(os.path.relpath(root, top), OWN_FOLDER))  # noqa: PTH118 (paths are text)
        self._own = f"{own}/"

    def compare(self, output: bytes) -> None:
        """`:modes, objects and status` and a path, in turns."""
        fields = iter(output.split(b"\0"))
        for entry in fields:
            if not entry.startswith(b":"):
                continue
            before, now = entry[1:].split(b" ", 2)[:2]
            path = os.fsdecode(next(fields, b""))
            if _SUBMODULE in {before, now}:
                self._trees.add(path)
            else:
                self.paths.add(path)
            if _LINK in {before, now}:
                self._links[path] = self._target(path)

    def distrust(self, output: bytes) -> None:
        """All that git tracks: links, and what it is told to believe unchanged or left out."""
        for entry in output.split(b"\0"):
            head, _, name = entry.partition(b"\t")
            if not name:
                continue
            tag, mode = head.split(b" ", 2)[:2]
            if mode == _LINK:
                path = os.fsdecode(name)
                self._links.setdefault(path, self._target(path))
            if tag != _CACHED:
                (self._trees if mode == _SUBMODULE else self.paths).add(os.fsdecode(name))

    def add(self, output: bytes, paths: set[str]) -> None:
        """Files that git does not track; a slash at the end is a repository within this one."""
        for name in output.split(b"\0"):
            path = os.fsdecode(name)
            if not path or path.startswith(self._own):
                continue
            paths.add(path.removesuffix("/"))
            if path.endswith("/"):
                self._trees.add(path.removesuffix("/"))
            elif os.path.islink(f"{self._top}/{path}"):  # noqa: PTH114 (there may be 100,000 of them)
                self._links[path] = self._target(path)

    def add_repository(self) -> None:
        """What git keeps for itself differs in every clone."""
        folder = f"{self._top}/.git"
        self.hidden.add(".git/HEAD" if os.path.isdir(folder) else ".git")  # noqa: PTH112 (paths are text here)

    def changes(self) -> Changes:
        """All of it."""
        return Changes(
            paths=frozenset(self.paths - self._trees),
            trees=frozenset(self._trees),
            hidden=frozenset(self.hidden),
            links=self._links,
        )

    def _target(self, path: str) -> str:
        """Where a link leads now; one that is gone leads nowhere else."""
        try:
            return os.readlink(f"{self._top}/{path}")  # noqa: PTH115 (as above)
        except OSError:
            return "."


def locate(top: str, root: str, path: str) -> Location:
    """Where a path, relative to `root`, leads in the working tree `top`, whether it is there or not."""
    via: list[str] = []
    followed = 0
    resolved: list[str] = []
    left = os.path.normpath(os.path.join(root, path)).split("/")[::-1]  # noqa: PTH118 (paths are text here)
    while left:
        part = left.pop()
        if part in {"", "."}:
            continue
        if part == "..":
            del resolved[-1:]
            continue
        link = "/" + "/".join((*resolved, part))
        try:
            target = os.readlink(link)  # noqa: PTH115 (as above)
        except (OSError, ValueError):
            resolved.append(part)
            continue
        via += _beneath(top, link)
        followed += 1
        if followed > _MOST_LINKS:
            return Location(path=None, via=tuple(via))
        if target.startswith("/"):
            resolved.clear()
        left += target.split("/")[::-1]
    return Location(path=next(_beneath(top, "/" + "/".join(resolved)), None), via=tuple(via))


def _beneath(top: str, path: str) -> Iterator[str]:
    """A path relative to `top`, where it is beneath it."""
    if path == top:
        yield ""
    elif path.startswith(top.rstrip("/") + "/"):
        yield path[len(top.rstrip("/")) + 1 :]
