"""What a release has left open follows from its events."""

from __future__ import annotations

from orchestrator.api.events import Event, RunFinished, RunStarted, TagPut, TagRestored, TagsKept
from orchestrator.api.outline import TagOutline
from orchestrator.plan.undo import open_moves

ONE, TWO = (TagOutline(reference=f"r/a:{tag}", before=None, after="sha256:1", run="r") for tag in ("1", "2"))
KEPT = TagsKept(moves=(ONE, TWO), time=0.0)
PUT = TagPut(step="promote:a", reference="r/a:1", digest="sha256:1", previous=None, time=0.0)


def left(*events: Event) -> tuple[str, ...]:
    """The tags that are left."""
    return tuple(move.reference for move in open_moves((begun("push"), *events)))


def begun(destination: str) -> RunStarted:
    """A run begins."""
    return RunStarted(run="r", time=0.0, project="p", destination=destination, steps=(), images=())


def test_what_was_about_to_move_is_open_until_the_run_ends_well() -> None:
    """Whether it is told that a tag was put or not: the run may have been killed before it could say so."""
    assert ("r/a:1", "r/a:2") == left(KEPT) == left(KEPT, PUT) == left(KEPT, RunFinished(run="r", exit_code=5, time=0))
    assert () == left(KEPT, PUT, RunFinished(run="r", exit_code=0, time=0.0)) == left()


def test_what_was_restored_is_not() -> None:
    """The rest is."""
    assert ("r/a:2",) == left(KEPT, TagRestored(reference="r/a:1", digest=None, time=0.0))


def test_a_resumed_run_tells_what_it_goes_on_with_and_then_all_of_it() -> None:
    """The last word counts."""
    assert ("r/a:1",) == left(TagsKept(moves=(ONE, TWO), time=0.0), TagsKept(moves=(ONE,), time=1.0))


def test_another_run_that_ends_well_leaves_open_what_it_did_not_put() -> None:
    """A build of something else says nothing of a release that was cut off."""
    other = RunFinished(run="other", exit_code=0, time=1.0)
    assert ("r/a:1", "r/a:2") == left(KEPT, other)
    assert ("r/a:2",) == left(KEPT, PUT, other)
    alone = (begun("oci"), KEPT, RunFinished(run="r", exit_code=0, time=1.0))
    assert ("r/a:1", "r/a:2") == tuple(move.reference for move in open_moves(alone))
