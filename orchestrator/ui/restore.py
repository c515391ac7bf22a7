"""What became of tags that were undone, a line each."""

from __future__ import annotations

from typing import assert_never

from orchestrator.api.outline import TagOutline
from orchestrator.oci.reference import Reference
from orchestrator.plan.undo import Restored
from orchestrator.ui.text import printable


def render_restored(reference: Reference, move: TagOutline, fate: Restored) -> str:
    """The line of one tag."""
    return f"{reference}  {_say(move, fate)}\n"


def _say(move: TagOutline, fate: Restored) -> str:
    before, after = (printable(digest or "nothing") for digest in (move.before, move.after))
    match fate:
        case Restored.BACK:
            return f"points at {before} again"
        case Restored.STOOD:
            return "had not moved"
        case Restored.REMOVED:
            return "is new, and gone again"
        case Restored.STAYS:
            return f"is new, and this registry removes no tags: it stays at {after}"
        case Restored.FOREIGN:
            return "was moved by somebody else, and is left alone"
        case Restored.LOST:
            return f"stays at {after}: what it pointed at before, {before}, is not kept any more"
        case _:
            assert_never(fate)
