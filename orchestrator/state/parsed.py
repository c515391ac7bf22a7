"""What parsing Dockerfiles gave, so that only those that changed are parsed again.

One file, `.orchestrate/cache/dockerfiles`: by path the digest of a Dockerfile's bytes, and what was read in it. It
counts for these bytes alone, for the version of BuildKit's parser and of our reading that made it, and only where this
machine wrote it. Reading it takes a thirtieth of the time that parsing takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Final

import msgspec

from orchestrator.dockerfile.model import Dockerfile
from orchestrator.dockerfile.parse import FORMAT
from orchestrator.model import Model
from orchestrator.oci.digest import Digest
from orchestrator.state.cache import read_own, write_own

FILE: Final = "dockerfiles"
MAX_BYTES: Final = 128 * 1024 * 1024

_PARSER: Final = "dockerfile"


class _Content(Model):
    made_by: str
    files: dict[str, tuple[str, Dockerfile]]


def read_parsed(root: Path, digests: Mapping[str, Digest]) -> dict[str, Dockerfile]:
    """What is kept of the Dockerfiles that have these digests now, by path."""
    try:
        content = msgspec.msgpack.decode(read_own(root, FILE, MAX_BYTES), type=_Content)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return {}
    if content.made_by != _maker():
        return {}
    return {path: dockerfile for path, (digest, dockerfile) in content.files.items() if digests.get(path) == digest}


def write_parsed(root: Path, digests: Mapping[str, Digest], parsed: Mapping[str, Dockerfile]) -> None:
    """Keep these, and nothing that was kept before."""
    files = {path: (str(digests[path]), dockerfile) for path, dockerfile in parsed.items() if path in digests}
    content = msgspec.msgpack.encode(_Content(made_by=_maker(), files=files))
    if len(content) < MAX_BYTES:
        write_own(root, FILE, content)


def _maker() -> str:
    return f"{FORMAT} {version(_PARSER)}"
