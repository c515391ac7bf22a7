"""What a release that did not end well has left of its tags: read from its events."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

from orchestrator.api.events import Event, RunFinished, RunStarted, TagPut, TagRestored, TagsKept
from orchestrator.api.outline import TagOutline
from orchestrator.plan.model import Destination


class Restored(Enum):
    """What became of a tag that was to be undone."""

    BACK = "back"
    """It points at what it did before."""
    STOOD = "stood"
    """It had not moved."""
    REMOVED = "removed"
    """There was none before, and there is none now."""
    STAYS = "stays"
    """There was none before, and the registry does not remove it."""
    FOREIGN = "foreign"
    """It points neither where it did before nor where the release put it: somebody else has moved it."""
    LOST = "lost"
    """What it pointed at before is not kept any more."""

    @property
    def is_undone(self) -> bool:
        """Whether nothing of the release is left of it."""
        return self in {Restored.BACK, Restored.STOOD, Restored.REMOVED}


def open_moves(events: Iterable[Event]) -> tuple[TagOutline, ...]:
    """The tags that runs were about to move, or have moved, in their order, and did not end well.

    A run that ends well has dealt with those that it put, and with all of its own if it went on with a run that was cut
    off; a build of something else leaves them open. Which have moved only the registry knows: a run may be killed
    between a PUT and what it says of it.
    """
    moves: dict[str, TagOutline] = {}
    put: set[str] = set()
    publishes = False
    for event in events:
        match event:
            case RunStarted():
                publishes = event.destination == Destination.PUSH.value
            case TagsKept():
                moves = {move.reference: move for move in event.moves}
            case TagPut():
                put.add(event.reference)
            case TagRestored():
                moves.pop(event.reference, None)
            case RunFinished(exit_code=0, run=run) if publishes:
                moves = {name: move for name, move in moves.items() if move.run != run and name not in put}
            case _:
                pass
    return tuple(moves.values())
