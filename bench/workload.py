"""Projects of any size, as a `builds.toml` and as the bake file of the same targets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

PLATFORMS: Final = ("linux/amd64", "linux/arm64")
REGISTRY: Final = "registry.example/acme"
VERSION: Final = "1.2.3"
_TAGS: Final = 'tags = ["{{ version }}", { ref = "latest", moving = true }]'
_FAN_OUT: Final = 10
"""Image n stands on image n // 10: every tenth of a level carries ten of the next."""


def write_project(folder: Path, count: int) -> None:
    """Write `count` images with their Dockerfiles: two platforms, two tags, an arg and (but for ten) a parent each."""
    tables = [
        "format = 1",
        f'version = "{VERSION}"',
        f'[project]\nname = "bench"\nregistry = "{REGISTRY}"',
        f"[defaults]\nplatforms = {json.dumps(PLATFORMS)}\n" + _TAGS,
        '[backends]\ndefault = "qemu"',
    ]
    targets: dict[str, object] = {}
    for number in range(count):
        parent = f"image-{number // _FAN_OUT}" if number >= _FAN_OUT else None
        context = f"services/s{number}"
        _write_dockerfile(folder / context, parent)
        tables.append(f'[images.image-{number}]\ncontext = "{context}"\nargs = {{ N = "{number}" }}')
        targets[f"image-{number}"] = _target(number, context, parent)
    (folder / "builds.toml").write_text("\n\n".join(tables) + "\n", encoding="utf-8")
    bake = {"group": {"default": {"targets": list(targets)}}, "target": targets}
    (folder / "docker-bake.json").write_text(json.dumps(bake), encoding="utf-8")


def _write_dockerfile(folder: Path, parent: str | None) -> None:
    folder.mkdir(parents=True)
    lines = (f"FROM {parent or 'busybox:stable'}", "ARG N", "COPY . /app", "RUN echo $N > /app/n", 'CMD ["/app/run"]')
    (folder / "Dockerfile").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _target(number: int, context: str, parent: str | None) -> dict[str, object]:
    target: dict[str, object] = {
        "context": context,
        "args": {"N": str(number)},
        "platforms": list(PLATFORMS),
        "tags": [f"{REGISTRY}/image-{number}:{tag}" for tag in (VERSION, "latest")],
    }
    if parent:
        target["contexts"] = {parent: f"target:{parent}"}
    return target
