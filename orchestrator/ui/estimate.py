"""How long a plan takes, in one line."""

from __future__ import annotations

from typing import Final

from orchestrator.plan.estimate import Estimate
from orchestrator.ui.text import count, duration

_ENDS: Final = 3
"""How many images a long path shows at each end."""


def render_estimate(estimate: Estimate) -> str:
    """The line of a plan that says it."""
    if estimate.seconds is None:
        return "time: no estimate, none of these was built before"
    parts = [f"time: about {duration(estimate.seconds)}", f"critical path: {_path(estimate.critical_path)}"]
    if estimate.unknown:
        verb = "has" if estimate.unknown == 1 else "have"
        parts.append(f"{estimate.unknown} of {count(estimate.builds, 'build')} {verb} no history")
    return "; ".join(parts)


def _path(builds: tuple[str, ...]) -> str:
    """A path by its images, of which each is on it once."""
    images = [build.partition("@")[0] for build in builds]
    left_out = len(images) - 2 * _ENDS
    if left_out > 1:
        images[_ENDS:-_ENDS] = [f"{left_out} more"]
    return " -> ".join(images)
