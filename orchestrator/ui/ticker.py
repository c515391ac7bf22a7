"""Does something again and again beside the event loop, until it is closed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

_PATIENCE: Final = 2.0
"""Seconds that the end waits for what is being done: a terminal that was stopped takes nothing."""


class Ticker:
    """Calls `tick` every `period` seconds, in a thread that nothing waits for when the program ends."""

    def __init__(self, tick: Callable[[], None], *, period: float) -> None:
        self._tick = tick
        self._period = period
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="progress", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join(_PATIENCE)

    def _run(self) -> None:
        while not self._over.wait(self._period):
            try:
                self._tick()
            except (OSError, ValueError):  # nobody reads any more, or the stream is closed
                return
