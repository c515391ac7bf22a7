"""What stands in a registry, by way of tools that we did not write: crane and `docker buildx imagetools`."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from msgspec import Struct, field
from msgspec import json as typed

from tests.lab import Lab

_PRIVATE = re.compile(r"run-|(?:in|te|ok|im|at|mv|un)-[0-9a-f]{64}\Z")


class Machine(Struct):
    """The platform that an index says of a manifest."""

    architecture: str
    os: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


class Entry(Struct):
    """A manifest that an index names."""

    digest: str
    platform: Machine
    annotations: dict[str, str] = {}

    @property
    def attests(self) -> str | None:
        """The digest of the image that this is an attestation of."""
        return self.annotations.get("vnd.docker.reference.digest")


class Index(Struct, kw_only=True):
    """An image index as the image-spec has it; read here without a line of the product's code."""

    media_type: str = field(name="mediaType")
    manifests: list[Entry]
    annotations: dict[str, str] = {}

    @property
    def images(self) -> dict[str, str]:
        """The digests of the images, by platform."""
        return {str(entry.platform): entry.digest for entry in self.manifests if entry.attests is None}

    @property
    def attestations(self) -> dict[str, str]:
        """The digests of attestations, by the digest of the image that they are about."""
        return {entry.attests: entry.digest for entry in self.manifests if entry.attests is not None}


class Registries:
    """Looks into registries with the lab's tools and logins."""

    def __init__(self, lab: Lab, **environ: str) -> None:
        self._environ = {**lab.environ, **environ}

    def tool(self, *argv: str) -> str:
        """Run a tool, which has to succeed; its stdout."""
        done = subprocess.run(argv, env=self._environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
        return done.stdout

    def tags(self, repository: str) -> list[str]:
        """All tags of a repository; none where there is no such repository."""
        done = subprocess.run(
            ["crane", "ls", "--insecure", repository], env=self._environ, capture_output=True, text=True, check=False
        )
        if done.returncode:
            assert "NAME_UNKNOWN" in done.stderr, done.stderr
            return []
        return sorted(done.stdout.split())

    def public(self, repository: str) -> list[str]:
        """The tags that people see: all but the private names of runs."""
        return [tag for tag in self.tags(repository) if not _PRIVATE.match(tag)]

    def digest(self, reference: str, platform: str = "") -> str:
        """The digest behind a reference, as crane sees it."""
        only = [f"--platform={platform}"] if platform else []
        return self.tool("crane", "digest", "--insecure", *only, reference).strip()

    def index(self, reference: str) -> Index:
        """The index behind a reference, as crane sees it."""
        return typed.decode(self.tool("crane", "manifest", "--insecure", reference), type=Index)

    def inspected(self, reference: str) -> tuple[str, Index]:
        """The digest of an index and the index itself, as buildx sees them."""
        raw = self.tool("docker", "buildx", "imagetools", "inspect", "--raw", reference)
        told = self.tool("docker", "buildx", "imagetools", "inspect", "--format={{json .Manifest}}", reference)
        return str(json.loads(told)["digest"]), typed.decode(raw, type=Index)

    def labels(self, reference: str, platform: str) -> dict[str, str]:
        """The labels in the image config for a platform."""
        text = self.tool("crane", "config", "--insecure", f"--platform={platform}", reference)
        return dict(json.loads(text)["config"].get("Labels") or {})

    def file(self, reference: str, platform: str, path: str) -> str:
        """The text of a file in the image of a platform."""
        script = 'crane export --insecure --platform "$1" "$2" - | tar -xO "$3"'
        return self.tool("sh", "-ec", script, "sh", platform, reference, path).strip()

    def move(self, source: str, target: str) -> None:
        """Point a tag at an image, as a stranger might."""
        self.tool("crane", "copy", "--insecure", source, target)

    def layout_file(self, layout: Path, platform: str, path: str) -> str:
        """The text of a file in the image of a platform in an OCI layout with one index."""
        (root,) = json.loads((layout / "index.json").read_text())["manifests"]
        index = json.loads(_blob(layout, root["digest"]).read_text())
        system, architecture = platform.split("/")[:2]
        wanted = next(
            each["digest"]
            for each in index["manifests"]
            if each["platform"]["os"] == system and each["platform"]["architecture"] == architecture
        )
        manifest = json.loads(_blob(layout, wanted).read_text())
        for layer in reversed(manifest["layers"]):
            blob = str(_blob(layout, layer["digest"]))
            done = subprocess.run(["tar", "-xzOf", blob, path], capture_output=True, text=True, check=False)
            if done.returncode == 0:
                return done.stdout.strip()
        raise AssertionError(path)


def _blob(layout: Path, digest: str) -> Path:
    return layout / "blobs" / digest.replace(":", "/")
