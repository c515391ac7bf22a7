"""Folders to be walked, and a clock for which they are old: a test cannot set a ctime, nor wait for one to age."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from orchestrator.dockerfile.ignore import parse_ignore
from orchestrator.plan.context import Kind, Listing, record_tail
from orchestrator.state.clock import Clock, Reading
from orchestrator.state.context import walk
from orchestrator.state.statcache import Folder, open_stat_cache

SECOND = 1_000_000_000
LIE = record_tail(Kind.FILE, 0o644, b"0" * 64)
"""What a forged cache says of every file: it is seen where the cache is believed."""


def ahead(seconds: float, *, offset: int = 0, boot: str = "one", device: int = 0) -> Clock:
    """A clock that is fast by this much."""

    def read(folder: int) -> Reading:
        now = time.time_ns() + int(seconds * SECOND)
        return Reading(device=os.fstat(folder).st_dev + device, now=now, offset=offset, boot=boot)

    return read


def write_files(root: Path, files: Mapping[str, str]) -> Path:
    """Write files into a folder."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def read_context(project: Path, root: Path, ignore: str = "", *, clock: Clock | None = None) -> Listing:
    """A run that lists one context."""
    with open_stat_cache(project, clock or ahead(60)) as cache:
        return walk(root, parse_ignore(ignore), cache)


def kept_files(project: Path, root: Path, *, clock: Clock | None = None) -> set[str]:
    """The files of a context that the cache knows."""
    with open_stat_cache(project, clock or ahead(120)) as cache:
        before = cache.context(os.path.realpath(os.fsencode(root))).before
        return {os.fsdecode(folder + name) for folder, known in before.items() for name in known.by_name()}


def forge(project: Path, root: Path, *, clock: Clock | None = None) -> None:
    """Make the cache lie about all files that it knows, whose stamps it has right."""

    def lie(folder: Folder) -> Folder:
        return msgspec.structs.replace(folder, tails=(LIE,) * len(folder.tails))

    with open_stat_cache(project, clock or ahead(60)) as cache:
        known = cache.context(os.path.realpath(os.fsencode(root)))
        for prefix, folder in known.before.items():
            known.keep(prefix, lie(folder))


def believed(listing: Listing) -> set[str]:
    """The files of which the forged cache was believed."""
    return {entry.path for entry in listing.entries if entry.content == "0" * 64}
