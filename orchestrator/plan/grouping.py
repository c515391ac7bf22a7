"""Which solves and tests of a plan are done by one request, for backends that take several at once.

The graph of groups stays acyclic: each solve has a round that is later than that of all that it stands on, or the same
where both are in one group and the parent can be linked. So a group waits for earlier rounds only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

from orchestrator.api.backend import Link, Mode
from orchestrator.api.invocation import DigestOf, StepId, late_values
from orchestrator.api.solve import NetworkMode, Solve
from orchestrator.model import Model
from orchestrator.oci.platform import Platform
from orchestrator.plan.graph import Edge
from orchestrator.plan.image import build_id
from orchestrator.plan.model import AssembleStep, Plan, RecordStep, SolveStep, Step, TestStep

_Key: TypeAlias = tuple[str, ...]


class Group(Model):
    """Steps that one request does, parents first. `needs` are the steps of others that all of them wait for.

    A member waits for what it needs itself, too, for that of other members as well: what a request gave of it counts
    only if it was made from what is recorded of its parents.
    """

    steps: tuple[StepId, ...]
    links: tuple[Link, ...] = ()
    needs: tuple[StepId, ...] = ()


def group_steps(plan: Plan, limits: Mapping[str, int]) -> tuple[Group, ...]:
    """The groups of all solves and tests of backends that take several at once; `limits` is how many, by backend."""
    if all(limit <= 1 for limit in limits.values()):
        return ()
    return tuple(_Grouping(plan, limits).groups())


class _Grouping:
    """Holds what every part of one grouping looks at."""

    def __init__(self, plan: Plan, limits: Mapping[str, int]) -> None:
        self._limits = limits
        self._steps: dict[StepId, Step] = {step.id: step for step in plan.steps}
        self._solves = [step for step in plan.steps if isinstance(step, SolveStep)]
        self._tests = [step for step in plan.steps if isinstance(step, TestStep)]
        self._edges: dict[str, tuple[Edge, ...]] = {image.name: image.edges for image in plan.images}
        self._native = {build.id for build in plan.builds if build.placement and build.placement.mode is Mode.NATIVE}
        self._stands_on = self._find_solves()
        self._linked = {step.id: tuple(self._links(step)) for step in self._solves}
        self._members: dict[tuple[_Key, int], list[SolveStep | TestStep]] = {}
        self._place: dict[StepId, tuple[_Key, int]] = {}

    def groups(self) -> Iterator[Group]:
        for step in self._solves:
            self._put(step, self._key(step), self._earliest(step))
        for test in self._tests:
            record = self._steps.get(test.record)
            tested = self._place.get(record.solve) if isinstance(record, RecordStep) else None
            # with those of the same group: they wait for the same records
            after = (*tested[0], str(tested[1])) if tested else ()
            self._put(test, (*self._key(test), "tests", *after), 0)
        for members in self._members.values():
            if self._limits.get(members[0].backend, 1) > 1:
                yield self._group(members)

    def _put(self, step: SolveStep | TestStep, key: _Key, number: int) -> None:
        """Into the first group from this round on that has room."""
        limit = 1 if _goes_alone(step) else self._limits.get(step.backend, 1)
        while len(self._members.get((key, number), ())) >= limit:
            number += 1
        self._members.setdefault((key, number), []).append(step)
        self._place[step.id] = (key, number)

    def _key(self, step: SolveStep | TestStep) -> _Key:
        """What steps of one group have in common."""
        alone = _goes_alone(step) or self._limits.get(step.backend, 1) <= 1
        nodes = (step.backend, step.node, *step.others)
        return (*nodes, step.id) if alone else nodes

    def _earliest(self, step: SolveStep) -> int:
        """The first round in which it can be."""
        key, linked = self._key(step), {link.parent for link in self._linked[step.id]}
        rounds = []
        for parent in self._stands_on[step.id]:
            theirs, number = self._place[parent]
            rounds.append(number if parent in linked and theirs == key else number + 1)
        return max(rounds, default=0)

    def _group(self, members: list[SolveStep | TestStep]) -> Group:
        ids = tuple(step.id for step in members)
        links = tuple(link for step in members for link in self._linked.get(step.id, ()) if link.parent in ids)
        inside = set(ids) | {need for step in members for need in step.needs if self._comes_from(need, ids)}
        needs = dict.fromkeys(need for step in members for need in step.needs if need not in inside)
        return Group(steps=ids, links=links, needs=tuple(need for need in needs if need in self._steps))

    def _comes_from(self, need: StepId, ids: tuple[StepId, ...]) -> bool:
        """Whether a step that is needed is made of what members of this group give."""
        return any(solve in ids for solve in self._behind(need))

    def _find_solves(self) -> dict[StepId, tuple[StepId, ...]]:
        """The solves that each solve directly stands on or comes after."""
        return {
            step.id: tuple(dict.fromkeys(solve for need in step.needs for solve in self._behind(need)))
            for step in self._solves
        }

    def _behind(self, need: StepId) -> Iterator[StepId]:
        """The solves from which a record or an index is made."""
        step = self._steps.get(need)
        if isinstance(step, RecordStep):
            yield step.solve
        elif isinstance(step, AssembleStep):
            for part in step.parts:
                yield from self._behind(part)

    def _links(self, child: SolveStep) -> Iterator[Link]:
        """The contexts that are the whole of what another solve makes, and nothing that a link could not say."""
        wanted: dict[StepId, list[str]] = {}
        for context in child.solve.contexts:
            for late in late_values(context.value):
                if isinstance(late, DigestOf) and late.part == "index":
                    wanted.setdefault(late.step, []).append(context.name)
        for index, names in wanted.items():
            parent = self._sole_solve(index)
            if parent and self._can_link(parent, child, index):
                yield from (Link(step=child.id, context=name, parent=parent.id) for name in names)

    def _sole_solve(self, index: StepId) -> SolveStep | None:
        """The one solve that makes every platform of an index."""
        assembled = self._steps.get(index)
        if not isinstance(assembled, AssembleStep):
            return None
        records = [self._steps.get(part) for part in assembled.parts]
        solves = {record.solve if isinstance(record, RecordStep) else "" for record in records}
        solve = self._steps.get(solves.pop()) if len(solves) == 1 else None
        return solve if isinstance(solve, SolveStep) else None

    def _can_link(self, parent: SolveStep, child: SolveStep, index: StepId) -> bool:
        asked = self._asked(child, parent.image)
        others = {
            late.step
            for word in (*(pin.value for pin in child.solve.pins), *(each.value for each in child.solve.contexts))
            for late in late_values(word)
            if isinstance(late, DigestOf) and (late.step != index or late.part != "index")
        }
        return (
            asked.issubset(parent.solve.platforms)
            and self._is_checked(parent)
            # by records of its parts it is needed alone, and then before
            and not any(parent.id in self._behind(other) for other in others)
            and _entitlements(parent.solve).issubset(_entitlements(child.solve))
        )

    def _is_checked(self, parent: SolveStep) -> bool:
        """Whether a Dockerfile that asks for the build platform gets it, or an error.

        Of a target of one platform it gets that one, whatever it asks for.
        """
        platforms = parent.solve.platforms
        return len(platforms) > 1 or build_id(parent.image, platforms[0]) in self._native

    def _asked(self, child: SolveStep, parent: str) -> set[Platform]:
        """The platforms that a child takes of a parent."""
        edges = [edge for edge in self._edges.get(child.image, ()) if edge.parent == parent and edge.kind.carries_data]
        asked = {edge.of_parent(platform) for edge in edges for platform in child.solve.platforms}
        return asked | set(child.solve.platforms)


def _goes_alone(step: SolveStep | TestStep) -> bool:
    """Whether it has what would be of all steps of a request: a source policy, or a time limit."""
    return bool(step.solve.pins) or step.solve.timeout is not None


def _entitlements(solve: Solve) -> set[str]:
    """What its `RUN` may do; in a link a child may do what its parent may."""
    host = {"network.host"} if solve.options.network is NetworkMode.HOST else set()
    return {*solve.options.entitlements, *host}


def links_among(links: Iterable[Link], steps: Iterable[StepId]) -> tuple[Link, ...]:
    """The links of which both ends are among these steps."""
    inside = frozenset(steps)
    return tuple(link for link in links if link.step in inside and link.parent in inside)
