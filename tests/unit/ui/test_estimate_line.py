"""The line of a plan that says how long it takes."""

from __future__ import annotations

import pytest

from orchestrator.plan.estimate import Estimate
from orchestrator.ui.estimate import render_estimate

LONG = tuple(f"i{number}@linux/amd64" for number in range(12))


@pytest.mark.parametrize(
    ("estimate", "line"),
    [
        (Estimate(seconds=None, builds=2, unknown=2), "time: no estimate, none of these was built before"),
        (Estimate(seconds=200.0, critical_path=("base@a/b", "leaf@a/b"), builds=14, unknown=2),
         "time: about 3m20s; critical path: base -> leaf; 2 of 14 builds have no history"),
        (Estimate(seconds=0.42, critical_path=("base@a/b",), builds=2, unknown=1),
         "time: about 0.4s; critical path: base; 1 of 2 builds has no history"),
        (Estimate(seconds=5.0, critical_path=LONG, builds=12),
         "time: about 5.0s; critical path: i0 -> i1 -> i2 -> 6 more -> i9 -> i10 -> i11"),
        (Estimate(seconds=5.0, critical_path=LONG[:7], builds=7),
         "time: about 5.0s; critical path: i0 -> i1 -> i2 -> i3 -> i4 -> i5 -> i6"),
    ],
)  # fmt: skip
def test_line(estimate: Estimate, line: str) -> None:
    """With what it goes by, and what is missing."""
    assert line == render_estimate(estimate)
