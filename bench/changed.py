"""60 images x 2 platforms of which every one has changed: `build --push` against `bake --push` of the same targets.

Before each run every image gets new input, since both tools build on the same engine and would find each other's
layers, and both files get a new version. Every image has a `RUN` that is work for the processor, emulated for arm64.
Both ask for the same attestation and the same output. After each run the registry is asked: every tag of that run
stands, leads to a new digest, and holds both platforms.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.measure import Command, Line, Run, ratio, run_once, wall
from bench.pushed import OURS, PLATFORMS, THEIRS, Family, Place

IMAGES: Final = 60
ONE_BUILDER: Final = 1.1
TWO_NODES: Final = 0.7
NODE: Final = 0.5
"""Processors of a node: two of them leave one for the tools and the registry, which run on neither."""

_BUILDER: Final = "bench"
_BYTES: Final = 50_000
_INSTRUCTION: Final = "RUN for i in $(seq 32); do gzip -9 -c /app/*; done | sha256sum > /sum"


@dataclass(frozen=True)
class Tool:
    """One of the two: whose images they are in the registry, and how it is run."""

    whose: str
    argv: tuple[str, ...]


def compare_changed(place: Place, folder: Path, *, images: int = IMAGES, runs: int = 5) -> Line:
    """On one builder, the engine's own, which has the whole machine, as have both tools and the registry.

    Raises:
        RuntimeError: a command failed, or the registry does not hold what it should have pushed.
    """
    family = Family(folder, place, images, instruction=_INSTRUCTION)
    pairs = _measure(family, Tool("ours", OURS), Tool("bake", THEIRS), runs)
    return _compare(f"{_what(images)}, one builder", pairs, ONE_BUILDER)


def compare_on_two_nodes(
    place: Place, folder: Path, nodes: tuple[str, str], *, images: int = IMAGES, runs: int = 5
) -> Line:
    """Ours on two nodes of `NODE` processors each, bake on the first of them.

    Raises:
        RuntimeError: as above.
    """
    family = Family(folder, place, images, instruction=_INSTRUCTION, tables=_declare(nodes))
    create = ("docker", "buildx", "create", f"--name={_BUILDER}", "--driver=remote", nodes[0])
    run_once(Command(create, folder, place.environment))
    pairs = _measure(family, Tool("ours", OURS), Tool("bake", (*THEIRS, f"--builder={_BUILDER}")), runs)
    what = f"{_what(images)}, two nodes of {NODE:g} processors each against bake on one of them"
    return _compare(what, pairs, TWO_NODES)


def _declare(nodes: tuple[str, str]) -> str:
    declared = (
        f'[[backends.native.nodes]]\nname = "node-{number}"\nendpoint = "{endpoint}"\n'
        f'platforms = ["{PLATFORMS[0]}"]\nemulates = ["{PLATFORMS[1]}"]'
        for number, endpoint in enumerate(nodes)
    )
    return "\n\n".join(('[backends]\ndefault = "native"', *declared))


def _measure(family: Family, ours: Tool, theirs: Tool, runs: int) -> list[tuple[Run, Run]]:
    """Run both in turn, after one run of each that does not count; who is first changes from pair to pair."""
    family.write("0.0.0")
    inputs = _inputs(family)
    for tool in (ours, theirs):
        _run(family, tool, next(inputs))
    pairs = []
    for number in range(runs):
        order = (ours, theirs) if number % 2 == 0 else (theirs, ours)
        done = {tool.whose: _run(family, tool, next(inputs)) for tool in order}
        pairs.append((done[ours.whose], done[theirs.whose]))
    return pairs


def _inputs(family: Family) -> Iterator[str]:
    """Give every image new input of the same size and kind, again and again; the version that each comes with."""
    chance = random.Random(family.images)  # noqa: S311 (no secret)
    for number in range(1, 1_000_000):
        for image in range(family.images):
            family.input_of(image).write_text(chance.randbytes(_BYTES).hex(), encoding="ascii")
        yield f"0.{number}.0"


def _run(family: Family, tool: Tool, version: str) -> Run:
    """Release a version of what has changed with one tool, timed, and see that it is all there."""
    family.release(version)
    before = family.digests(tool.whose)
    run = run_once(Command(tool.argv, family.folder, family.place.environment))
    _check(family, tool, version, before)
    return run


def _check(family: Family, tool: Tool, version: str, before: dict[int, str]) -> None:
    latest = family.digests(tool.whose)
    wrong = [
        number
        for number in range(family.images)
        if latest[number] in {"", before[number]}
        or latest[number] != family.digest(tool.whose, number, version)
        or family.platforms(tool.whose, number) != list(PLATFORMS)
    ]
    if wrong:
        message = f"`{tool.argv[0]}` has not pushed image-{wrong[0]} anew, for both platforms and under both tags"
        raise RuntimeError(message)
    if tool.whose == "ours" and set(family.states()) != {"built"}:
        message = f"everything had changed, and this was done: {sorted(set(family.states()))}"
        raise RuntimeError(message)


def _what(images: int) -> str:
    return (
        f"`build --push`, {images} images x 2 platforms, each with a `RUN`, everything changed, against `bake --push`"
    )


def _compare(what: str, pairs: list[tuple[Run, Run]], most: float) -> Line:
    ours, theirs = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    ratios = sorted(one.wall / other.wall for one, other in pairs)
    measured = ratio(ours, theirs)
    return Line(
        what=what,
        ours=f"{wall(ours):.1f} s",
        theirs=f"{wall(theirs):.1f} s",
        ratio=f"{measured:.2f} x, from {ratios[0]:.2f} to {ratios[-1]:.2f} in {len(pairs)} pairs",
        budget=f"at most {most:g} x",
        kept=measured <= most,
    )
