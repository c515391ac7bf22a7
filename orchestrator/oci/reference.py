"""References to images: `registry/path:tag@digest` (distribution/reference, regexp.go and normalize.go)."""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import Final

from orchestrator.model import Model
from orchestrator.oci.digest import Digest, parse_digest

DOCKER_HUB: Final = "docker.io"
MAX_TAG_LENGTH: Final = 128
MAX_PATH_LENGTH: Final = 255
MAX_HOST_LENGTH: Final = 253
MAX_PORT: Final = 65535

_HOST: Final = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*"
    r"|\[(?P<address>[0-9A-Fa-f:]+)\])(?::(?P<port>[0-9]{1,5}))?\Z"
)
_PATH_COMPONENT: Final = re.compile(r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*\Z")
_TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}\Z")


class Repository(Model, order=True):
    """Where an image lives: a registry host (`ghcr.io`, `127.0.0.1:5000`, `docker.io`) and a path in it."""

    registry: str
    path: str

    def __str__(self) -> str:
        return f"{self.registry}/{self.path}"

    def tag(self, tag: str) -> Reference:
        """This repository with a tag."""
        return Reference(repository=self, tag=tag)

    def at(self, digest: Digest) -> Reference:
        """This repository with a digest."""
        return Reference(repository=self, digest=digest)


class Reference(Model, order=True):
    """A repository with a tag, a digest, or both (then the digest decides)."""

    repository: Repository
    tag: str = ""
    digest: Digest | None = None

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.repository}{tag}{digest}"

    @property
    def locator(self) -> str:
        """What follows `/manifests/` in the distribution API: the digest, else the tag, else `latest`."""
        return self.digest or self.tag or "latest"


def check_tag(tag: str) -> None:
    """Hold a tag against the grammar of the distribution spec.

    Raises:
        ValueError: it is empty, longer than 128 characters, or has an illegal character.
    """
    if len(tag) > MAX_TAG_LENGTH:
        msg = f"tag of {len(tag)} characters, at most {MAX_TAG_LENGTH} are allowed"
        raise ValueError(msg)
    if not _TAG.match(tag):
        msg = f"illegal tag `{tag}`: letters, digits, `_`, `.` and `-` are allowed, the first no `.` or `-`"
        raise ValueError(msg)


@lru_cache(maxsize=1024)
def is_registry_host(text: str) -> bool:
    """Whether this is `name`, `name:port` or `[IPv6]:port`, with a port that exists."""
    match = _HOST.match(text)
    if match is None or len(text) > MAX_HOST_LENGTH:
        return False
    if match["address"]:
        try:
            ipaddress.IPv6Address(match["address"])
        except ValueError:
            return False
    return match["port"] is None or 0 < int(match["port"]) <= MAX_PORT


@lru_cache(maxsize=65536)
def parse_repository(text: str) -> Repository:
    """Parse `[registry/]path`; without a registry it is Docker Hub's, `library/` is added to a bare name.

    Raises:
        ValueError: a part is illegal; the message says which and why.
    """
    first, slash, rest = text.partition("/")
    if slash and (any(mark in first for mark in ".:[") or first == "localhost" or first != first.lower()):
        registry, path = first, rest
    else:
        registry, path = DOCKER_HUB, text
    if registry == "index.docker.io":
        registry = DOCKER_HUB
    if registry == DOCKER_HUB and path and "/" not in path:
        path = f"library/{path}"
    if not is_registry_host(registry):
        msg = f"illegal registry host `{registry}` in `{text}`"
        raise ValueError(msg)
    if path != path.lower():
        msg = f"repository `{path}` has upper-case letters; registries take lower case only"
        raise ValueError(msg)
    if not path or not all(_PATH_COMPONENT.match(part) for part in path.split("/")):
        msg = f"illegal repository `{path}` in `{text}`" if path else f"no repository in `{text}`"
        raise ValueError(msg)
    if len(path) > MAX_PATH_LENGTH:
        msg = f"repository of {len(path)} characters, at most {MAX_PATH_LENGTH} are allowed"
        raise ValueError(msg)
    return Repository(registry=registry, path=path)


@lru_cache(maxsize=65536)
def parse_reference(text: str) -> Reference:
    """Parse `[registry/]path[:tag][@digest]`; neither tag nor digest is filled in.

    Raises:
        ValueError: a part is illegal; the message says which and why.
    """
    name, at, digest_text = text.partition("@")
    digest = parse_digest(digest_text) if at else None
    head, slash, last = name.rpartition("/")
    last, colon, tag = last.partition(":")
    if colon:
        check_tag(tag)
    return Reference(repository=parse_repository(head + slash + last), tag=tag, digest=digest)


def familiar(reference: Reference) -> str:
    """The short form that Docker shows, and by which BuildKit looks up named contexts: `node:20`, `acme/base`."""
    name = str(reference.repository).removeprefix(f"{DOCKER_HUB}/")
    official = reference.repository.path.removeprefix("library/")
    if reference.repository.registry == DOCKER_HUB and "/" not in official:
        name = official
    tag = "" if reference.tag in {"", "latest"} else f":{reference.tag}"
    digest = f"@{reference.digest}" if reference.digest else ""
    return name + tag + digest
