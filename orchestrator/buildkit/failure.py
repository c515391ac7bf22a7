"""Why a `buildx build` failed: whose fault, and the lines that say so."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from orchestrator.api.backend import FailureKind, SolveFailure
from orchestrator.api.invocation import Outcome
from orchestrator.buildkit.excerpt import without_excerpts
from orchestrator.buildkit.progress import decode_text, parse_status

SHOWN_LINES: Final = 20
_LISTED: Final = 4

_TRANSIENT: Final = re.compile(
    r"connection reset by peer|i/o timeout|TLS handshake timeout|unexpected EOF|connection refused|"
    r"broken pipe|use of closed network connection|network is unreachable|no route to host|server misbehaving|"
    r"context deadline exceeded|Client\.Timeout exceeded|\bGOAWAY\b|"
    r"\b(?:408|429|500|502|503|504) (?:Request Time|Too Many|Internal|Bad Gateway|Service Unavail|Gateway)|"
    r"unexpected status(?: from \w+ request)?.*: (?:408|429|50[0234])|temporary failure in name resolution|"
    r"toomanyrequests|"
    r"active key during commit: snapshot|"  # BuildKit, where another client that built the same was killed
    r"blob unknown to registry|"  # Distribution, while another client uploads the same blob
    r"@sha256:[0-9a-f]{64}: not found",  # a plan names no digest that did not stand: registries of many machines
    re.IGNORECASE,
)
_CUT_OFF: Final = ": EOF"
_TALK: Final = re.compile(r"https?://|\btcp\b|failed to (?:push|copy|fetch|authorize)|httpReadSeeker", re.IGNORECASE)
"""What stands in a line about a talk with a registry: of a file that ends too soon Go says the same."""
_INFRASTRUCTURE: Final = re.compile(
    r"Cannot connect to the Docker daemon|error reading from server: EOF|failed to receive status|"
    r"no builder|closing transport|context canceled: while waiting",
    re.IGNORECASE,
)
_PUSH: Final = "failed to push "
_PLUGIN_KILLED: Final = frozenset({137, 255})
"""How `docker` ends where its plugin was killed: buildx itself ends otherwise, and says why."""
_USER: Final = re.compile(
    r"did not complete successfully: exit code|dockerfile parse error|failed to process", re.IGNORECASE
)


def describe_failure(outcome: Outcome, *, command: str = "docker buildx build") -> SolveFailure:
    """What an unsuccessful outcome means; `lines` are the last of the failing vertex, else of the child."""
    if outcome.timed_out:
        # the user set the limit: three times the limit is not what they meant
        return SolveFailure(kind=FailureKind.USER, message="stopped: it took longer than its `timeout`")
    if outcome.signal or (outcome.exit_code in _PLUGIN_KILLED and "\nERROR:" not in f"\n{outcome.stderr}"):
        # what is said meanwhile, such as that a build was cancelled, comes of that
        message = f"`{command}` was killed: it ended with {_ending(outcome)}"
        return SolveFailure(kind=FailureKind.INFRASTRUCTURE, message=message)
    plain: list[str] = []
    logs: dict[str, list[str]] = {}
    failed = message = cause = ""
    for line in outcome.stderr.splitlines():
        status = parse_status(line)
        if status is None:
            plain.append(line)
            continue
        for log in status.logs or ():
            logs.setdefault(log.vertex, []).extend(decode_text(log.data).splitlines())
        for vertex in status.vertexes or ():
            if vertex.error and "context canceled" not in vertex.error:
                failed, cause = vertex.digest, vertex.error
                message = f"{vertex.name}: {cause}"
    error = error_line(plain) or message or f"`{command}` ended with {_ending(outcome)}"
    return explain(error, cause, logs.get(failed) or _told(plain))


def explain(error: str, cause: str, lines: Sequence[str]) -> SolveFailure:
    """The failure of a solve: what buildx says of it, what its vertex said, and the lines before.

    Neither holds what a program of the user's has printed, and of one that failed both say so.
    """
    return SolveFailure(
        kind=_kind(error + "\n" + cause),
        message=error,
        lines=tuple(lines[-SHOWN_LINES:]),
        by_registry=error.startswith(_PUSH),
    )


def _told(plain: list[str]) -> list[str]:
    """What else was printed: the error is the message, and where it is comes apart from it."""
    lines = without_excerpts("\n".join(plain)).split("\n")
    return [line for line in lines if line.strip() and not line.startswith("ERROR:")]


def error_line(lines: list[str]) -> str:
    """What the error says; where it ends with a colon, with what is listed below it."""
    for number in reversed(range(len(lines))):
        if lines[number].startswith("ERROR:"):
            text = lines[number].removeprefix("ERROR:").strip()
            text = text.removeprefix("failed to build: ").removeprefix("failed to solve: ")
            listed = (
                "; ".join(filter(None, map(str.strip, lines[number + 1 : number + 1 + _LISTED])))
                if text.endswith(":")
                else ""
            )
            return f"{text} {listed}".rstrip()
    return ""


def _ending(outcome: Outcome) -> str:
    return f"signal {outcome.signal}" if outcome.signal else f"exit code {outcome.exit_code}"


def _kind(text: str) -> FailureKind:
    if _USER.search(text):
        return FailureKind.USER
    if _INFRASTRUCTURE.search(text):
        return FailureKind.INFRASTRUCTURE
    return FailureKind.TRANSIENT if _TRANSIENT.search(text) or _is_cut_off(text) else FailureKind.USER


def _is_cut_off(text: str) -> bool:
    """Whether a connection ended before an answer was over."""
    return any(line.rstrip().endswith(_CUT_OFF) and _TALK.search(line) for line in text.splitlines())
