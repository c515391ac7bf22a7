"""What was found out about external images, by digest: their platforms, and the triggers of those asked about.

A digest stands for the same bytes for ever, so nothing here grows old. One file, `.orchestrate/base-facts.json`; what
cannot be read is as if it were not there.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from orchestrator.model import Model
from orchestrator.oci.digest import Digest, parse_digest
from orchestrator.oci.platform import parse_platform
from orchestrator.plan.bases import BaseFacts
from orchestrator.state.beneath import Durability, Missing, find_size, open_folder, open_regular, write_whole
from orchestrator.state.workspace import NAME

FILE: Final = "base-facts.json"
MAX_BYTES: Final = 4 * 1024 * 1024
MAX_IMAGES: Final = 2_000

_VERSION: Final = 1
_IGNORE: Final = ".gitignore"


class _Entry(Model):
    platforms: tuple[str, ...]
    triggers: dict[str, tuple[str, ...]]


class _Content(Model):
    version: int
    images: dict[str, _Entry]


_CONTENT: Final = msgspec.json.Decoder(_Content)


def read_base_facts(root: Path) -> dict[Digest, BaseFacts]:
    """What is kept in the project in `root`, the oldest first."""
    try:
        with open_folder(root, (NAME,), Missing.FAIL) as folder, open_regular(FILE, folder) as file:
            text = file.read(MAX_BYTES + 1)
        content = _CONTENT.decode(text) if len(text) <= MAX_BYTES else None
        if content is None or content.version != _VERSION:
            return {}
        return {parse_digest(digest): _decode(digest, entry) for digest, entry in content.images.items()}
    except (OSError, ValueError, RecursionError):  # msgspec's errors are ValueErrors
        return {}


def write_base_facts(root: Path, facts: Mapping[Digest, BaseFacts]) -> None:
    """Keep these, the latest of them where they are too many; a disk that cannot be written to keeps nothing."""
    latest = list(facts.items())[-MAX_IMAGES:]
    content = msgspec.json.encode(_Content(version=_VERSION, images={digest: _encode(each) for digest, each in latest}))
    if len(content) > MAX_BYTES:
        return
    with suppress(OSError), open_folder(root, (NAME,), Missing.CREATE) as folder:
        if find_size(_IGNORE, folder) is None:
            write_whole(_IGNORE, folder, lambda file: file.write(b"*\n"), Durability.LAZY)
        write_whole(FILE, folder, lambda file: file.write(content), Durability.LAZY)


def _decode(digest: str, entry: _Entry) -> BaseFacts:
    return BaseFacts(
        digest=parse_digest(digest),
        platforms=tuple(map(parse_platform, entry.platforms)),
        triggers={parse_platform(platform): triggers for platform, triggers in entry.triggers.items()},
    )


def _encode(facts: BaseFacts) -> _Entry:
    return _Entry(
        platforms=tuple(map(str, facts.platforms)),
        triggers={str(platform): triggers for platform, triggers in facts.triggers.items()},
    )
