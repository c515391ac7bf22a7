"""`Facts`: all that a plan takes from outside, read once, so that a plan is a function of values."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from orchestrator.api.backend import Node
from orchestrator.model import Model
from orchestrator.oci.digest import Digest
from orchestrator.oci.platform import Platform


class FolderState(Enum):
    """What stands at the path of a local context."""

    FOLDER = "folder"
    MISSING = "missing"
    OTHER = "other"


class SourceFacts(Model):
    """What stands on disk: folders by path, and the text of Dockerfiles by path, None where there is none.

    `outside` are paths that a link leads out of the repository, `shadowed` remote contexts that are folders here too.
    """

    folders: Mapping[str, FolderState]
    dockerfiles: Mapping[str, str | None]
    outside: frozenset[str] = frozenset()
    shadowed: frozenset[str] = frozenset()


class TagState(Model):
    """What a public tag points at now: `version` is the one noted in that index.

    `unknown` is why nobody could tell, `hints` what to do about that.
    """

    digest: Digest | None = None
    version: str | None = None
    unknown: str = ""
    hints: tuple[str, ...] = ()


class RunFacts(Model):
    """What is known of nodes and registries. A tag that is not in `tags` was not asked for."""

    nodes: Mapping[str, tuple[Node, ...]]
    host: Platform
    tags: Mapping[str, TagState]
