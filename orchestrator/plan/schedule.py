"""Which job may start now, and on which node: pure bookkeeping over a DAG, for the engine and for estimates alike.

Of what is ready the job with the longest remaining path goes first. It goes where it is expected to end first: on
nodes of unequal speed it may pay to wait for a fast one that is busy, and then a job that is less urgent takes the
slow one.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from heapq import heapify, heappop, heappush, heapreplace
from typing import Final, NamedTuple, TypeAlias

from orchestrator.api.backend import Node
from orchestrator.api.invocation import StepId
from orchestrator.plan.model import SolveStep, TestStep

NodeKey: TypeAlias = tuple[str, str]
"""A node by the names of its backend and its own, since two backends may each have a `default`."""

_SHORTEST_LOOK: Final = 0.5
"""Seconds between two looks at whether a busy node is still worth waiting for."""
_HEAVIEST: Final = 1e12
"""A weight counts what two ways lead to twice, so that it could grow without bounds."""


class Seat(NamedTuple):
    """What a node offers: how many jobs at a time, and how fast one is there, 1 being the usual."""

    slots: int = 1
    speed: float = 1.0


class Job(NamedTuple):
    """Something to do.

    `seats` are the nodes that it may run on, the planned one first; without any it takes no slot and is short.
    `seconds` is how long it is expected to take on a node of speed 1. A `soft` one only waits for what it needs to be
    over, however that ended; `after` are more that every job only waits for to be over.
    """

    id: StepId
    needs: tuple[StepId, ...] = ()
    seats: tuple[NodeKey, ...] = ()
    seconds: float = 0.0
    soft: bool = False
    after: tuple[StepId, ...] = ()


def seats_of(step: SolveStep | TestStep) -> tuple[NodeKey, ...]:
    """The nodes that a step may run on, the planned one first."""
    return tuple((step.backend, node) for node in (step.node, *step.others))


def offered_seats(nodes: Mapping[str, tuple[Node, ...]]) -> dict[NodeKey, Seat]:
    """What the nodes of all backends offer."""
    return {(name, node.name): Seat(node.slots, node.speed) for name, several in nodes.items() for node in several}


class Start(NamedTuple):
    """A job to start now; `node` where it takes a slot of one."""

    id: StepId
    node: NodeKey | None


class _Running(NamedTuple):
    started: float
    seconds: float


class _Node:
    """The slots of a node and what runs in them."""

    def __init__(self, seat: Seat) -> None:
        self.slots = max(1, seat.slots)
        self.speed = seat.speed
        self.running: dict[StepId, _Running] = {}
        self.rests_until = -math.inf

    @property
    def free(self) -> int:
        return self.slots - len(self.running)

    def ends(self, now: float) -> list[float]:
        """When each slot is expected to be free, as a heap; what has overrun takes as long again as it is late."""
        ends = [now] * self.free
        for started, seconds in self.running.values():
            end = started + seconds
            ends.append(max(end, now + (now - end), math.nextafter(now, math.inf)))
        heapify(ends)
        return ends


_Queue: TypeAlias = list[tuple[float, float, int, StepId]]


class Schedule:
    """Jobs become ready when all that they need is done, and are skipped when something that they need is not."""

    def __init__(self, jobs: Iterable[Job], nodes: Mapping[NodeKey, Seat], *, limit: int) -> None:
        """`limit` is how many jobs with seats run at a time in all.

        Raises:
            ValueError: the jobs need each other.
        """
        self._jobs = {job.id: job for job in jobs}
        self._missing = {
            job.id: {need for need in (*job.needs, *job.after) if need in self._jobs} for job in self._jobs.values()
        }
        self._children: dict[StepId, list[StepId]] = {name: [] for name in self._jobs}
        for name, missing in self._missing.items():
            for need in missing:
                self._children[need].append(name)
        self._nodes = {key: _Node(seat) for key, seat in nodes.items()}
        self._seats = {job.id: job.seats for job in self._jobs.values()}
        self._urgency = self._rank()
        self._running: dict[StepId, NodeKey | None] = {}
        self._free = limit
        self._over: set[StepId] = set()
        self._shunned: set[NodeKey] = set()
        self._short: deque[StepId] = deque()
        self._queues: dict[tuple[NodeKey, ...], _Queue] = {}
        self._look: float | None = None
        self._stopped = False
        for name in [name for name, missing in self._missing.items() if not missing]:
            self._make_ready(name)

    @property
    def finished(self) -> bool:
        """Whether every job has ended or been skipped."""
        return len(self._over) == len(self._jobs)

    def take(self, now: float) -> Iterator[Start]:
        """The jobs to start now, each once; `now` is in seconds of any clock that never goes back."""
        while self._short:
            short = self._short.popleft()
            self._running[short] = None
            yield Start(short, None)
        ends: dict[NodeKey, list[float]] = {}
        held: list[StepId] = []
        self._look = None
        while self._free > 0 and (name := self._pop(now)):
            key, node = self._choose(name, now, ends)
            seconds = self._jobs[name].seconds / node.speed
            free_at = ends[key][0]
            heapreplace(ends[key], max(free_at + seconds, math.nextafter(now, math.inf)))
            if free_at > now:
                held.append(name)
                self._look = min(free_at, self._look or free_at)
                continue
            self._free -= 1
            self._running[name] = key
            node.running[name] = _Running(now, seconds)
            yield Start(name, key)
        for waiting in held:
            self._enqueue(waiting)

    def next_look(self, now: float) -> float | None:
        """How many seconds from now `take` may give something though nothing has ended; None: not before that."""
        times = [node.rests_until for node in self._nodes.values() if now < node.rests_until < math.inf]
        if self._look is not None:
            times.append(self._look)
        return max(_SHORTEST_LOOK, min(times) - now) if times else None

    def done(self, name: StepId) -> None:
        """A job ended well: what waited for it alone is ready."""
        self._release(name)
        self._over.add(name)
        for child in self._children[name]:
            self._settle(child, name)

    def failed(self, name: StepId) -> tuple[tuple[StepId, StepId], ...]:
        """A job failed: all that needs it, near or far, is skipped; each with what it directly needs."""
        self._release(name)
        self._over.add(name)
        return self._skip_children(name)

    def stop(self) -> tuple[StepId, ...]:
        """Skip everything that has not started."""
        self._stopped = True
        skipped = tuple(name for name in self._jobs if name not in self._over and name not in self._running)
        self._over.update(skipped)
        self._short.clear()
        self._queues.clear()
        return skipped

    def again(self, name: StepId, *, without: NodeKey | None = None) -> bool:
        """Whether a running job runs once more, not on that node where any other could take it; not after `stop`."""
        self._release(name)
        if self._stopped:
            self._over.add(name)
            return False
        if without is not None:
            self._shun(name, without)
        self._enqueue(name)
        return True

    def pin(self, name: StepId, node: NodeKey) -> None:
        """A job that has not started is to run on this node, if it is one of its seats."""
        if node in self._seats[name]:
            self._seats[name] = (node,)

    def rest(self, node: NodeKey, until: float) -> None:
        """Start nothing on a node before this time; what only it can take waits."""
        self._nodes[node].rests_until = until

    def shun(self, node: NodeKey) -> None:
        """Start nothing on a node any more but what no other can take, and that at once: it fails there."""
        self._nodes[node].rests_until = -math.inf
        self._shunned.add(node)
        for name in self._jobs:
            self._shun(name, node)
        waiting = [name for queue in self._queues.values() for *_, name in queue]
        self._queues.clear()
        for name in waiting:
            self._enqueue(name)

    def shuns(self, node: NodeKey) -> bool:
        """Whether nothing is started on a node any more but what no other can take."""
        return node in self._shunned

    def has_other(self, name: StepId, node: NodeKey) -> bool:
        """Whether a job could run elsewhere."""
        return bool(self._others(name, node))

    def _others(self, name: StepId, node: NodeKey) -> tuple[NodeKey, ...]:
        """Where else a job could run; one that was pinned there may go to all its other seats."""
        seats = self._seats[name] if len(self._seats[name]) > 1 else self._jobs[name].seats
        return tuple(key for key in seats if key != node and key not in self._shunned)

    def _shun(self, name: StepId, node: NodeKey) -> None:
        if node in self._seats[name]:
            self._seats[name] = self._others(name, node) or self._seats[name]

    def _rank(self) -> dict[StepId, tuple[float, float, int]]:
        """Of each job the remaining path in seconds, the weight of what hangs below, and its place in the order."""
        order = self._sort()
        ranks: dict[StepId, tuple[float, float, int]] = {}
        places = {name: place for place, name in enumerate(self._jobs)}
        for name in reversed(order):
            job = self._jobs[name]
            fastest = max((self._nodes[key].speed for key in job.seats), default=1.0)
            below = [ranks[child] for child in self._children[name]]
            path = job.seconds / fastest + max((path for path, _, _ in below), default=0.0)
            weight = min(_HEAVIEST, bool(job.seats) + sum(weight for _, weight, _ in below))
            ranks[name] = (path, weight, places[name])
        return ranks

    def _sort(self) -> list[StepId]:
        """All jobs, each after what it needs."""
        missing = {name: len(needs) for name, needs in self._missing.items()}
        order = [name for name, count in missing.items() if not count]
        for name in order:
            for child in self._children[name]:
                missing[child] -= 1
                if not missing[child]:
                    order.append(child)
        if len(order) < len(self._jobs):
            msg = "the jobs need each other"
            raise ValueError(msg)
        return order

    def _pop(self, now: float) -> StepId | None:
        """The most urgent ready job of those of which a node is free."""
        best: _Queue | None = None
        for seats, queue in self._queues.items():
            if queue and (best is None or queue[0] < best[0]) and any(self._is_free(key, now) for key in seats):
                best = queue
        return heappop(best)[-1] if best else None

    def _is_free(self, key: NodeKey, now: float) -> bool:
        node = self._nodes[key]
        return node.free > 0 and node.rests_until <= now

    def _choose(self, name: StepId, now: float, ends: dict[NodeKey, list[float]]) -> tuple[NodeKey, _Node]:
        """Where a job ends first; of equals a free node, the planned one, and the one that has least to do."""
        best: tuple[tuple[float, bool, int, float], NodeKey] | None = None
        for place, key in enumerate(self._seats[name]):
            node = self._nodes[key]
            if node.rests_until > now:
                continue
            slots = ends.get(key) or ends.setdefault(key, node.ends(now))
            end = slots[0] + self._jobs[name].seconds / node.speed
            rank = (end, slots[0] > now, min(place, 1), len(node.running) / node.slots)
            if best is None or (rank, key) < best:
                best = rank, key
        assert best is not None, "one of its nodes is free"  # noqa: S101  # else it had not been taken
        return best[1], self._nodes[best[1]]

    def _settle(self, name: StepId, need: StepId) -> None:
        missing = self._missing[name]
        missing.discard(need)
        if not missing and name not in self._over:
            self._make_ready(name)

    def _make_ready(self, name: StepId) -> None:
        if self._seats[name]:
            self._enqueue(name)
        else:
            self._short.append(name)

    def _enqueue(self, name: StepId) -> None:
        path, weight, place = self._urgency[name]
        heappush(self._queues.setdefault(self._seats[name], []), (-path, -weight, place, name))

    def _skip_children(self, name: StepId) -> tuple[tuple[StepId, StepId], ...]:
        skipped: list[tuple[StepId, StepId]] = []
        waiting = deque((child, name) for child in self._children[name])
        while waiting:
            child, cause = waiting.popleft()
            if child in self._over:
                continue
            if self._only_follows(child, cause):
                self._settle(child, cause)
                continue
            self._over.add(child)
            skipped.append((child, cause))
            waiting.extend((grandchild, child) for grandchild in self._children[child])
        return tuple(skipped)

    def _only_follows(self, name: StepId, need: StepId) -> bool:
        """Whether a job waits for another to be over, and does not need what it gives."""
        job = self._jobs[name]
        return job.soft or (bool(job.after) and need not in job.needs)

    def _release(self, name: StepId) -> None:
        key = self._running.pop(name)
        if key is not None:
            self._free += 1
            del self._nodes[key].running[name]
