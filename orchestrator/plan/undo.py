"""What a release that did not end well has left of its tags: read from its events."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

from orchestrator.api.events import Event, RunFinished, TagRestored, TagsKept
from orchestrator.api.outline import TagOutline


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
    """The tags that the last run was about to move, or has moved, in its order; none where it ended well.

    Which of them it has moved only the registry knows: a run may be killed between a PUT and what it says of it.
    """
    moves: dict[str, TagOutline] = {}
    for event in events:
        match event:
            case TagsKept():
                moves = {move.reference: move for move in event.moves}
            case TagRestored():
                moves.pop(event.reference, None)
            case RunFinished(exit_code=0):
                moves = {}
            case _:
                pass
    return tuple(moves.values())
