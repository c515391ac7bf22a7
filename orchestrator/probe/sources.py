"""Reads what stands on disk for a plan: which folders are there, and the Dockerfiles in them."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from orchestrator.oci.digest import Digest, digest_bytes
from orchestrator.plan.facts import FolderState, SourceFacts
from orchestrator.plan.grants import Grants
from orchestrator.plan.sources import NeededSources
from orchestrator.probe.regular import read_regular

MAX_DOCKERFILE: Final = 1024 * 1024


def read_sources(root: Path, needed: NeededSources, *, boundary: Path, grants: Grants) -> SourceFacts:
    """Look at these paths, relative to `root`; a symbolic link that leads out of `boundary` makes one `outside`.

    A Dockerfile that is outside is read only where that was granted: what it says would be shown.
    """
    links = _Links(os.path.realpath(boundary))
    base = str(root)
    states: dict[str, FolderState] = {}
    texts: dict[str, str | None] = {}
    digests: dict[str, Digest] = {}
    outside: set[str] = set()
    for folder in needed.folders:
        path = os.path.normpath(os.path.join(base, folder))  # noqa: PTH118 (10,000 of them: a `Path` costs more)
        states[folder] = _folder_state(path)
        if states[folder] is FolderState.FOLDER and links.leave(path):
            outside.add(folder)
    for dockerfile in needed.dockerfiles:
        path = os.path.normpath(os.path.join(base, dockerfile))  # noqa: PTH118 (as above)
        leads_out = links.leave(path)
        may_read = grants.reads(dockerfile) and (not leads_out or grants.covers(dockerfile))
        content = read_regular(path, MAX_DOCKERFILE + 1) if may_read else None
        texts[dockerfile] = None if content is None else content.decode("utf-8", "replace")
        if content is not None:
            digests[dockerfile] = digest_bytes(content)
        if leads_out:
            outside.add(dockerfile)
    for other in needed.others:
        if links.leave(os.path.normpath(os.path.join(base, other))):  # noqa: PTH118 (as above)
            outside.add(other)
    # as it is written, for that is what buildx looks at: `https:/../x` needs a folder `https:`
    shadowed = frozenset(
        remote
        for remote in needed.remotes
        if os.path.lexists(os.path.join(base, remote))  # noqa: PTH118 (a `Path` would drop one of the slashes)
    )
    return SourceFacts(
        folders=states, dockerfiles=texts, outside=frozenset(outside), shadowed=shadowed, digests=digests
    )


class _Links:
    """Follows symbolic links, each folder once: `os.path.realpath` would look at every parent of every path again."""

    def __init__(self, base: str) -> None:
        self._base = base
        self._real = {os.sep: os.sep}

    def leave(self, path: str) -> bool:
        """Whether a path that is written inside of the base leads out of it."""
        return self._within(path) and not self._within(self._resolve(path))

    def _within(self, path: str) -> bool:
        return path == self._base or path.startswith(self._base + os.sep)

    def _resolve(self, path: str) -> str:
        if path not in self._real:
            parent, name = os.path.split(path)
            plain = os.path.join(self._resolve(parent), name)  # noqa: PTH118 (10,000 of them)
            self._real[path] = os.path.realpath(plain) if os.path.islink(plain) else plain  # noqa: PTH114 (as above)
        return self._real[path]


def _folder_state(path: str) -> FolderState:
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 (10,000 of them: a Path costs more than the call)
    except (OSError, ValueError):
        return FolderState.MISSING
    return FolderState.FOLDER if stat.S_ISDIR(mode) else FolderState.OTHER
