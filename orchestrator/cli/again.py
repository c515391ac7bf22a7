"""The command that runs one build of a plan alone, with the options that the user gave."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping

from orchestrator.api.invocation import StepId
from orchestrator.cli.options import ProjectOptions
from orchestrator.oci.platform import Platform
from orchestrator.plan.masked import masked_argv
from orchestrator.plan.model import Destination, Plan, SolveStep, TestStep


def alone_commands(plan: Plan, project: ProjectOptions, failed: Iterable[StepId]) -> Mapping[StepId, str]:
    """For each failed step that builds or tests something.

    What it needs is taken from where this run has put it: for a release that is the registry, under private names.
    """
    wanted = frozenset(failed)
    offered = {
        image.name: {build.platform for build in plan.builds if build.image == image.name} for image in plan.images
    }
    return {
        step.id: shlex.join(masked_argv(_words(step, plan.destination, project, offered[step.image])))
        for step in plan.steps
        if step.id in wanted and isinstance(step, SolveStep | TestStep)
    }


def _words(
    step: SolveStep | TestStep, destination: Destination, project: ProjectOptions, offered: set[Platform]
) -> Iterator[str]:
    platforms = step.solve.platforms if isinstance(step, SolveStep) else (step.platform,)
    yield from ("orchestrate", "build", step.image)
    if set(platforms) != offered:
        yield f"--platform={','.join(map(str, platforms))}"
    if destination in {Destination.PUSH, Destination.STAGE}:
        yield "--stage"
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
