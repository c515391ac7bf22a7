"""How a child ended; apart from `stream`, so that whoever only looks at it does not load asyncio."""

from __future__ import annotations

from orchestrator.model import Model


class Ended(Model):
    """An exit code, or a signal (neither: it outlived even KILL); `timed_out`: we ended it."""

    exit_code: int | None = None
    signal: int | None = None
    timed_out: bool = False
