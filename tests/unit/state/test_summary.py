"""What the summary says of images that were not verified, and of tags that an earlier try has moved."""

from __future__ import annotations

import msgspec
import pytest

from orchestrator.api.events import Event, StepFinished, StepState, TagPut, TagsKept
from orchestrator.api.outline import TagOutline
from orchestrator.oci.digest import digest_bytes
from orchestrator.plan.model import Plan
from orchestrator.state.summary import PART, moved_tags, parse_result, render_result, summarise_run, unsure_tags
from tests.unit.plan.samples import HEAD, compile_text

BUILT = ("solve:api", "record:api@linux/amd64", "record:api@linux/arm64")
BEFORE, AFTER = digest_bytes(b"before"), digest_bytes(b"after")
FIXED, MOVING = "r.example/acme/api:1.0", "r.example/acme/api:latest"


@pytest.fixture
def plan() -> Plan:
    """The release of one image."""
    return compile_text(HEAD + "[images.api]\n")


def ends(step: str, state: StepState = StepState.DONE, *, unsure: tuple[str, ...] = ()) -> StepFinished:
    """A step ends."""
    digest = AFTER if state is StepState.DONE else None
    return StepFinished(step=step, state=state, time=1.0, seconds=1.0, digest=digest, unsure=unsure)


def kept(before: str | None, after: str) -> TagsKept:
    """Tags are about to move, all alike."""
    return TagsKept(
        moves=tuple(TagOutline(reference=ref, before=before, after=after) for ref in (FIXED, MOVING)), time=1.0
    )


def put(ref: str, previous: str | None) -> TagPut:
    """A tag was put."""
    return TagPut(step="promote:api", reference=ref, digest=AFTER, previous=previous, time=1.0)


@pytest.mark.parametrize(
    ("last", "state"),
    [
        ((), "not built"),
        ((ends("assemble:api"),), "not built"),
        ((ends("assemble:api", StepState.CANCELLED),), "cancelled"),
        ((ends("assemble:api"), ends("verify:api", StepState.CANCELLED)), "cancelled"),
        ((ends("assemble:api", StepState.SKIPPED), ends("verify:api", StepState.SKIPPED)), "skipped"),
        ((ends("assemble:api"), ends("verify:api", StepState.FAILED)), "failed"),
        ((ends("assemble:api", StepState.FAILED), ends("verify:api", StepState.SKIPPED)), "failed"),
        ((ends("assemble:api"), ends("verify:api")), "verified"),
    ],
)
def test_an_image_whose_platforms_are_built_has_failed_only_where_something_has(
    plan: Plan, last: tuple[StepFinished, ...], state: str
) -> None:
    """Its own state is that of the step that did not end well, or of none that began."""
    events = [*map(ends, BUILT), *last]
    (image,) = summarise_run(plan, events, now="x").images
    assert (state, {"built"}) == (image.state, {build.state for build in image.platforms})


def test_a_part_is_no_whole_image(plan: Plan) -> None:
    """Its steps are those of some platforms, and the other machine assembles it."""
    part = msgspec.structs.replace(plan, steps=tuple(step for step in plan.steps if step.id in BUILT))
    (image,) = summarise_run(part, map(ends, BUILT), now="x").images
    assert PART == image.state


@pytest.mark.parametrize(
    ("events", "moved"),
    [
        ((put(FIXED, None),), (FIXED,)),
        ((put(FIXED, None), put(MOVING, BEFORE)), (FIXED, MOVING)),
        ((put(FIXED, AFTER),), ()),
        ((kept(BEFORE, AFTER), put(FIXED, AFTER)), (FIXED,)),
        ((kept(BEFORE, AFTER), kept(AFTER, AFTER), put(FIXED, AFTER)), (FIXED,)),
        ((kept(AFTER, BEFORE), put(FIXED, AFTER)), ()),
        ((kept(BEFORE, AFTER),), ()),
    ],
)
def test_what_an_earlier_try_has_put_is_put_by_this_release(
    plan: Plan, events: tuple[Event, ...], moved: tuple[str, ...]
) -> None:
    """The tag stands where that one has put it, and pointed elsewhere before."""
    result = summarise_run(plan, [*map(ends, (*BUILT, "verify:api")), *events], now="x")
    assert moved == moved_tags(result)
    assert result == parse_result(render_result(result))


def test_a_tag_that_was_put_after_all_is_not_unsure(plan: Plan) -> None:
    """The thread that puts it may be told of later than the end of its step."""
    ended = ends("promote:api", StepState.CANCELLED, unsure=(FIXED, MOVING))
    result = summarise_run(plan, [ended, put(FIXED, None)], now="x")
    assert (MOVING,) == unsure_tags(result)
