"""What buildx says of a push that a registry did not take."""

from __future__ import annotations

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
