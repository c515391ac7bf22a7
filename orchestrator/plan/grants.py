"""What a `builds.toml` asks for and only the user can grant: `--allow read=PATH`, `--allow network.host`."""

from __future__ import annotations

import posixpath
from typing import Final

from orchestrator.errors import UsageError
from orchestrator.model import Model

ENTITLEMENTS: Final = ("network.host", "security.insecure")
READ: Final = "read="


class Grants(Model):
    """What the user granted. `depth` is how many folders the root file is below the repository's root."""

    entitlements: frozenset[str] = frozenset()
    folders: tuple[str, ...] = ()
    depth: int = 0

    def reads(self, path: str) -> bool:
        """Whether a normalised path, relative to the root file's folder, may be read."""
        if not path.startswith("/") and _climbs(path) <= self.depth:
            return True
        return self.covers(path)

    def covers(self, path: str) -> bool:
        """Whether the user granted this path, or a folder above it."""
        return any(_lies_in(path, folder) for folder in self.folders)


def parse_grants(texts: tuple[str, ...], *, depth: int) -> Grants:
    """Parse the values of `--allow`.

    Raises:
        UsageError: one of them is no grant.
    """
    entitlements: set[str] = set()
    folders: list[str] = []
    for text in texts:
        if text in ENTITLEMENTS:
            entitlements.add(text)
        elif text.startswith(READ) and text != READ:
            folders.append(posixpath.normpath(text.removeprefix(READ)))
        else:
            message = f"unknown grant `{text}`"
            raise UsageError(
                message, hints=("say `--allow read=PATH`, `--allow network.host` or `--allow security.insecure`",)
            )
    return Grants(entitlements=frozenset(entitlements), folders=tuple(folders), depth=depth)


def _lies_in(path: str, folder: str) -> bool:
    """Whether one normalised path is another or below it: `../..` starts with `../`, and is above `..`."""
    above = folder.rstrip("/") + "/"
    return path == folder or (path.startswith(above) and path[len(above) :].partition("/")[0] != "..")


def _climbs(path: str) -> int:
    parts = path.split("/")
    return next((count for count, part in enumerate(parts) if part != ".."), len(parts))
