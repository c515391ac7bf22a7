"""60 images x 2 platforms of which nothing has changed: `build --push` against `bake --push` of the same targets.

Both have pushed everything before. Of ours, no build may be started and no digest in the registry may move; bake writes
new provenance every time, so its digests move, and nothing is asked of it but that it succeeds.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from bench.measure import Command, Line, Run, ratio, run_once, wall
from bench.pushed import MOVING, OURS, PLATFORMS, THEIRS, Family, Place

IMAGES: Final = 60

_VERSION: Final = "1.2.3"
_SECONDS: Final = 2
_TIMES: Final = 20


def compare_unchanged(place: Place, folder: Path, *, images: int = IMAGES, runs: int = 3) -> Line:
    """Build everything once with both, then run both in turn.

    Raises:
        RuntimeError: a command failed, something was built again, or a digest has moved.
    """
    family = Family(folder, place, images)
    family.write(_VERSION)
    ours, theirs = (Command(argv, folder, place.environment) for argv in (OURS, THEIRS))
    run_once(ours)
    run_once(theirs)
    before = _digests(family)
    run_once(ours)
    run_once(theirs)
    pairs = []
    for _ in range(runs):
        mine = run_once(ours)
        _check_nothing_built(family)
        pairs.append((mine, run_once(theirs)))
    if _digests(family) != before:
        message = "a digest has moved though nothing had changed"
        raise RuntimeError(message)
    return _compare(images, [pair[0] for pair in pairs], [pair[1] for pair in pairs])


def _compare(images: int, ours: list[Run], theirs: list[Run]) -> Line:
    factor = 1 / ratio(ours, theirs)
    return Line(
        what=f"`build --push`, {images} images x 2 platforms, nothing changed, against `bake --push`",
        ours=f"{wall(ours):.2f} s",
        theirs=f"{wall(theirs):.2f} s",
        ratio=f"{factor:.1f} x faster",
        budget=f"at most {_SECONDS} s, {_TIMES} x faster",
        kept=wall(ours) <= _SECONDS and factor >= _TIMES,
    )


def _digests(family: Family) -> list[str]:
    """What stands under our tags, asked of the registry."""
    return [family.digest("ours", number, tag) for number in range(family.images) for tag in (_VERSION, MOVING)]


def _check_nothing_built(family: Family) -> None:
    states = family.states()
    if states != ["reused"] * (family.images * len(PLATFORMS)):
        message = f"nothing had changed, and this was done: {sorted(set(states))}"
        raise RuntimeError(message)
