"""What a release has left open follows from its events."""

from __future__ import annotations

from orchestrator.api.events import Event, RunFinished, RunStarted, TagLeft, TagPut, TagRestored, TagsKept
from orchestrator.api.outline import ImageOutline, StepOutline, TagOutline
from orchestrator.plan.model import Destination
from orchestrator.plan.undo import open_moves, tags_of
from tests.unit.plan.samples import HEAD, Asked, compile_text

ONE, TWO = (TagOutline(reference=f"r/a:{tag}", before=None, after="sha256:1", run="r") for tag in ("1", "2"))
KEPT = TagsKept(moves=(ONE, TWO), time=0.0)
PUT = TagPut(step="promote:a", reference="r/a:1", digest="sha256:1", previous=None, time=0.0)


DONE = RunFinished(run="r", exit_code=0, time=0.0)


def left(*events: Event) -> tuple[str, ...]:
    """The tags that are left."""
    return tuple(move.reference for move in open_moves(events))


def begun(*tags: str, kind: str = "promote") -> RunStarted:
    """A run of one image with these tags begins; its last step is of this kind."""
    step = StepOutline(id=f"{kind}:a", kind=kind, image="a", needs=())
    image = ImageOutline(name="a", action="reuse", builds=(), tags=tags)
    return RunStarted(run="r", time=0.0, project="p", destination="push", steps=(step,), images=(image,))


BOTH = begun("r/a:1", "r/a:2")


def test_what_was_about_to_move_is_open_until_the_release_ends_well() -> None:
    """Whether it is told that a tag was put or not: the run may have been killed before it could say so."""
    failed = RunFinished(run="r", exit_code=5, time=0)
    assert ("r/a:1", "r/a:2") == left(BOTH, KEPT) == left(BOTH, KEPT, PUT) == left(BOTH, KEPT, PUT, failed)
    assert () == left(BOTH, KEPT, PUT, DONE) == left(BOTH)


def test_what_was_undone_or_never_will_be_is_not() -> None:
    """The rest is."""
    assert ("r/a:2",) == left(BOTH, KEPT, TagRestored(reference="r/a:1", digest=None, time=0.0))
    assert ("r/a:1",) == left(BOTH, KEPT, TagLeft(reference="r/a:2", fate="stays", time=0.0))


def test_a_resumed_run_tells_what_it_goes_on_with_and_then_all_of_it() -> None:
    """The last word counts."""
    assert ("r/a:1",) == left(BOTH, TagsKept(moves=(ONE, TWO), time=0.0), TagsKept(moves=(ONE,), time=1.0))


def test_another_release_that_ends_well_closes_what_it_confirms() -> None:
    """Also a tag that it did not have to put, as it stood already; what is none of its tags stays open."""
    done = RunFinished(run="other", exit_code=0, time=1.0)
    assert () == left(BOTH, KEPT, done)
    assert ("r/a:2",) == left(begun("r/a:1", "r/a:3"), KEPT, done)


def test_what_releases_nothing_closes_nothing() -> None:
    """A build, or a part of the plan that was cut off, on this machine."""
    assert ("r/a:1", "r/a:2") == left(begun("r/a:1", "r/a:2", kind="record"), KEPT, DONE)


def test_a_plan_releases_the_tags_of_what_it_publishes() -> None:
    """And one for this machine none."""
    text = HEAD + "[images.base]\n[images.hidden]\npublish = false\ntags = []\n"
    assert {"r.example/acme/base:1.0", "r.example/acme/base:latest"} == tags_of(
        compile_text(text, asked=Asked(destination=Destination.PUSH))
    )
    assert frozenset() == tags_of(compile_text(text, asked=Asked(destination=Destination.LAYOUT)))
