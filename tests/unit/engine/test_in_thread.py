"""What becomes of work in threads where who waits for it is cancelled."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable

import pytest

from orchestrator.engine.in_thread import ask_in_thread, in_thread
from orchestrator.errors import RegistryError


class Work:
    """Something in a thread that ends when it is told to."""

    def __init__(self, error: Exception | None = None) -> None:
        self.begun = threading.Event()
        self.may_end = threading.Event()
        self.ended = False
        self._error = error

    def __call__(self) -> str:
        """Wait, then fail, or say something."""
        self.begun.set()
        self.may_end.wait()
        self.ended = True
        if self._error is not None:
            raise self._error
        return "what it came to"


def cancelled(run: Callable[[Work], Awaitable[str]], work: Work) -> str | BaseException:
    """What who waits for work gets when it is cancelled before the work has ended."""

    async def cancel() -> str | BaseException:
        waiting = asyncio.ensure_future(run(work))
        await asyncio.to_thread(work.begun.wait)
        waiting.cancel()
        await asyncio.sleep(0)
        work.may_end.set()
        return (await asyncio.gather(waiting, return_exceptions=True))[0]

    return asyncio.run(cancel())


def test_what_was_changed_is_told() -> None:
    """Though who waits for it was cancelled meanwhile."""
    assert "what it came to" == cancelled(in_thread, Work())


@pytest.mark.parametrize("error", [None, RegistryError("no answer")], ids=["answer", "error"])
def test_who_only_asks_is_cancelled(error: RegistryError | None) -> None:
    """Whatever the answer is: nothing more is to come after it, and the thread has ended."""
    work = Work(error)
    found = cancelled(ask_in_thread, work)
    assert (asyncio.CancelledError, True) == (type(found), work.ended)


def test_what_is_not_cancelled_answers() -> None:
    """Either way."""

    async def both() -> tuple[str, str]:
        works = (Work(), Work())
        for work in works:
            work.may_end.set()
        return await in_thread(works[0]), await ask_in_thread(works[1])

    assert 2 * ("what it came to",) == asyncio.run(both())
