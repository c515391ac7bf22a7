"""Which part of a saved plan is done here, on which nodes, and with what other parts have left."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from orchestrator.api.backend import Node
from orchestrator.cli.applying import Revived, recall_again
from orchestrator.cli.prepare import Prepared
from orchestrator.config.duration import parse_duration
from orchestrator.errors import PlanBlockedError, UsageError
from orchestrator.model import Model
from orchestrator.oci.digest import Digest
from orchestrator.plan.binding import bind_nodes
from orchestrator.plan.lower import lower_plan
from orchestrator.plan.memory import Memory, RememberedPart
from orchestrator.plan.model import Plan, SolveStep, TestStep
from orchestrator.plan.part import (
    builds_to_do,
    builds_to_test,
    choose_builds,
    find_done,
    missing_inputs,
    part_of,
    remaining,
)
from orchestrator.plan.reasons import list_names
from orchestrator.probe.facts import read_builder, read_nodes
from orchestrator.state.result_file import read_results
from orchestrator.ui.text import count, print_note

_PAUSE: Final = 5.0
"""Seconds between two looks at what other parts have built."""

_NAMED: Final = 5


class PartRequest(Model):
    """What is to be done here: some builds, the end of all, or everything that is left."""

    only: tuple[str, ...] = ()
    finish: bool = False
    wait: float = 0.0
    folders: tuple[Path, ...] = ()
    bindings: Mapping[str, str] = {}

    @property
    def is_whole(self) -> bool:
        """Whether everything that is left is to be done."""
        return not self.only and not self.finish

    @classmethod
    def of(
        cls,
        *,
        only: tuple[str, ...],
        finish: bool,
        wait: str | None,
        folders: tuple[Path, ...],
        bindings: tuple[str, ...],
    ) -> PartRequest:
        """The request of a command line.

        Raises:
            UsageError: the options contradict each other, or one of them means nothing.
        """
        if only and finish:
            message = "`--only` and `--finish` exclude each other"
            raise UsageError(message, hints=("do the parts first, each with `--only`, then `--finish`",))
        if folders and not finish:
            message = f"`{folders[0]}`: folders with results are for `--finish`"
            raise UsageError(message, hints=("`orchestrate apply PLAN --finish DIR…` gathers what parts built",))
        return cls(
            only=only, finish=finish, folders=folders, wait=_seconds(wait), bindings=dict(map(_binding, bindings))
        )


def choose_part(revived: Revived, request: PartRequest, environment: Mapping[str, str]) -> Prepared:
    """The part of the plan that is to be done here, on nodes that are here.

    Raises:
        PlanBlockedError: something that another part builds is missing, or there is no node for it.
        UsageError: `--only` means nothing that the plan builds, or results are of another plan.
    """
    prepared, plan = revived.prepared, revived.prepared.plan
    in_parts = bool(request.only or request.finish)
    if in_parts and not plan.destination.uses_registry:
        message = "parts hand over what they build through a registry, and this plan builds into layouts"
        raise UsageError(message, hints=("plan with `--push` or `--stage`",))
    results = dict(_read_results(request.folders, plan))
    try:
        wanted = choose_builds(plan, request.only) if request.only else builds_to_do(plan)
    except ValueError as error:
        raise UsageError(str(error), hints=("`orchestrate plan --split` shows the parts of a plan",)) from error
    memory = _wait(revived, request, wanted, results, environment) if in_parts else revived.memory
    done = _done(prepared, memory, results)
    tested = memory.tested
    part = part_of(plan, wanted, done, tested) if request.only else remaining(plan, done, tested)
    return _on_local_nodes(prepared, part, request, environment)


def _wait(
    revived: Revived,
    request: PartRequest,
    wanted: tuple[str, ...],
    results: Mapping[str, Digest],
    environment: Mapping[str, str],
) -> Memory:
    """What stands, as soon as nothing is missing that other parts build.

    Raises:
        PlanBlockedError: something is missing when the time is over.
    """
    prepared, memory = revived.prepared, revived.memory
    until = time.monotonic() + request.wait
    told = False
    while True:
        done = _done(prepared, memory, results)
        missing = (
            tuple(build for build in wanted if build not in done)
            if request.finish
            else missing_inputs(prepared.plan, wanted, done)
        )
        _check_results(memory, results)
        untested = tuple(build for build in builds_to_test(prepared.plan) if build not in memory.tested)
        if not missing and not (request.finish and untested):
            return memory
        if time.monotonic() >= until:
            raise _missing(missing) if missing else _untested(untested)
        if not told:
            print_note(f"waiting for {_list(missing or untested)}")
            told = True
        time.sleep(min(_PAUSE, max(0.0, until - time.monotonic())))
        memory = recall_again(prepared, environment)


def _done(prepared: Prepared, memory: Memory, results: Mapping[str, Digest]) -> dict[str, RememberedPart]:
    """What of the plan was done by now."""
    forced = prepared.facts.state.forced
    anew = {build.id: prepared.facts.replaced.get(build.id) for build in prepared.plan.builds if build.image in forced}
    return find_done(prepared.plan, memory.parts, anew=anew, vouched=results)


def _check_results(memory: Memory, results: Mapping[str, Digest]) -> None:
    for build, digest in results.items():
        part = memory.parts.get(build)
        if part is not None and part.manifest != digest:
            message = f"`{build}` was built as `{digest}` by a part, and `{part.manifest}` stands in its place"
            raise PlanBlockedError(message, hints=("build that part again with `--only`, then finish",))


def _missing(missing: tuple[str, ...]) -> PlanBlockedError:
    message = f"nothing was done: {_list(missing)} {'is' if len(missing) == 1 else 'are'} not built yet"
    patterns = " ".join(f"--only '{build}'" for build in missing)
    if len(missing) > _NAMED:
        patterns = "--only …"
    hints = (f"build what is missing: `orchestrate apply PLAN {patterns}`", "or wait for it: `--wait 30m`")
    return PlanBlockedError(message, hints=hints)


def _untested(builds: tuple[str, ...]) -> PlanBlockedError:
    message = f"nothing was done: {_list(builds)} {'has' if len(builds) == 1 else 'have'} not passed the test yet"
    patterns = " ".join(f"--only '{build}'" for build in builds[:_NAMED])
    return PlanBlockedError(
        message, hints=(f"test it: `orchestrate apply PLAN {patterns}`", "or wait for it: `--wait 30m`")
    )


def _read_results(folders: tuple[Path, ...], plan: Plan) -> Iterator[tuple[str, Digest]]:
    for folder in folders:
        found = read_results(folder)
        if not found:
            message = f"`{folder}` holds no result of a part"
            raise UsageError(message, hints=("a part writes one: `orchestrate apply PLAN --only … --result DIR/FILE`",))
        for path, result in found:
            if result.run != plan.run:
                message = f"`{path}` is of another plan (run {result.run[:40]}, this is {plan.run})"
                raise UsageError(message, hints=("gather only results of this plan",))
            for image in result.images:
                for build in image.platforms:
                    if build.state == "built" and build.digest:
                        yield build.id, Digest(build.digest)


def _on_local_nodes(prepared: Prepared, part: Plan, request: PartRequest, environment: Mapping[str, str]) -> Prepared:
    """The part with nodes of this machine under the names that the plan has for them.

    Raises:
        PlanBlockedError: there is none for one of them.
    """
    used = {step.backend for step in part.steps if isinstance(step, SolveStep | TestStep)}
    backends = {name: chosen for name, chosen in prepared.backends.items() if name in used}
    here = read_nodes(backends, environment, root=prepared.loaded.root, offline=False)
    given = _given_nodes(part, request, environment)
    bound = bind_nodes(part, here, given)
    if bound.unbound:
        first = bound.unbound[0]
        more = f" (and {count(len(bound.unbound) - 1, 'more node')})" if len(bound.unbound) > 1 else ""
        message = f"nothing was done: {first.message}{more}"
        raise PlanBlockedError(message, hints=first.hints)
    facts = msgspec.structs.replace(prepared.facts, nodes={**here, **bound.nodes})
    return msgspec.structs.replace(
        prepared, plan=part, facts=facts, backends=backends, lowered=lower_plan(part, backends, facts.nodes)
    )


def _given_nodes(part: Plan, request: PartRequest, environment: Mapping[str, str]) -> dict[str, Node]:
    names = {step.node for step in part.steps if isinstance(step, SolveStep | TestStep)}
    known = {build.placement.node for build in part.builds if build.placement}
    for name in request.bindings:
        if name not in names | known:
            message = f"`--node {name}=…`: the plan has no node `{name}` in this part"
            raise UsageError(message, hints=(f"it has {_list(tuple(sorted(names)))}",) if names else ())
    return {name: read_builder(builder, environment) for name, builder in request.bindings.items() if name in names}


def _binding(text: str) -> tuple[str, str]:
    name, equals, builder = text.partition("=")
    if not (name and equals and builder):
        message = f"`--node {text}`: expected NAME=BUILDER"
        raise UsageError(message, hints=("for example `--node arm-1=my-builder`",))
    return name, builder


def _seconds(wait: str | None) -> float:
    if wait is None:
        return 0.0
    try:
        return parse_duration(wait)
    except ValueError as error:
        message = f"`--wait {wait}`: {error}"
        raise UsageError(message, hints=("for example `--wait 30m`",)) from error


def _list(names: tuple[str, ...]) -> str:
    return list_names(names, most=_NAMED)
