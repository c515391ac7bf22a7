"""Blocking work of a step, in a thread; the only way in which the engine starts one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")


async def in_thread(act: Callable[_Given, _Result], *args: _Given.args, **kwargs: _Given.kwargs) -> _Result:
    """Run `act` in a thread.

    A thread cannot be stopped: who is cancelled meanwhile waits for it and gets what it came to, so that no tag is
    put that nobody hears of. A second cancellation waits no longer.
    """
    work = asyncio.ensure_future(asyncio.to_thread(act, *args, **kwargs))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        return await work
