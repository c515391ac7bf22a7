"""What became of the solves of one bake: its metadata file, or after a failure, what its progress says.

Bake stops all targets when one has failed, and then writes no metadata file. What its progress says was pushed is the
result of these solves and of nobody else's, whatever stood under their private names before.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from orchestrator.api import (
    Became,
    Digest,
    FailureKind,
    LayoutOutput,
    LowerRequest,
    NoOutput,
    Outcome,
    PushOutput,
    Solve,
    SolveFailure,
    SolveResult,
    SolveUnknown,
    parse_digest,
)
from orchestrator.buildkit.argv import METADATA
from orchestrator.buildkit.failure import describe_failure, error_line, explain
from orchestrator.buildkit.metadata import parse_metadata
from orchestrator.buildkit.progress import SolveStatus, decode_text, parse_status
from orchestrator_bake.lower import layout_folder, target_names
from orchestrator_bake.progress import split_name

_ENTRIES: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_PUSHED: Final = re.compile(r"pushing manifest for (\S+)@(sha256:[0-9a-f]{64})\Z")
_NAMED: Final = re.compile(r"target ([A-Za-z0-9_-]+): ")
_COMMAND: Final = "docker buildx bake"
_ENDED: Final = "did not complete successfully: exit code"
_CANCELLED: Final = "context canceled"


def read_results(request: LowerRequest, outcomes: tuple[Outcome, ...]) -> dict[str, Became]:
    """What became of each solve of a request."""
    (outcome,) = outcomes
    if outcome.succeeded:
        return _from_metadata(request, outcome)
    if outcome.timed_out:
        return dict.fromkeys((solve.id for solve in request.steps), describe_failure(outcome, command=_COMMAND))
    return _from_progress(request, outcome)


def _from_metadata(request: LowerRequest, outcome: Outcome) -> dict[str, Became]:
    names, content = target_names(request.steps), outcome.file(METADATA)
    paths = dict(outcome.paths)
    entries: Mapping[str, msgspec.Raw] = {}
    problem = "buildx ended with 0 and wrote no metadata file" if content is None else ""
    try:
        entries = _ENTRIES.decode(content or b"{}")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        problem = f"the metadata file of buildx cannot be read: {error}"
    return {
        solve.id: _result(solve, names[solve.id], entries, paths, problem)
        for solve in request.steps
    }  # fmt: skip


def _result(
    solve: Solve, target: str, entries: Mapping[str, msgspec.Raw], paths: Mapping[str, str], problem: str
) -> Became:
    if isinstance(solve.output, NoOutput):
        return SolveResult()
    if problem:
        return SolveFailure(kind=FailureKind.INFRASTRUCTURE, message=problem)
    try:
        digest = parse_metadata(bytes(entries.get(target, msgspec.Raw(b"{}"))))
    except ValueError as error:
        return SolveFailure(kind=FailureKind.INFRASTRUCTURE, message=f"target `{target}`: {error}")
    is_layout = isinstance(solve.output, LayoutOutput)
    return SolveResult(digest=digest, path=paths.get(layout_folder(target), "") if is_layout else "")


def _from_progress(request: LowerRequest, outcome: Outcome) -> dict[str, Became]:
    targets = {name: rank for rank, name in enumerate(target_names(request.steps).values())}
    seen = _Seen(targets)
    for line in outcome.stderr.splitlines():
        seen.take(line)
    failures = seen.failures(_ancestors(request))
    if not failures:
        return dict.fromkeys((solve.id for solve in request.steps), describe_failure(outcome, command=_COMMAND))
    return {
        solve.id: failures.get(rank) or SolveUnknown(digest=seen.pushed_by(solve))
        for rank, solve in enumerate(request.steps)
    }


def _ancestors(request: LowerRequest) -> list[set[int]]:
    """What each solve is linked to, near or far, by their numbers; parents come first."""
    ranks = {solve.id: rank for rank, solve in enumerate(request.steps)}
    above: list[set[int]] = [set() for _ in request.steps]
    for rank, solve in enumerate(request.steps):
        for parent in (ranks[link.parent] for link in request.links if link.step == solve.id):
            above[rank] |= {parent, *above[parent]}
    return above


class _Seen:
    """What the progress of a bake has said."""

    def __init__(self, targets: Mapping[str, int]) -> None:
        self._targets = targets
        self._plain: list[str] = []
        self._names: dict[str, set[int]] = {}
        self._errors: dict[str, str] = {}
        self._logs: dict[str, list[str]] = {}
        self._pushed: dict[str, Digest] = {}

    def take(self, line: str) -> None:
        """Take a line."""
        status = parse_status(line)
        if status is None:
            self._plain.append(line)
            return
        self._take_vertexes(status)
        for log in status.logs or ():
            self._logs.setdefault(log.vertex, []).extend(decode_text(log.data).splitlines())
        for part in status.statuses or ():
            match = _PUSHED.match(part.id)
            if match and part.completed:
                self._pushed[match[1]] = parse_digest(match[2])

    def _take_vertexes(self, status: SolveStatus) -> None:
        for vertex in status.vertexes or ():
            target, _ = split_name(vertex.name, self._targets)
            if target or len(self._targets) == 1:
                self._names.setdefault(vertex.digest, set()).add(self._targets.get(target, 0))
            if vertex.error and _CANCELLED not in vertex.error:
                self._errors[vertex.digest] = vertex.error

    def pushed_by(self, solve: Solve) -> Digest | None:
        """The digest that was pushed under the name that a solve has for it."""
        return self._pushed.get(str(solve.output.reference)) if isinstance(solve.output, PushOutput) else None

    def failures(self, ancestors: list[set[int]]) -> dict[int, SolveFailure]:
        """The failures by number of solve: of targets that share what failed, those that are no other's child.

        Whatever is stopped fails in its own way: only what bake's last word is about counts, and commands that ended.
        """
        told = error_line(self._plain)
        found: dict[int, SolveFailure] = {}
        for digest, error in self._errors.items():
            if error in told or _ENDED in error:
                for rank in _first(self._names.get(digest, set()), ancestors):
                    found.setdefault(rank, explain(error, error, self._logs.get(digest, ())))
        match = _NAMED.match(told)
        if not found and match and match[1] in self._targets:
            text = told[match.end() :].removeprefix("failed to solve: ")
            lines = [line for line in self._plain if line.strip()]
            found[self._targets[match[1]]] = explain(text, text, lines)
        return {rank: failure for rank, failure in found.items() if not ancestors[rank] & found.keys()}


def _first(ranks: Iterable[int], ancestors: list[set[int]]) -> set[int]:
    """Those that stand on none of the others."""
    given = set(ranks)
    return {rank for rank in given if not ancestors[rank] & given}
