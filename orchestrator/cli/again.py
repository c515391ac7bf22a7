"""The command that runs one build of a plan alone, with the options that the user gave."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping

from msgspec.structs import replace

from orchestrator.api.invocation import StepId
from orchestrator.cli.options import ProjectOptions
from orchestrator.oci.platform import Platform
from orchestrator.plan.frozen import Overrides
from orchestrator.plan.masked import masked_argv
from orchestrator.plan.model import Destination, Plan, SolveStep, TestStep
from orchestrator.plan.scopes import DEFAULT_SCOPE


def alone_commands(
    plan: Plan, project: ProjectOptions, failed: Iterable[StepId], *, scope: str = DEFAULT_SCOPE
) -> Mapping[StepId, str]:
    """For each failed step that builds or tests something.

    What it needs is taken from where this run has put it: for a release that is the registry, under private names of
    the same scope.
    """
    wanted = frozenset(failed)
    steps = [step for step in plan.steps if step.id in wanted and isinstance(step, SolveStep | TestStep)]
    images = {step.image for step in steps}
    offered: dict[str, set[Platform]] = {name: set() for name in images}
    for build in plan.builds if images else ():
        if build.image in images:
            offered[build.image].add(build.platform)
    return {
        step.id: shlex.join(masked_argv(_words(step, plan.destination, project, offered[step.image], scope)))
        for step in steps
    }


def as_planned(project: ProjectOptions, overrides: Overrides, declared: Iterable[str]) -> ProjectOptions:
    """The options that say again what a saved plan was made with; `declared` are the vars of the project."""
    names = {name.upper().replace("-", "_"): name for name in declared}
    variables = {names[name]: value for name, value in overrides.variables.items() if name in names}
    return replace(
        project,
        variables=variables,
        assignments=overrides.assignments,
        registry=overrides.registry,
        backend=overrides.backend,
    )


def _words(
    step: SolveStep | TestStep, destination: Destination, project: ProjectOptions, offered: set[Platform], scope: str
) -> Iterator[str]:
    platforms = step.solve.platforms if isinstance(step, SolveStep) else (step.platform,)
    yield from ("orchestrate", "build", step.image)
    if set(platforms) != offered:
        yield f"--platform={','.join(map(str, platforms))}"
    if destination in {Destination.PUSH, Destination.STAGE}:
        yield "--stage"
    if scope != DEFAULT_SCOPE:
        yield f"--state-scope={scope}"
    if project.file is not None:
        yield f"--file={project.file}"
    yield from (f"--var={name}={value}" for name, value in project.variables.items())
    yield from (f"--set={assignment}" for assignment in project.assignments)
    if project.registry:
        yield f"--registry={project.registry}"
    if project.backend:
        yield f"--backend={project.backend}"
    yield from (f"--allow={grant}" for grant in project.allow)
    if project.offline:
        yield "--offline"
    yield "-v"
