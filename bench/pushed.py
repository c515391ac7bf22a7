"""A family of images as a `builds.toml` and as the bake file of the same targets; both push to one registry."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final
from urllib.error import HTTPError
from urllib.request import Request, urlopen

PLATFORMS: Final = ("linux/amd64", "linux/arm64")
MOVING: Final = "latest"

OURS: Final = (sys.executable, "-m", "orchestrator", "build", "--push")
THEIRS: Final = ("docker", "buildx", "bake", "--push", "--file=docker-bake.json")

_CHILDREN: Final = 4
"""Image n stands on image (n - 1) // 4: one root, and three levels below it."""

_GIT: Final = ("git", "-c", "user.name=bench", "-c", "user.email=bench@example.org", "-c", "commit.gpgsign=false")
_INDEX: Final = "application/vnd.oci.image.index.v1+json"


@dataclass(frozen=True)
class Place:
    """Where the images go: a registry that speaks plain HTTP, a base image in it, and the environment of an engine."""

    registry: str
    base: str
    environment: Mapping[str, str]


@dataclass(frozen=True)
class Family:
    """What is built: `instruction` is one more line of every Dockerfile, `tables` more of the `builds.toml`.

    Both files ask for the same output and the same attestation, the least provenance, which is our default.
    """

    folder: Path
    place: Place
    images: int
    instruction: str = ""
    tables: str = ""

    def write(self, version: str) -> None:
        """Write a repository with both files."""
        for number in range(self.images):
            context = self.folder / "services" / f"s{number}"
            context.mkdir(parents=True)
            lines = (f"FROM {_parent(number) or self.place.base}", f"COPY app /app/{number}", self.instruction)
            (context / "Dockerfile").write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
            self.input_of(number).write_text(f"{number}\n" * 100, encoding="utf-8")
        self.release(version)
        for arguments in (("init", "--quiet"), ("add", "--all"), ("commit", "--quiet", "--message=all")):
            subprocess.run([*_GIT, *arguments], cwd=self.folder, check=True)

    def input_of(self, number: int) -> Path:
        """The one file that an image copies."""
        return self.folder / "services" / f"s{number}" / "app"

    def release(self, version: str) -> None:
        """Write both files for a version."""
        tags = f'["{version}", {{ ref = "{MOVING}", moving = true }}]'
        tables = [
            f'format = 1\nversion = "{version}"',
            f'[project]\nname = "bench"\nregistry = "{self.place.registry}/ours"',
            f"[defaults]\nplatforms = {json.dumps(PLATFORMS)}\ntags = {tags}",
            '[platforms."*"]\nemulation = "allow"',
            *filter(None, (self.tables,)),
            *(f'[images.image-{number}]\ncontext = "services/s{number}"' for number in range(self.images)),
        ]
        (self.folder / "builds.toml").write_text("\n\n".join(tables) + "\n", encoding="utf-8")
        targets = {f"image-{number}": self._target(number, version) for number in range(self.images)}
        bake = {"group": {"default": {"targets": list(targets)}}, "target": targets}
        (self.folder / "docker-bake.json").write_text(json.dumps(bake), encoding="utf-8")

    def _target(self, number: int, version: str) -> dict[str, object]:
        parent = _parent(number)
        return {
            "context": f"services/s{number}",
            "platforms": list(PLATFORMS),
            "output": [{"type": "image", "push": "true", "store": "false", "oci-mediatypes": "true"}],
            "attest": ["type=provenance,mode=min"],
            "tags": [f"{self.place.registry}/bake/image-{number}:{tag}" for tag in (version, MOVING)],
            **({"contexts": {parent: f"target:{parent}"}} if parent else {}),
        }

    def states(self) -> list[str]:
        """What our last run did with each platform build."""
        result = json.loads((self.folder / ".orchestrate/result.json").read_bytes())
        return [build["state"] for image in result["images"] for build in image["platforms"]]

    def digests(self, whose: str) -> dict[int, str]:
        """The digest of every image of `ours` or of `bake` in the registry; empty where there is none."""
        return {number: self.digest(whose, number, MOVING) for number in range(self.images)}

    def digest(self, whose: str, number: int, tag: str) -> str:
        """The digest behind a tag of an image; empty where there is none."""
        url = f"http://{self.place.registry}/v2/{whose}/image-{number}/manifests/{tag}"
        try:
            with urlopen(Request(url, method="HEAD", headers={"Accept": _INDEX})) as answer:
                return str(answer.headers["Docker-Content-Digest"])
        except HTTPError as error:
            if error.code != HTTPStatus.NOT_FOUND:
                raise
            return ""

    def platforms(self, whose: str, number: int) -> list[str]:
        """The platforms of an image in the registry."""
        url = f"http://{self.place.registry}/v2/{whose}/image-{number}/manifests/{MOVING}"
        with urlopen(Request(url, headers={"Accept": _INDEX})) as answer:
            children = json.load(answer)["manifests"]
        found = (f"{child['platform']['os']}/{child['platform']['architecture']}" for child in children)
        return sorted(platform for platform in found if platform != "unknown/unknown")


def _parent(number: int) -> str | None:
    return f"image-{(number - 1) // _CHILDREN}" if number else None
