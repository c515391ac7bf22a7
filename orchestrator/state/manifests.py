"""Manifests that registries once gave, by digest: who knows what a name points at need not fetch it again.

One file, `.orchestrate/cache/manifests`. Bytes are hashed when they are looked up, so one that was changed is as if it
were not there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from orchestrator.model import Model
from orchestrator.oci.digest import Digest, digest_bytes
from orchestrator.oci.manifest import Manifest, identify
from orchestrator.state.cache import read_cached, write_cached

FILE: Final = "manifests"
MAX_BYTES: Final = 64 * 1024 * 1024
MAX_MANIFESTS: Final = 30_000
MAX_ONE: Final = 256 * 1024
"""Bytes of a manifest that is kept; an index of two platforms has two thousand."""

_VERSION: Final = 1


class _Content(Model):
    version: int
    manifests: dict[str, bytes]


class ManifestCache:
    """The manifests of one project; threads may share it."""

    def __init__(self, kept: Mapping[str, bytes]) -> None:
        self.began_empty = not kept
        self._kept = kept
        self._used: dict[Digest, bytes] = {}
        self._is_changed = False

    def find(self, digest: Digest) -> Manifest | None:
        """The manifest of this digest, if it is kept."""
        content = self._used.get(digest) or self._kept.get(digest)
        if content is None or digest_bytes(content) != digest:
            return None
        try:
            manifest = identify(content, "")
        except ValueError:
            return None
        self._used[digest] = content
        return manifest

    def keep(self, manifest: Manifest) -> None:
        """Keep a manifest, if it is small and says itself what it is: the type is not kept."""
        if len(manifest.content) <= MAX_ONE and identify(manifest.content, "").media_type == manifest.media_type:
            self._used[manifest.digest] = manifest.content
            self._is_changed = True

    def write(self, root: Path) -> None:
        """Write what is to be kept, if there is anything new; of too many those stay that were used last."""
        if not self._is_changed:
            return
        chosen: dict[str, bytes] = {}
        left = MAX_BYTES // 2
        older = ((digest, content) for digest, content in self._kept.items() if digest not in self._used)
        for digest, content in (*reversed(self._used.items()), *reversed(tuple(older))):
            left -= len(content)
            if left < 0 or len(chosen) == MAX_MANIFESTS:
                break
            chosen[digest] = content
        latest_last = dict(reversed(chosen.items()))
        write_cached(root, FILE, msgspec.msgpack.encode(_Content(version=_VERSION, manifests=latest_last)))


@contextmanager
def open_manifest_cache(root: Path) -> Iterator[ManifestCache]:
    """The cache of the project in `root`, written back at the end."""
    cache = ManifestCache(_read(root))
    yield cache
    cache.write(root)


def _read(root: Path) -> Mapping[str, bytes]:
    try:
        content = msgspec.msgpack.decode(read_cached(root, FILE, MAX_BYTES), type=_Content)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return {}
    return content.manifests if content.version == _VERSION else {}
