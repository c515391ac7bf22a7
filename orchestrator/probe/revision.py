"""`find_revision`: the commit that `--since REF` means, which is the last one that REF and HEAD have in common.

So it is what a pull request shows, and what `git diff REF...` shows: what others did on REF meanwhile does not count.
Whatever cannot be told is an error. It is never taken for "nothing changed".
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from orchestrator.errors import UsageError
from orchestrator.model import Model
from orchestrator.probe.git import GIT, SHORT_LENGTH, first_line, git_environment, no_repository
from orchestrator.process.capture import Captured, capture

_SECONDS: Final = 120.0
_MOST_BYTES: Final = 256 * 1024 * 1024
_LONGEST: Final = 1000
_EXAMPLE: Final = "for example `--since origin/main`, `--since v1.2` or `--since HEAD~3`"
_DEEPEN: Final = (
    "bring the rest: `git fetch --unshallow`",
    "in GitHub Actions set `fetch-depth: 0` for `actions/checkout`, in GitLab `GIT_DEPTH: 0`",
)
_OBJECT: Final = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?\Z")
_NOWHERE: Final = re.compile(r"0{40}(?:0{24})?\Z")


class Revision(Model):
    """The commit to compare with: `commit` is the last that `ref` and HEAD have in common, `top` the working tree."""

    ref: str
    commit: str
    top: str

    @property
    def short(self) -> str:
        """The commit as people read it."""
        return self.commit[:SHORT_LENGTH]


class GitReader:
    """Asks git about the repository that a folder is in; starts nothing of the repository's."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self._environment = git_environment(environment)

    def ask(self, *arguments: str, stdin: bytes = b"") -> Captured:
        """Run git, however it ends.

        Raises:
            OrchestratorError: git is not installed, takes too long, or prints too much.
        """
        return capture(
            (*GIT, *arguments),
            cwd=self.folder,
            env=self._environment,
            timeout=_SECONDS,
            stdin=stdin,
            limit=_MOST_BYTES,
        )

    def read(self, *arguments: str, stdin: bytes = b"") -> bytes:
        """What git prints.

        Raises:
            UsageError: git fails.
            OrchestratorError: as `ask`.
        """
        answer = self.ask(*arguments, stdin=stdin)
        if answer.exit_code:
            raise self.refusal(answer)
        return answer.stdout

    def refusal(self, answer: Captured) -> UsageError:
        """The error for a git that failed."""
        reason = no_repository(first_line(answer.stderr), self.folder)
        hints = reason.hints or ("`--since` compares with a commit: run it in a clone",)
        return UsageError(f"`--since` cannot ask git: {reason.reason}", hints=hints)


def find_revision(git: GitReader, ref: str) -> Revision:
    """Find the commit that `ref` and HEAD have in common.

    Raises:
        UsageError: `ref` names no commit, or what is needed of history is not here.
        OrchestratorError: git cannot be asked.
    """
    _check_text(ref)
    top, is_shallow = _look_around(git)
    head = _resolve(git, "HEAD")
    if head is None:
        message = "`--since` needs a commit, and the git repository has none yet"
        raise UsageError(message, hints=("commit something first",))
    commit = _resolve(git, ref)
    if commit is None:
        raise _unknown_ref(ref, is_shallow=is_shallow)
    return Revision(ref=ref, commit=_find_common(git, ref, commit, head, is_shallow=is_shallow), top=top)


def _check_text(ref: str) -> None:
    if not ref:
        message = "`--since=`: expected REF"
        raise UsageError(message, hints=(_EXAMPLE,))
    if ref.startswith("-") or not ref.isprintable() or len(ref) > _LONGEST:
        shown = "".join(letter if letter.isprintable() else "?" for letter in ref[:80])
        message = f"`--since={shown}` is no name of a commit"
        raise UsageError(message, hints=(_EXAMPLE,))


def _look_around(git: GitReader) -> tuple[str, bool]:
    """The top of the working tree, and whether the clone is shallow."""
    answer = git.ask("rev-parse", "--is-shallow-repository", "--is-inside-work-tree", "--show-toplevel")
    shallow, inside, *rest = (*answer.stdout.split(b"\n", 2), b"", b"")
    if answer.exit_code or shallow not in {b"true", b"false"} or inside != b"true":
        raise git.refusal(answer)
    return os.path.realpath(os.fsdecode(rest[0].removesuffix(b"\n"))), shallow == b"true"


def _resolve(git: GitReader, ref: str) -> str | None:
    """The commit of a name; None where there is none here."""
    answer = git.ask("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
    commit = answer.stdout.decode("ascii", "replace").strip()
    return commit if answer.exit_code == 0 and _OBJECT.match(commit) else None


def _unknown_ref(ref: str, *, is_shallow: bool) -> UsageError:
    if _NOWHERE.match(ref):
        hint = "CI says so of the first push of a branch: compare with another one, `--since origin/main`"
        return UsageError(f"`--since {ref}`: zeros stand for no commit", hints=(hint,))
    if is_shallow:
        return UsageError(f"`--since {ref}`: this clone is shallow and has no such commit", hints=_DEEPEN)
    hint = "`git fetch origin` brings what is new there; a branch of it is called `origin/NAME`"
    return UsageError(f"`--since {ref}`: there is no such commit in this repository", hints=(hint, _EXAMPLE))


def _find_common(git: GitReader, ref: str, commit: str, head: str, *, is_shallow: bool) -> str:
    answer = git.ask("merge-base", commit, head)
    common = answer.stdout.decode("ascii", "replace").strip()
    if answer.exit_code == 0 and _OBJECT.match(common):
        if is_shallow and common not in {commit, head}:
            _check_history(git, ref, common, (commit, head))
        return common
    if is_shallow:
        raise _cut_off(ref)
    if answer.exit_code > 1:
        raise git.refusal(answer)
    message = f"`--since {ref}`: it has no commit in common with HEAD, so nobody can say what changed since"
    raise UsageError(message, hints=("name a commit of the same history", _EXAMPLE))


def _check_history(git: GitReader, ref: str, common: str, tips: tuple[str, str]) -> None:
    """What a shallow clone takes for the last common commit may be an earlier one, if history is cut off before it.

    Commits at the cut look like the first ones of all.
    """
    if git.read("rev-list", "--max-count=1", "--max-parents=0", *tips, f"^{common}"):
        raise _cut_off(ref)


def _cut_off(ref: str) -> UsageError:
    message = f"`--since {ref}`: this clone is shallow, and the last commit in common with HEAD is not known"
    return UsageError(message, hints=_DEEPEN)
