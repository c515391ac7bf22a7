"""What buildx says of a push that a registry did not take."""

from __future__ import annotations

import base64
import json

import pytest

from orchestrator.api.backend import FailureKind
from orchestrator.api.invocation import Outcome
from orchestrator.buildkit.failure import describe_failure

LISTED = """\
ERROR: failed to build: failed to solve: failed to push r.example/x:run-1: errors:
unknown: provided digest did not match uploaded content
unknown: blob unknown to registry - sha256:0cd3

"""


def test_a_blob_that_another_client_uploads_is_tried_again() -> None:
    """Distribution does not know it for a moment, though it was there; the lines below the error say so."""
    found = describe_failure(Outcome(exit_code=1, stderr=LISTED))
    assert (FailureKind.TRANSIENT, True) == (found.kind, found.by_registry)
    assert found.message.endswith("; unknown: blob unknown to registry - sha256:0cd3")


def test_what_is_listed_below_an_error_belongs_to_it() -> None:
    """The message alone would end with a colon."""
    found = describe_failure(
        Outcome(exit_code=1, stderr="ERROR: failed to push r/x: errors:\ndenied: no\nunknown: y\n")
    )
    assert "failed to push r/x: errors: denied: no; unknown: y" == found.message


def test_a_parent_that_is_not_found_by_its_digest_is_asked_for_again() -> None:
    """It was put a moment ago, and a registry of many machines may not know it everywhere; a tag is the user's."""
    text = "ERROR: failed to solve: failed to resolve source metadata for r/x{0}: r/x{0}: not found\n"
    kinds = [
        describe_failure(Outcome(exit_code=1, stderr=text.format(name))).kind for name in ("@sha256:" + "0" * 64, ":1")
    ]
    assert [FailureKind.TRANSIENT, FailureKind.USER] == kinds


REQUEST = 'failed to do request: Head "https://r.example/v2/x/blobs/sha256:0": '
WIRE = (
    f"{REQUEST}EOF",
    "failed to push r/x: failed to copy: error getting writer status: EOF",
    f"{REQUEST}write tcp 10.0.0.1:1->10.0.0.2:443: write: broken pipe",
    f"{REQUEST}read tcp 10.0.0.1:1->10.0.0.2:443: use of closed network connection",
    f"{REQUEST}dial tcp 10.0.0.2:443: connect: network is unreachable",
    f"{REQUEST}dial tcp 10.0.0.2:443: connect: no route to host",
    f"{REQUEST}dial tcp: lookup r.example on 127.0.0.11:53: server misbehaving",
    f"{REQUEST}context deadline exceeded",
    f"{REQUEST}net/http: request canceled (Client.Timeout exceeded while awaiting headers)",
    f"{REQUEST}http2: server sent GOAWAY and closed the connection; LastStreamID=1, ErrCode=NO_ERROR",
    "failed to push r/x: unexpected status from PUT request to https://r.example/v2/x: 408 Request Timeout",
    "failed to copy: httpReadSeeker: failed open: unexpected status code https://r.example/v2/x: 408 Request Timeout",
)


@pytest.mark.parametrize("text", WIRE)
def test_what_a_network_does_to_buildkit_is_tried_again(text: str) -> None:
    """Where it says so itself, of the vertex or of the whole."""
    vertex = {"digest": "v", "name": "[internal] load metadata", "error": text}
    told = (f"ERROR: failed to build: failed to solve: {text}\n", json.dumps({"vertexes": [vertex]}) + "\n")
    kinds = [describe_failure(Outcome(exit_code=1, stderr=each)).kind for each in told]
    assert 2 * [FailureKind.TRANSIENT] == kinds


@pytest.mark.parametrize("text", WIRE)
def test_what_a_network_does_to_a_program_of_the_users_is_not(text: str) -> None:
    """Whether it prints that, or it stands in its command."""
    error = f"process \"/bin/sh -c ./fetch || echo '{text}'\" did not complete successfully: exit code: 1"
    lines = (
        {"vertexes": [{"digest": "v", "name": f"[2/2] RUN ./fetch || echo '{text}'", "error": error}]},
        {"logs": [{"vertex": "v", "data": base64.b64encode(f"ERROR: {text}\n".encode()).decode()}]},
    )
    stderr = "\n".join(map(json.dumps, lines)) + f"\n------\n > RUN:\n0.1 ERROR: {text}\n------\nERROR: {error}\n"
    found = describe_failure(Outcome(exit_code=1, stderr=stderr))
    assert (FailureKind.USER, (f"ERROR: {text}",)) == (found.kind, found.lines)


@pytest.mark.parametrize("text", WIRE)
def test_what_a_command_says_is_no_reason(text: str) -> None:
    """It may fail for want of something else, before it runs."""
    vertex = {"digest": "v", "name": f"[2/2] RUN ./fetch || echo '{text}'", "error": "secret t: not found"}
    stderr = json.dumps({"vertexes": [vertex]}) + "\nERROR: failed to solve: secret t: not found\n"
    assert FailureKind.USER == describe_failure(Outcome(exit_code=1, stderr=stderr)).kind


def test_a_file_that_ends_too_soon_is_the_users() -> None:
    """No network has anything to do with it."""
    assert FailureKind.USER == describe_failure(Outcome(exit_code=1, stderr="ERROR: failed to parse a.json: EOF")).kind


@pytest.mark.parametrize(
    ("outcome", "ending"),
    [
        (Outcome(exit_code=-1, signal=9, stderr="ERROR: failed to solve: Canceled: context canceled\n"), "signal 9"),
        (Outcome(exit_code=255, stderr='{"vertexes":[]}\n'), "exit code 255"),
    ],
    ids=["docker", "plugin"],
)
def test_a_child_that_was_killed_says_nothing_of_the_image(outcome: Outcome, ending: str) -> None:
    """By the kernel, where memory runs out: it is no fault of the user's, and what it said last is no reason."""
    found = describe_failure(outcome)
    assert FailureKind.INFRASTRUCTURE == found.kind
    assert f"`docker buildx build` was killed: it ended with {ending}" == found.message
