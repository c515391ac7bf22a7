"""What is done beside the event loop ends with it, and with whoever no longer reads."""

from __future__ import annotations

import threading

import pytest

from orchestrator.ui.ticker import Ticker


def ticking() -> list[str]:
    """The threads of tickers."""
    return [thread.name for thread in threading.enumerate() if thread.name == "progress"]


def test_it_ticks_until_it_is_closed() -> None:
    """However it is left; nothing of it runs on."""
    ticked = threading.Event()

    def interrupted() -> None:
        with Ticker(ticked.set, period=0.001):
            assert ticked.wait(60)
            raise KeyError

    with pytest.raises(KeyError):
        interrupted()
    assert [] == ticking()


@pytest.mark.parametrize("error", [BrokenPipeError(), ValueError("I/O operation on closed file")])
def test_it_ends_where_nobody_reads(error: Exception) -> None:
    """A terminal that was closed is no reason to end the run."""
    ticked = threading.Semaphore(0)

    def tick() -> None:
        ticked.release()
        raise error

    with Ticker(tick, period=0.001) as ticker:
        assert ticked.acquire(timeout=60)
        ticker._thread.join(60)
        assert [] == ticking()
    assert not ticked.acquire(blocking=False)
