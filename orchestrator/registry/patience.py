"""How often, and after which pauses, a request is tried again."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TypeVar

from orchestrator.model import Model
from orchestrator.registry.failure import Failure, RequestError

_Value = TypeVar("_Value")


class Patience(Model):
    """Limits of waiting; times in seconds.

    `awaits_digests` is for runs, which ask for nothing by digest that was not put a moment ago, be it by BuildKit: a
    registry of many machines may not find it at once.
    """

    attempts: int = 5
    first_delay: float = 0.3
    longest_delay: float = 60.0
    longest_asked: float = 300.0
    connect_timeout: float = 10.0
    read_timeout: float = 60.0
    awaits_digests: bool = False

    def find_delay(self, attempt: int, retry_after: float | None, jitter: float) -> float:
        """The pause after a failed attempt: doubling up to the longest, and a little more than the registry asks for.

        Args:
            attempt: how many attempts failed before this one.
            retry_after: what the registry asked for.
            jitter: 0 to 1, so that many clients that failed together do not come back together.
        """
        asked = (retry_after or 0.0) * (1 + jitter / 10)
        return float(max(asked, min(self.first_delay * 2**attempt, self.longest_delay) * (0.5 + jitter / 2)))


def persist(act: Callable[[], _Value], patience: Patience, pause: Callable[[float], None]) -> _Value:
    """Call `act` until it succeeds, fails for good, or was tried as often as patience allows.

    `act` must be harmless to repeat. Only failures that say they are transient are repeated.
    """
    for attempt in range(patience.attempts - 1):
        try:
            return act()
        except RequestError as error:
            asked = error.failure.retry_after or 0.0
            if not error.failure.is_transient:
                raise
            if asked > patience.longest_asked:
                raise _final(error, f"asks to wait {asked:.0f} s") from error
            pause(patience.find_delay(attempt, error.failure.retry_after, random.random()))  # noqa: S311  # no secret
    try:
        return act()
    except RequestError as error:
        if not error.failure.is_transient or patience.attempts == 1:
            raise
        raise _final(error, f"tried {patience.attempts} times") from error


def _final(error: RequestError, why: str) -> RequestError:
    """An error after which nothing is tried again; no longer transient, or whoever called would begin anew."""
    facts = error.failure
    final = Failure(method=facts.method, url=facts.url, status=facts.status, codes=facts.codes)
    text = error.message.removeprefix(f"`{facts.method} {facts.url}`: ")
    return RequestError(f"{text}, {why}", final, hints=error.hints)
