"""What a release that did not end well has left of its tags: read from its events."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Final

from orchestrator.api.events import Event, RunFinished, RunStarted, TagLeft, TagRestored, TagsKept
from orchestrator.api.outline import ImageOutline, StepOutline, TagOutline
from orchestrator.plan.model import Plan
from orchestrator.plan.outline import outline_images, outline_steps

_PROMOTE: Final = "promote"
"""The kind of the steps that put tags."""


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

    A release that ends well has dealt with all of its tags, whoever was about to move them before: it has put them, or
    has found that they stood where they are to be. A build of something else leaves them open. Which have moved only
    the registry knows: a run may be killed between a PUT and what it says of it.
    """
    moves: dict[str, TagOutline] = {}
    released: frozenset[str] = frozenset()
    for event in events:
        match event:
            case RunStarted():
                released = _released_tags(event.steps, event.images)
            case TagsKept():
                moves = {move.reference: move for move in event.moves}
            case TagRestored() | TagLeft():
                moves.pop(event.reference, None)
            case RunFinished(exit_code=0):
                moves = {name: move for name, move in moves.items() if name not in released}
            case _:
                pass
    return tuple(moves.values())


def tags_of(plan: Plan) -> frozenset[str]:
    """The tags that are as declared once a plan has been run well; none where it releases nothing."""
    return _released_tags(outline_steps(plan.steps, {}), outline_images(plan))


def _released_tags(steps: Iterable[StepOutline], images: Iterable[ImageOutline]) -> frozenset[str]:
    """Those of the images that are published; a step that has none to put, since all stand, is there, too."""
    published = {step.image for step in steps if step.kind == _PROMOTE}
    return frozenset(tag for image in images if image.name in published for tag in image.tags)
