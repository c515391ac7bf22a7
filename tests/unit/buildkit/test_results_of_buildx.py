from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.api.backend import FailureKind, SolveFailure, SolveResult
from orchestrator.api.invocation import DigestOf, Outcome, render_word
from orchestrator.api.solve import NoOutput, SourcePin
from orchestrator.buildkit.failure import SHOWN_LINES, describe_failure
from orchestrator.buildkit.metadata import parse_metadata
from orchestrator.buildkit.policy import render_policy
from orchestrator.buildkit.results import read_result
from orchestrator.oci.digest import digest_bytes
from tests.unit.buildkit.solves import LAYOUT, encode, outcome, solve, status

DIGEST = digest_bytes(b"an index")
META = {"containerimage.digest": DIGEST, "buildx.build.ref": "default/default/x", "image.name": "x"}


def test_the_digest_is_read_from_the_metadata() -> None:
    """Whatever else stands there."""
    assert DIGEST == parse_metadata(json.dumps(META).encode())


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"{}", b'{"containerimage.digest": 5}', b'{"containerimage.digest": "x"}', b"\xff"]
)
def test_metadata_without_a_digest_is_refused(content: bytes) -> None:
    """It says so, and nothing else is raised."""
    with pytest.raises(ValueError, match=r"metadata|digest"):
        parse_metadata(content)


@given(st.binary(max_size=60))
def test_any_metadata_is_read_or_refused(content: bytes) -> None:
    """There is no other error."""
    try:
        parse_metadata(content)
    except ValueError:
        return


def test_a_push_gives_a_digest() -> None:
    """The exit code says that it was pushed, the metadata what."""
    assert SolveResult(digest=DIGEST) == read_result(solve(), outcome(metadata=META))


def test_a_layout_gives_a_folder_too() -> None:
    """The one that the engine made."""
    expected = SolveResult(digest=DIGEST, path="/run/layout")
    assert expected == read_result(solve(output=LAYOUT), outcome(metadata=META))


def test_of_what_is_not_kept_success_is_all() -> None:
    """There is no digest, and no file that could have one."""
    assert SolveResult() == read_result(solve(output=NoOutput()), outcome())
    assert isinstance(read_result(solve(output=NoOutput()), outcome(exit_code=1)), SolveFailure)


@pytest.mark.parametrize("metadata", [None, {}], ids=["none", "empty"])
def test_success_without_metadata_is_a_failure(metadata: object) -> None:
    """Nobody knows what was pushed; it is not the user's fault."""
    result = read_result(solve(), outcome(metadata=metadata))
    assert isinstance(result, SolveFailure)
    assert FailureKind.INFRASTRUCTURE is result.kind


def failed(*lines: str, exit_code: int = 1) -> SolveFailure:
    """What these lines on stderr mean."""
    found = read_result(solve(), outcome(exit_code, "\n".join(lines)))
    assert isinstance(found, SolveFailure)
    return found


RUN = 'process "/bin/sh -c make" did not complete successfully: exit code: 2'


def test_a_run_that_fails_is_told_with_its_last_lines() -> None:
    """Those of the vertex that failed, not of others that ran beside it."""
    lines = "".join(f"line {number}\n" for number in range(30))
    found = failed(
        status(logs=[{"vertex": "v", "data": encode(lines)}, {"vertex": "w", "data": encode("other\n")}]),
        status(vertexes=[{"digest": "w", "name": "w", "error": "context canceled"},
                         {"digest": "v", "name": "[2/2] RUN make", "error": RUN}]),
        f"ERROR: failed to build: failed to solve: {RUN}",
    )  # fmt: skip
    assert (FailureKind.USER, RUN) == (found.kind, found.message)
    assert tuple(f"line {number}" for number in range(30 - SHOWN_LINES, 30)) == found.lines


def test_without_an_error_line_the_vertex_tells() -> None:
    """As where the child was killed before it could."""
    found = failed(status(vertexes=[{"digest": "v", "name": "[1/1] RUN x", "error": "boom"}]))
    assert ("[1/1] RUN x: boom", ()) == (found.message, found.lines)


