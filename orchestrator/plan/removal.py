"""What goes from a repository, and what became of it."""

from __future__ import annotations

from enum import Enum

from orchestrator.errors import RegistryError
from orchestrator.model import Model
from orchestrator.oci.digest import Digest
from orchestrator.oci.reference import Repository


class Kind(Enum):
    """What a private name is for."""

    RUN = "run"
    RECORD = "record"
    TEST = "test"
    FINAL = "index"
    INPUTS = "inputs"
    LAST = "last"
    NOTE = "note"
    OLD = "old"


class Name(Model):
    """A private name that goes; `image` and `scope` are empty where nothing tells them."""

    tag: str
    digest: Digest
    kind: Kind
    image: str = ""
    scope: str = ""


class Removal(Model):
    """What goes from a repository.

    `waves` are the digests in the order of their deletion: nothing in a wave is beneath something in a later one. A
    name whose digest is in none of them is to go alone. `stay` is how many names stay, public ones included.
    """

    repository: Repository
    names: tuple[Name, ...]
    waves: tuple[tuple[Digest, ...], ...]
    stay: int

    @property
    def digests(self) -> frozenset[Digest]:
        """All digests that go."""
        return frozenset(digest for wave in self.waves for digest in wave)


class Fate(Enum):
    """What became of a name."""

    GONE = "gone"
    IN_USE = "in_use"
    """By now a run needs it."""

    NO_TAGS = "no_tags"
    """What it names is needed, and the registry deletes no tag without that."""

    REFUSED = "refused"


class Pruned(Model):
    """What became of a `Removal`: of each of its names, and which digests are deleted.

    `refusal` is the first error of the registry; without one nothing is left that should have gone.
    """

    removal: Removal
    fates: tuple[tuple[Name, Fate], ...]
    deleted: tuple[Digest, ...]
    refusal: RegistryError | None = None
