"""`Facts`: all that a plan takes from outside, read once, so that a plan is a function of values."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from orchestrator.api.backend import Node
from orchestrator.model import Model
from orchestrator.oci.digest import Digest
from orchestrator.oci.platform import Platform
from orchestrator.oci.reference import Reference
from orchestrator.plan.bases import BaseFacts
from orchestrator.plan.inputs import InputManifest
from orchestrator.plan.memory import NOTHING, Memory
from orchestrator.plan.model import Reason
from orchestrator.plan.past import Past
from orchestrator.plan.scopes import DEFAULT_SCOPE


class FolderState(Enum):
    """What stands at the path of a local context."""

    FOLDER = "folder"
    MISSING = "missing"
    OTHER = "other"


class SourceFacts(Model):
    """What stands on disk: folders by path, and the text of Dockerfiles by path, None where there is none.

    `digests` are those of the bytes of Dockerfiles, by path: text that is not UTF-8 was decoded with replacements.
    `outside` are paths that a link leads out of the repository, `shadowed` remote contexts that are folders here too.
    """

    folders: Mapping[str, FolderState]
    dockerfiles: Mapping[str, str | None]
    outside: frozenset[str] = frozenset()
    shadowed: frozenset[str] = frozenset()
    digests: Mapping[str, Digest] = {}


class TagState(Model):
    """What a public tag points at now: `version` is the one noted in that index.

    `unknown` is why nobody could tell, `hints` what to do about that.
    """

    digest: Digest | None = None
    version: str | None = None
    unknown: str = ""
    hints: tuple[str, ...] = ()


class StateRules(Model):
    """The scope that a run writes, all that it reads, and why images are built though they stand.

    `asked`: registries were asked what stands.
    """

    scope: str = DEFAULT_SCOPE
    reads: tuple[str, ...] = (DEFAULT_SCOPE,)
    forced: Mapping[str, Reason] = {}
    asked: bool = False


class RunFacts(Model):
    """What is known of nodes and registries. A tag that is not in `tags` was not asked for.

    `bases` are external images, by tag or digest, `inputs` the input manifests of platform builds by id, `listings` the
    digests in them that are of listings of contexts, `memory` what stands already, `reasons` why the rest is built, and
    `past` what is known of when it was built last. `replaced` are the records of what is built though it stands.
    """

    nodes: Mapping[str, tuple[Node, ...]]
    host: Platform
    tags: Mapping[str, TagState]
    bases: Mapping[Reference, BaseFacts] = {}
    inputs: Mapping[str, InputManifest] = {}
    listings: frozenset[Digest] = frozenset()
    memory: Memory = NOTHING
    reasons: Mapping[str, tuple[Reason, ...]] = {}
    past: Mapping[str, Past] = {}
    replaced: Mapping[str, Digest] = {}
    state: StateRules = StateRules()
