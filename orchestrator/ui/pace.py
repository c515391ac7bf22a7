"""How long what is left of a run takes: a guess, from how long solves took the last time, or in this run.

It is the longest way through what is running, and no less than all that is left, shared by as many solves as run at a
time. Solves that one child does are one piece of work: it takes as long as all of them together, since what is noted
of each is its share of that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from orchestrator.api.events import ChildStarted, StepFinished, StepState
from orchestrator.api.invocation import StepId
from orchestrator.api.outline import StepOutline


class _Work:
    """Solves that are left: the seconds of those that are known, and how many others there are."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.unknown = 0

    def add(self, seconds: float | None) -> None:
        """One more."""
        if seconds is None:
            self.unknown += 1
        else:
            self.seconds += seconds

    def take(self, seconds: float | None) -> None:
        """One less."""
        if seconds is None:
            self.unknown -= 1
        else:
            self.seconds -= seconds

    def expected(self, mean: float) -> float:
        """How long all of them take, one after the other."""
        return self.seconds + self.unknown * mean


class _Request(_Work):
    """Solves that one child does."""

    def __init__(self, began: float, size: int) -> None:
        super().__init__()
        self.began = began
        self.size = size


class Pace:
    """What is known of the solves of a run; costs the same for each event, however many there are.

    `at_once` is how many of them may run at a time.
    """

    def __init__(self, steps: tuple[StepOutline, ...] = (), *, at_once: int = 1) -> None:
        self._at_once = max(1, at_once)
        self._open = {step.id: step.seconds for step in steps if step.kind == "solve"}
        self._rest = _Work()
        for seconds in self._open.values():
            self._rest.add(seconds)
        self._tails = _tails(steps)
        self._seen = [self._rest.seconds, float(len(self._open) - self._rest.unknown)]
        self._requests: dict[StepId, _Request] = {}

    def begin(self, event: ChildStarted) -> None:
        """A child begins: with it the solves that it does together, whatever did them before."""
        solves = [step for step in event.steps if step in self._open]
        for step in solves:
            self._leave(step)
        if len(event.steps) > 1:
            request = _Request(event.time, len(event.steps))
            for step in solves:
                request.add(self._open[step])
                self._requests[step] = request

    def end(self, event: StepFinished) -> None:
        """A step ended, or will never begin."""
        if event.step not in self._open:
            return
        request = self._leave(event.step)
        seconds = self._open.pop(event.step)
        self._rest.take(seconds)
        if seconds is None and event.state is StepState.DONE:
            self._seen[0] += (event.time - request.began) / request.size if request else event.seconds
            self._seen[1] += 1

    def left(self, began: Mapping[StepId, float], now: float) -> float | None:
        """Seconds, where anything is known, and anything is left; `began` says since when steps run."""
        total, count = self._seen
        if not self._open or not count:
            return None
        mean, done, longest = total / count, 0.0, 0.0
        for request in set(self._requests.values()):
            expected, ran = request.expected(mean), now - request.began
            done += min(ran, expected)
            longest = max(longest, expected - ran)
        for step, since in began.items():
            ran = now - since
            longest = max(longest, self._tails.get(step, 0.0) - ran)
            if step in self._open and step not in self._requests:
                seconds = self._open[step]
                done += min(ran, mean if seconds is None else seconds)
        share = (self._rest.expected(mean) - done) / min(self._at_once, len(self._open))
        return max(0.0, share, longest)

    def _leave(self, step: StepId) -> _Request | None:
        """A solve is none any more of the child that did it."""
        request = self._requests.pop(step, None)
        if request is not None:
            request.take(self._open[step])
        return request


def _tails(steps: Iterable[StepOutline]) -> dict[StepId, float]:
    """How long it takes from the begin of each step to the end of the last that needs it."""
    tails: dict[StepId, float] = {}
    below: dict[StepId, float] = {}
    for step in reversed(tuple(steps)):
        own = step.seconds if step.kind == "solve" and step.seconds is not None else 0.0
        tail = tails[step.id] = own + below.get(step.id, 0.0)
        for need in step.needs:
            below[need] = max(below.get(need, 0.0), tail)
    return tails
