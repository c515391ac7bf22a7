"""Blocking work of a step, in a thread; the only way in which the engine starts one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")


async def in_thread(act: Callable[_Given, _Result], *args: _Given.args, **kwargs: _Given.kwargs) -> _Result:
    """Run in a thread what changes something, as the last thing that a step does.

    A thread cannot be stopped: who is cancelled meanwhile waits for it and gets what it came to, so that no tag is
    put that nobody hears of. A second cancellation waits no longer.
    """
    work = asyncio.ensure_future(asyncio.to_thread(act, *args, **kwargs))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        return await work


async def ask_in_thread(ask: Callable[_Given, _Result], *args: _Given.args, **kwargs: _Given.kwargs) -> _Result:
    """Run in a thread what only looks, or changes nothing that others see: more is to come after it.

    Who is cancelled meanwhile waits for the thread, too, and is cancelled then, so that nothing more does come.
    """
    work = asyncio.ensure_future(asyncio.to_thread(ask, *args, **kwargs))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.gather(work, return_exceptions=True)
        raise
