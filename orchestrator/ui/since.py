"""What is affected since a commit, as people read it: one line for all, and one for each image."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.plan.affected import SHORT, Since
from orchestrator.ui.excerpt import printable
from orchestrator.ui.text import count


def render_since(since: Since) -> Iterator[str]:
    """The lines, without line ends."""
    ref, commit = printable(since.ref), since.commit[:SHORT]
    if not since.affected:
        yield f"nothing is affected since `{ref}` ({commit})"
        return
    verb = "is" if len(since.affected) == 1 else "are"
    yield f"since `{ref}` ({commit}): {len(since.affected)} of {count(since.total, 'image')} {verb} affected"
    width = max(len(image.name) for image in since.affected)
    for image in since.affected:
        yield f"  {image.name.ljust(width)}  {printable('; '.join(reason.message for reason in image.reasons))}"
