"""What became of steps, platform builds and images, each as one word of a closed list."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from orchestrator.api.events import StepFinished, StepState
from orchestrator.api.outline import BuildOutline, StepOutline

UNFINISHED: Final = "unfinished"
"""It was running when the journal ends."""

WAITING: Final = "not started"

WORST_FIRST: Final = (
    "failed", "test failed", "blocked", "cancelled", "skipped", UNFINISHED, WAITING, "built", "reused",
)  # fmt: skip
"""The states of builds and images: that of several is the first that one of them has."""

_STEP: Final = {
    StepState.DONE: "done",
    StepState.FOUND: "found",
    StepState.FAILED: "failed",
    StepState.SKIPPED: "skipped",
    StepState.CANCELLED: "cancelled",
}
_GOOD: Final = frozenset({"done", "found"})
_WRONG: Final = frozenset({*_STEP.values(), UNFINISHED, WAITING}) - _GOOD
_OF_BUILDS: Final = frozenset({"solve", "record", "test"})
_WHOLE: Final = frozenset({"assemble", "verify"})
"""The steps without which there is no image."""


def step_state(finished: StepFinished | None, *, has_begun: bool) -> str:
    """The state of a step."""
    if finished is not None:
        return _STEP[finished.state]
    return UNFINISHED if has_begun else WAITING


def build_state(build: BuildOutline, steps: Iterable[StepOutline], states: Mapping[str, str]) -> str:
    """The state of a platform build, by its own steps: solve, record and test."""
    if build.action in {"reuse", "blocked"}:
        tested = [states[step.id] for step in steps if step.kind == "test"]
        return _tested(tested, otherwise="reused" if build.action == "reuse" else "blocked")
    kinds = {step.kind: states[step.id] for step in steps}
    ended = [kinds[kind] for kind in ("solve", "record") if kind in kinds]
    wrong = next((state for state in ended if state not in _GOOD), "")
    if wrong:
        return wrong
    if not ended:
        return WAITING
    tested = [kinds["test"]] if "test" in kinds else []
    return _tested(tested, otherwise="reused" if "found" in ended else "built")


def image_state(builds: Iterable[str], steps: Iterable[StepOutline], states: Mapping[str, str]) -> str:
    """The state of an image: the worst of its builds, or of what is done with all of them, such as verification.

    What was verified and got no tags is what it is: its tags say that they were not put.
    """
    found = set(builds)
    for step in steps:
        if step.kind not in _OF_BUILDS and states[step.id] in (_WRONG if step.kind in _WHOLE else {"failed"}):
            found.add(states[step.id])
    return next((state for state in WORST_FIRST if state in found), "reused")


def _tested(states: list[str], *, otherwise: str) -> str:
    wrong = next((state for state in states if state not in _GOOD), "")
    return "test failed" if wrong == "failed" else wrong or otherwise
