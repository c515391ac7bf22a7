"""What of a saved plan is no longer true, named."""

from __future__ import annotations

from orchestrator.oci.digest import digest_bytes, short
from orchestrator.plan.context import Listing
from orchestrator.plan.differences import Difference
from orchestrator.plan.facts import TagState
from orchestrator.plan.frozen import Overrides
from orchestrator.plan.inputs import InputManifest
from orchestrator.plan.memory import Memory, RememberedPart
from orchestrator.plan.stale import (
    stale_declarations,
    stale_grants,
    stale_inputs,
    stale_memory,
    stale_overrides,
    stale_tags,
)

ONE, TWO = digest_bytes(b"one"), digest_bytes(b"two")


def listing(content: str) -> Listing:
    """A context of one file."""
    return Listing(records=(b"app\0f0644\0" + digest_bytes(content.encode()).removeprefix("sha256:").encode() + b"\0",))


def manifest(context: Listing | None = None, **fields: object) -> InputManifest:
    """What a build is made from."""
    contexts = (("", str(context.digest)),) if context else ()
    return InputManifest(platform="linux/amd64", dockerfile=ONE, contexts=contexts, **fields)  # type: ignore[arg-type]  # test data


def messages(found: object) -> list[str]:
    """What is told."""
    return [one.message for one in found]  # type: ignore[attr-defined]  # `Stale` has one


def test_a_changed_file_is_named_once_for_all_builds() -> None:
    """With its path, where both listings are known."""
    before, after = listing("a"), listing("b")
    then = {"api@linux/amd64": manifest(before), "api@linux/arm64": manifest(before)}
    now = {"api@linux/amd64": manifest(after), "api@linux/arm64": manifest(after)}
    found = stale_inputs(then, now, {before.digest: before}, {after.digest: after})
    assert ["`api@linux/amd64`, `api@linux/arm64`: files changed: `app`"] == messages(found)
    found = stale_inputs(then, now, {}, {after.digest: after})
    assert ["`api@linux/amd64`, `api@linux/arm64`: files of `the context` changed; which ones is not known here"] == (
        messages(found)
    )


def test_what_follows_from_a_parent_is_left_out() -> None:
    """The parent is named, and that is where to look."""
    then = {"base@p": manifest(listing("a")), "leaf@p": manifest(parents=(("base", ONE),))}
    now = {"base@p": manifest(listing("b")), "leaf@p": manifest(parents=(("base", TWO),))}
    assert 1 == len(messages(stale_inputs(then, now, {}, {})))
    assert [] == messages(stale_inputs(then, then, {}, {}))


def test_what_cannot_be_told_any_more_is_not_the_same() -> None:
    """Something that was known and is not may have changed."""
    then, now = {"a@p": manifest(images=(("debian", ONE),))}, {"a@p": manifest(images=(("debian", "unknown"),))}
    assert ["`a@p`: what it is made from cannot be told any more"] == messages(stale_inputs(then, now, {}, {}))


def test_a_moved_tag_is_named_with_both_digests() -> None:
    """But one that has what this plan makes was put by an earlier try."""
    then = {"r/a:1": TagState(digest=ONE), "r/a:2": TagState()}
    now = {"r/a:1": TagState(digest=TWO), "r/a:2": TagState(digest=TWO)}
    assert [
        f"tag `r/a:1` pointed at {short(ONE)} when it was planned, and points at {short(TWO)} now",
        f"tag `r/a:2` pointed at nothing when it was planned, and points at {short(TWO)} now",
    ] == messages(stale_tags(then, now, {}))
    assert [] == messages(stale_tags(then, now, {"r/a:1": TWO, "r/a:2": TWO}))
    assert 1 == len(messages(stale_tags(then, {"r/a:1": TagState(digest=None)}, {"r/a:1": None})))


def test_a_registry_that_does_not_answer_is_not_the_same() -> None:
    """A tag of which nobody knows where it points may have moved."""
    found = stale_tags({"r/a:1": TagState(digest=ONE)}, {"r/a:1": TagState(unknown="no answer")}, {})
    assert ["tag `r/a:1` could not be looked up: no answer"] == messages(found)


def test_what_is_taken_over_has_to_stand() -> None:
    """As the same record."""
    part = RememberedPart(record=ONE, manifest=ONE, key="k")
    then = Memory(parts={"a@p": part, "b@p": part})
    now = Memory(parts={"b@p": RememberedPart(record=TWO, manifest=ONE, key="k")})
    assert [
        f"`a@p` stood as {short(ONE)} then, and is not there any more",
        f"`b@p` stood as {short(ONE)} then, and stands as {short(TWO)} now",
    ] == messages(stale_memory(then, now))
    assert [] == messages(stale_memory(then, then))


def test_what_was_verified_and_tested_has_to_be_so_still() -> None:
    """A plan that only claims it releases nothing."""
    then = Memory(images={"a": ONE}, tested=("a@p", "b@p"))
    now = Memory(images={"a": TWO}, tested=("b@p",))
    assert [
        f"`a` was verified as {short(ONE)} then, and that does not stand any more",
        "`a@p` had passed its test then, and nothing says so any more",
    ] == messages(stale_memory(then, now))
    assert [] == messages(stale_memory(then, then))


def test_overrides_have_to_be_said_again() -> None:
    """Of assignments the values are nobody's business."""
    then = Overrides(variables={"GO": "1"}, registry="r", assignments=("api.args.X=secret",))
    assert [
        "var `GO` is `1` in the plan, and not given here",
        "`--registry` is `r` in the plan, and not given here",
        "`--set` says otherwise here than in the plan: `api.args.X`",
    ] == messages(stale_overrides(then, Overrides()))
    assert [] == messages(stale_overrides(then, then))


def test_grants_are_of_this_machine() -> None:
    """More of them than the plan needs is nobody's harm."""
    then, now = Overrides(allow=("read=../x",)), Overrides(allow=("read=../x", "network.host"))
    assert [] == messages(stale_grants(then, now))
    assert ["the plan was granted `network.host`"] == messages(stale_grants(now, then))


def test_a_long_difference_is_cut() -> None:
    """A command has many words."""
    difference = Difference(subject="solve:a", attribute="argv", before=("x" * 500,), after=())
    (message,) = messages(stale_declarations((difference,)))
    assert message.startswith("`solve:a`: argv would be nothing now, and is `xxx")
    assert len(message) < 300
