"""A saved plan: what was printed, what it was made from, and one digest over both, against accidents.

The digest says that a file is whole, not who wrote it: only whoever compares it with one that reached them otherwise
(`--expect`) knows that the plan is the one that was reviewed.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from orchestrator.model import Model
from orchestrator.oci.digest import Digest, digest_bytes
from orchestrator.plan.document import PlanDocument
from orchestrator.plan.frozen import Frozen

SAVED_FORMAT: Final = "1.0"
_START: Final = re.compile(rb'\s*\{\s*"digest"\s*:\s*"[^"]*"\s*,\s*"saved_format"')


class SavedPlan(Model):
    """A plan in a file; `orchestrate` is the version that wrote it."""

    saved_format: str
    orchestrate: str
    plan: PlanDocument
    frozen: Frozen


def render_saved(saved: SavedPlan) -> tuple[Digest, bytes]:
    """The digest of the plan, and the bytes of its file: indented by two, ending in a newline."""
    fields: dict[str, object] = msgspec.json.decode(msgspec.json.encode(saved))
    digest = _digest(fields)
    content = msgspec.json.encode({"digest": digest, **fields})
    return digest, msgspec.json.format(content, indent=2) + b"\n"


def is_saved(content: bytes) -> bool:
    """Whether this, or what begins so, was written as a saved plan."""
    return _START.match(content) is not None


def parse_saved(content: bytes) -> tuple[Digest, SavedPlan]:
    """Read what `render_saved` wrote, believing nothing; returns the digest of the plan, too.

    Raises:
        ValueError: it is none, it is damaged, or another version wrote it in another format.
    """
    try:
        fields = msgspec.json.decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        msg = f"not a saved plan: {error}"
        raise ValueError(msg) from error
    if not isinstance(fields, dict) or "saved_format" not in fields:
        msg = "not a saved plan"
        raise ValueError(msg)
    if fields["saved_format"] != SAVED_FORMAT:
        msg = f"a saved plan of format {str(fields['saved_format'])[:20]}, expected {SAVED_FORMAT}"
        raise ValueError(msg)
    said = fields.pop("digest", None)
    digest = _digest(fields)
    if said != digest:
        msg = f"the plan is damaged or was edited: its digest is {digest}, and it says {str(said)[:80]}"
        raise ValueError(msg)
    try:
        saved = msgspec.convert(fields, SavedPlan)
    except (msgspec.ValidationError, RecursionError) as error:
        msg = f"not a saved plan: {error}"
        raise ValueError(msg) from error
    return digest, saved


def _digest(fields: dict[str, object]) -> Digest:
    return digest_bytes(msgspec.json.encode(fields, order="sorted"))