def test_without_anything_the_exit_code_tells() -> None:
    """Plain lines are shown."""
    found = failed("something", "", exit_code=125)
    assert ("`docker buildx build` ended with exit code 125", ("something",)) == (found.message, found.lines)


def test_a_time_limit_is_the_users_word() -> None:
    """It is not tried again, which would take as long once more."""
    found = describe_failure(Outcome(exit_code=1, timed_out=True))
    assert (FailureKind.USER, True) == (found.kind, "timeout" in found.message)


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (f"ERROR: failed to solve: {RUN}", FailureKind.USER),
        (f"ERROR: failed to solve: {RUN} connection reset by peer", FailureKind.USER),
        ("ERROR: failed to solve: dockerfile parse error on line 3: unknown instruction: RNU", FailureKind.USER),
        ('ERROR: failed to solve: failed to compute cache key: "/x": not found', FailureKind.USER),
        ("ERROR: failed to solve: x: failed to resolve source metadata: docker.io/x: not found", FailureKind.USER),
        ('ERROR: failed to do request: Head "https://r.example/v2/": net/http: TLS handshake timeout',
         FailureKind.TRANSIENT),
        ("ERROR: failed to push r/x: unexpected status from PUT request to https://r/v2/x: 503 Service Unavailable",
         FailureKind.TRANSIENT),
        ("ERROR: failed to solve: failed to push r/x: unexpected status: 500", FailureKind.TRANSIENT),
        ("ERROR: failed to solve: read tcp 10.0.0.1:1->10.0.0.2:2: read: connection reset by peer",
         FailureKind.TRANSIENT),
        ("ERROR: failed to solve: dial tcp: lookup r.example: Temporary failure in name resolution",
         FailureKind.TRANSIENT),
        ("ERROR: failed to copy: unexpected status code https://registry-1.docker.io/v2/x: 429 Too Many Requests",
         FailureKind.TRANSIENT),
        ("ERROR: toomanyrequests: You have reached your pull rate limit.", FailureKind.TRANSIENT),
        ("ERROR: Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
         FailureKind.INFRASTRUCTURE),
        ("ERROR: failed to receive status: rpc error: code = Unavailable desc = error reading from server: EOF",
         FailureKind.INFRASTRUCTURE),
        ('ERROR: no builder "gone" found', FailureKind.INFRASTRUCTURE),
    ],
)  # fmt: skip
def test_whose_fault_it_is(line: str, kind: FailureKind) -> None:
    """What passes is tried again, what a user wrote is not, and a `RUN` never is."""
    assert kind is failed(line).kind


@given(st.text(max_size=200), st.integers(-10, 130))
def test_any_output_of_a_failure_is_described(text: str, exit_code: int) -> None:
    """With a message, and no more lines than are shown."""
    found = describe_failure(Outcome(exit_code=exit_code or 1, stderr=text))
    assert found.message
    assert len(found.lines) <= SHOWN_LINES


def test_a_policy_replaces_sources_exactly() -> None:
    """With the late values filled in it is the JSON that BuildKit reads (sourcepolicy/pb/policy.proto)."""
    pins = (
        SourcePin(
            source="docker-image://docker.io/library/base:latest",
            value=("docker-image://r.example/base@", DigestOf(step="assemble:base", label="base")),
        ),
        SourcePin(source='docker-image://"odd"', value='docker-image://"too"'),
    )
    filled = render_word(render_policy(pins)).replace("<digest of base>", DIGEST)
    assert {
        "rules": [
            {
                "action": "CONVERT",
                "selector": {"identifier": "docker-image://docker.io/library/base:latest", "matchType": "EXACT"},
                "updates": {"identifier": f"docker-image://r.example/base@{DIGEST}"},
            },
            {
                "action": "CONVERT",
                "selector": {"identifier": 'docker-image://"odd"', "matchType": "EXACT"},
                "updates": {"identifier": 'docker-image://"too"'},
            },
        ]
    } == json.loads(filled)
