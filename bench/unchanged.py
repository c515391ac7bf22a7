"""60 images x 2 platforms of which nothing has changed: `build --push` against `bake --push` of the same targets.

Both have pushed everything before. Of ours, no build may be started and no digest in the registry may move; bake writes
new provenance every time, so its digests move, and nothing is asked of it but that it succeeds.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.request import Request, urlopen

from bench.measure import Command, Line, Run, ratio, run_once, wall

IMAGES: Final = 60
PLATFORMS: Final = ("linux/amd64", "linux/arm64")

_VERSION: Final = "1.2.3"
_TAGS: Final = (_VERSION, "latest")
_CHILDREN: Final = 4
"""Image n stands on image (n - 1) // 4: one root, and three levels below it."""

_GIT: Final = ("git", "-c", "user.name=bench", "-c", "user.email=bench@example.org", "-c", "commit.gpgsign=false")
_OURS: Final = (sys.executable, "-m", "orchestrator", "build", "--push")
_THEIRS: Final = ("docker", "buildx", "bake", "--push", "--file=docker-bake.json")
_INDEX: Final = "application/vnd.oci.image.index.v1+json"
_SECONDS: Final = 2
_TIMES: Final = 20


@dataclass(frozen=True)
class Place:
    """Where the images go: a registry that speaks plain HTTP, a base image in it, and the environment of an engine."""

    registry: str
    base: str
    environment: Mapping[str, str]


def compare_unchanged(place: Place, folder: Path, *, images: int = IMAGES, runs: int = 3) -> Line:
    """Build everything once with both, then run both in turn.

    Raises:
        RuntimeError: a command failed, something was built again, or a digest has moved.
    """
    write_project(folder, place, images)
    ours, theirs = (Command(argv, folder, place.environment) for argv in (_OURS, _THEIRS))
    run_once(ours)
    run_once(theirs)
    before = _digests(place, images)
    run_once(ours)
    run_once(theirs)
    pairs = []
    for _ in range(runs):
        mine = run_once(ours)
        _check_nothing_built(folder, images)
        pairs.append((mine, run_once(theirs)))
    if _digests(place, images) != before:
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


def write_project(folder: Path, place: Place, images: int) -> None:
    """A repository with the `builds.toml` and the bake file of the same targets, each into repositories of its own."""
    tables = [
        f'format = 1\nversion = "{_VERSION}"',
        f'[project]\nname = "bench"\nregistry = "{place.registry}/ours"',
        f'[defaults]\nplatforms = {json.dumps(PLATFORMS)}\ntags = ["{_VERSION}", {{ ref = "latest", moving = true }}]',
        '[platforms."*"]\nemulation = "allow"',
    ]
    targets: dict[str, object] = {}
    for number in range(images):
        parent = f"image-{(number - 1) // _CHILDREN}" if number else None
        context = folder / "services" / f"s{number}"
        context.mkdir(parents=True)
        (context / "Dockerfile").write_text(f"FROM {parent or place.base}\nCOPY app /app/{number}\n", encoding="utf-8")
        (context / "app").write_text(f"{number}\n" * 100, encoding="utf-8")
        tables.append(f'[images.image-{number}]\ncontext = "services/s{number}"')
        targets[f"image-{number}"] = {
            "context": f"services/s{number}",
            "platforms": list(PLATFORMS),
            "tags": [f"{place.registry}/bake/image-{number}:{tag}" for tag in _TAGS],
            **({"contexts": {parent: f"target:{parent}"}} if parent else {}),
        }
    (folder / "builds.toml").write_text("\n\n".join(tables) + "\n", encoding="utf-8")
    bake = {"group": {"default": {"targets": list(targets)}}, "target": targets}
    (folder / "docker-bake.json").write_text(json.dumps(bake), encoding="utf-8")
    for arguments in (("init", "--quiet"), ("add", "--all"), ("commit", "--quiet", "--message=all")):
        subprocess.run([*_GIT, *arguments], cwd=folder, check=True)


def _check_nothing_built(folder: Path, images: int) -> None:
    result = json.loads((folder / ".orchestrate/result.json").read_bytes())
    states = [build["state"] for image in result["images"] for build in image["platforms"]]
    if states != ["reused"] * (images * len(PLATFORMS)):
        message = f"nothing had changed, and this was done: {sorted(set(states))}"
        raise RuntimeError(message)


def _digests(place: Place, images: int) -> dict[str, str]:
    """What stands under our tags, asked of the registry."""
    found = {}
    for number in range(images):
        for tag in _TAGS:
            url = f"http://{place.registry}/v2/ours/image-{number}/manifests/{tag}"
            with urlopen(Request(url, method="HEAD", headers={"Accept": _INDEX})) as answer:
                found[f"image-{number}:{tag}"] = answer.headers["Docker-Content-Digest"]
    return found
