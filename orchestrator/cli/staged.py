"""What `build --stage` left: its result, read as input, and the part of a plan that is still to be done."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from orchestrator.cli.prepare import Prepared
from orchestrator.engine.results import StepResult
from orchestrator.errors import PlanBlockedError, UsageError
from orchestrator.oci.digest import Digest, parse_digest
from orchestrator.plan import stepnames
from orchestrator.plan.lower import Lowered
from orchestrator.plan.model import CopyStep, GateStep, Plan, PromoteStep, VerifyStep
from orchestrator.state.result_file import own_result, read_result
from orchestrator.state.summary import RunResult, parse_result

_AGAIN: Final = ("run `orchestrate build --stage` again",)
_CHECK_OUT: Final = (
    "check out the commit that was staged, with its git tags",
    "promote it with the same `--set`, `--var` and `--registry` as then",
    *_AGAIN,
)


def read_staged(root: Path, asked: Path | None) -> RunResult:
    """Read the result of a staged run: the project's own, or the one that the user named.

    Raises:
        UsageError: there is none, or it is no result.
        PlanBlockedError: that run did not end well, or did not stage.
    """
    path = asked or own_result(root)
    try:
        result = parse_result(read_result(root, asked))
    except OSError as error:
        message = f"`{path}` cannot be read: {(error.strerror or str(error)).lower()}"
        raise UsageError(message, hints=("run `orchestrate build --stage` first, or say `--result FILE`",)) from error
    except ValueError as error:
        message = f"`{path}`: {error}"
        raise UsageError(message, hints=_AGAIN) from error
    if result.destination not in {"stage", "push"}:
        message = f"`{path}` is of a run that left nothing in a registry (`{result.destination}`)"
        raise PlanBlockedError(message, hints=("run `orchestrate build --stage` first",))
    if not result.images:
        message = f"`{path}` is of a run of no image"
        raise PlanBlockedError(message, hints=_AGAIN)
    unfinished = [image.name for image in result.images if image.digest is None]
    if unfinished:
        message = f"`{path}` is of a run in which `{unfinished[0]}` was not verified"
        raise PlanBlockedError(message, hints=_AGAIN)
    return result


def staged_now(result: RunResult) -> datetime:
    """The time that the templates of that run saw.

    Raises:
        UsageError: it is no time.
    """
    try:
        return datetime.fromisoformat(result.now)
    except ValueError as error:
        message = f"the result has no legal time: `{result.now[:40]}`"
        raise UsageError(message, hints=_AGAIN) from error


def staged_digests(result: RunResult) -> dict[str, Digest]:
    """The indexes of that run, by image.

    Raises:
        UsageError: a digest in the result is none.
    """
    try:
        return {image.name: parse_digest(image.digest or "") for image in result.images}
    except ValueError as error:
        raise UsageError(str(error), hints=_AGAIN) from error


def check_declared(result: RunResult, names: Collection[str]) -> None:
    """Every staged image has to be one that is declared now.

    Raises:
        PlanBlockedError: one is not.
    """
    gone = [image.name for image in result.images if image.name not in names]
    if gone:
        message = f"`{gone[0]}` was staged, and no image of that name is declared now"
        raise PlanBlockedError(message, hints=_CHECK_OUT)


def check_unchanged(result: RunResult, plan: Plan) -> None:
    """Hold what is declared now against what was staged: the requests, and the tags that people were shown.

    Raises:
        PlanBlockedError: the plan is another one than that which was staged.
    """
    staged = {image.name: {tag.ref: tag.moving for tag in image.tags} for image in result.images}
    planned = {
        image.name: {str(tag.reference): tag.moving for tag in image.tags if tag.reference} for image in plan.images
    }
    if planned == staged and result.run == plan.run:
        return
    parts = {image.name: {build.platform for build in image.platforms} for image in result.images}
    for image in plan.images:
        missing = {str(platform) for platform in image.platforms} - parts.get(image.name, set())
        if missing:
            message = f"`{image.name}` was staged without {', '.join(f'`{name}`' for name in sorted(missing))}"
            raise PlanBlockedError(message, hints=("run `orchestrate build --stage` without `--platform`",))
    name = next((name for name, tags in planned.items() if name in staged and tags != staged[name]), None)
    if name is None:
        reason = f"what is declared now (run {plan.run}) is not what was staged (run {result.run})"
    else:
        reason = f"`{name}` is to be tagged {_list(planned[name])} now, and was staged for {_list(staged[name])}"
    raise PlanBlockedError(reason, hints=_CHECK_OUT)


def _list(tags: Mapping[str, bool]) -> str:
    return ", ".join(f"`{tag}`{' (moving)' if moving else ''}" for tag, moving in tags.items()) or "none"


def staged_results(result: RunResult) -> dict[str, StepResult]:
    """The indexes of that run, as results of the steps that made them."""
    return {stepnames.assemble_id(name): StepResult(digest=digest) for name, digest in staged_digests(result).items()}


def later_steps(prepared: Prepared) -> Prepared:
    """The plan from its verifications on; everything before was done by the staged run."""
    kinds = (VerifyStep, CopyStep, GateStep, PromoteStep)
    steps = tuple(step for step in prepared.plan.steps if isinstance(step, kinds))
    lowered: Mapping[str, tuple[()]] = {}
    return msgspec.structs.replace(
        prepared,
        plan=msgspec.structs.replace(prepared.plan, steps=steps),
        lowered=Lowered(invocations=lowered, refusals={}),
    )
