"""`Plan`: what would happen, why, and what becomes public; a value from which the engine runs and commands print."""

from __future__ import annotations

from enum import Enum
from typing import TypeAlias

from orchestrator.api.backend import Mode
from orchestrator.api.invocation import StepId
from orchestrator.api.solve import Solve
from orchestrator.diagnostics import Diagnostic, Severity
from orchestrator.model import Model
from orchestrator.oci.digest import Digest
from orchestrator.oci.platform import Platform
from orchestrator.oci.reference import Reference, Repository
from orchestrator.plan.graph import Edge
from orchestrator.plan.image import PlatformTest

FORMAT_VERSION = "1.0"


class Destination(Enum):
    """How far the results go: a folder, this machine's Docker, private names in registries, public tags."""

    LAYOUT = "oci"
    LOAD = "load"
    STAGE = "stage"
    PUSH = "push"

    @property
    def uses_registry(self) -> bool:
        """Whether results go to registries at all."""
        return self in {Destination.STAGE, Destination.PUSH}


class Action(Enum):
    """What happens to a platform build or an image.

    `GRAFT` and `RETAG` are of images alone: some platforms are taken over into a new index, or all are, and only tags
    are new. An image that is `REUSE` stands as it is declared, tags included.
    """

    BUILD = "build"
    GRAFT = "graft"
    RETAG = "retag"
    REUSE = "reuse"
    BLOCKED = "blocked"


class Reason(Model):
    """Why; `code` is from the closed list in docs/reference/plan.md, `items` is all that the message is about."""

    code: str
    message: str
    items: tuple[str, ...] = ()


class PlannedPlacement(Model):
    """Where a platform build runs, and how. `provisional`: no engine was asked.

    `others` are nodes that do the same: one of them takes it where it is free earlier, or where `node` is lost.
    """

    backend: str
    node: str
    mode: Mode
    others: tuple[str, ...] = ()
    provisional: bool = False


class PlatformBuild(Model):
    """One image for one platform; `volatile` are the names of its volatile args and labels."""

    id: str
    image: str
    platform: Platform
    wave: int
    needs: tuple[str, ...]
    action: Action
    reasons: tuple[Reason, ...]
    placement: PlannedPlacement | None = None
    inputs: Digest | None = None
    volatile: tuple[str, ...] = ()


class PlannedTag(Model):
    """A public tag: what it points at now (`current`), if that is known, and the version that is noted of it.

    `unknown` says why it is not, `hints` what to do about that.
    """

    name: str
    moving: bool
    reference: Reference | None = None
    current: Digest | None = None
    noted: str | None = None
    unknown: str = ""
    hints: tuple[str, ...] = ()

    def stands(self, digest: Digest | None, version: str | None) -> bool:
        """Whether there is nothing to put: it points at this index, and a moving one is noted with this version."""
        return digest is not None and self.current == digest and not (self.moving and self.noted != version)


class PlannedImage(Model):
    """One image of the plan; `place` is where people find its verified index."""

    name: str
    wave: int
    action: Action
    platforms: tuple[Platform, ...]
    publish: bool
    repository: Repository | None = None
    tags: tuple[PlannedTag, ...] = ()
    edges: tuple[Edge, ...] = ()
    version: str | None = None
    description: str = ""
    test: PlatformTest | None = None
    digest: Digest | None = None
    place: str = ""


class LayoutHome(Model, tag="layout"):
    """An OCI layout on disk, relative to the repository root."""

    path: str

    def __str__(self) -> str:
        """How people read it."""
        return f"oci:{self.path}"

    @property
    def answers(self) -> str:
        """Who answers for it: the layout itself."""
        return str(self)


class RegistryHome(Model, tag="registry"):
    """A repository in a registry."""

    repository: Repository

    def __str__(self) -> str:
        """How people read it."""
        return str(self.repository)

    @property
    def answers(self) -> str:
        """Who answers for it: where one repository is silent, all of its registry are."""
        return self.repository.registry


Home: TypeAlias = LayoutHome | RegistryHome
"""Where the results of an image are kept until they are public."""


class SolveStep(Model, tag="solve"):
    """Build some platforms, on `node` or one of `others`. `because` says why an image needs more than one solve."""

    id: StepId
    image: str
    needs: tuple[StepId, ...]
    solve: Solve
    backend: str
    node: str
    home: Home
    others: tuple[str, ...] = ()
    because: str = ""


class RecordKey(Model):
    """What a recorded platform build is known by.

    `manifest` is the input manifest, whose digest is `inputs`; empty where it could not be known, and then the record
    is found by nobody. `listings` are the listings of contexts that it names, `parents` the records it stands on.
    """

    scope: str
    inputs: Digest
    manifest: str
    listings: tuple[Digest, ...]
    parents: tuple[StepId, ...]


class RecordStep(Model, tag="record"):
    """Cut one platform out of what a solve gave, and put it under its private name.

    What another run has put under that name by then is taken instead, unless `replaces`.
    """

    id: StepId
    image: str
    needs: tuple[StepId, ...]
    solve: StepId
    platform: Platform
    home: Home
    key: RecordKey
    replaces: bool = False


class TestStep(Model, tag="test"):
    """Run a command in what was built for one platform, where it was built; on `node` or `others` where it stands.

    That it has passed is noted by a name of the record, which follows from the scope and the command.
    """

    id: StepId
    image: str
    needs: tuple[StepId, ...]
    record: StepId
    platform: Platform
    solve: Solve
    backend: str
    node: str
    mode: Mode
    home: Home
    scope: str
    command: tuple[str, ...]
    others: tuple[str, ...] = ()


class AssembleStep(Model, tag="assemble"):
    """Make the one canonical index of the recorded platforms."""

    id: StepId
    image: str
    needs: tuple[StepId, ...]
    parts: tuple[StepId, ...]
    home: Home
    annotations: tuple[tuple[str, str], ...] = ()


class VerifyStep(Model, tag="verify"):
    """Read the index back, hold it against what is declared, and only then put its private name.

    It waits for the tests of its platforms. The name follows from `parts`, the scope, and what else decides (`extra`).
    `parents` are, for each part, the records that it has to stand on.
    """

    id: StepId
    image: str
    needs: tuple[StepId, ...]
    index: StepId
    parts: tuple[StepId, ...]
    parents: tuple[tuple[StepId, ...], ...]
    platforms: tuple[Platform, ...]
    home: Home
    scope: str = ""
    extra: str = ""


class CopyStep(Model, tag="copy"):
    """Copy a verified index to another repository, children first, under no public tag."""

    id: StepId
    image: str
    needs: tuple[StepId, ...]
    index: StepId
    home: Home
    target: Repository


class ExportStep(Model, tag="export"):
    """Give the verified index to the layout that the user asked for, as its one entry, under a tag."""

    id: StepId
    image: str
    needs: tuple[StepId, ...]
    index: StepId
    home: LayoutHome
    target: LayoutHome
    tag: str


class GateStep(Model, tag="gate"):
    """Nothing but an order: all that it needs comes before all that needs it."""

    id: StepId
    needs: tuple[StepId, ...]
    image: str = ""


class TagMove(Model):
    """A tag to put.

    `expected` is what the plan saw there, `noted` the version of that; `version` is what is noted of a moving one.
    """

    reference: Reference
    moving: bool
    replace: bool
    expected: Digest | None = None
    noted: str | None = None
    version: str | None = None


class PromoteStep(Model, tag="promote"):
    """Put public tags; nothing else ever does."""

    id: StepId
    image: str
    needs: tuple[StepId, ...]
    index: StepId
    moves: tuple[TagMove, ...]


class LoadStep(Model, tag="load"):
    """Load this machine's platform into Docker."""

    id: StepId
    image: str
    needs: tuple[StepId, ...]
    index: StepId
    platform: Platform
    home: LayoutHome
    names: tuple[str, ...]


Step: TypeAlias = (
    SolveStep
    | RecordStep
    | TestStep
    | AssembleStep
    | VerifyStep
    | CopyStep
    | ExportStep
    | GateStep
    | PromoteStep
    | LoadStep
)


class Known(Model):
    """What a step of an earlier run gave, and this plan takes over."""

    step: StepId
    digest: Digest
    manifest: Digest | None = None
    key: str = ""


class Plan(Model):
    """Everything that would happen. `run` is a function of it: the same plan has the same id on every machine."""

    project: str
    destination: Destination
    run: str
    images: tuple[PlannedImage, ...]
    builds: tuple[PlatformBuild, ...]
    steps: tuple[Step, ...]
    diagnostics: tuple[Diagnostic, ...]
    backends: tuple[str, ...] = ()
    known: tuple[Known, ...] = ()

    @property
    def blocked(self) -> bool:
        """Whether something in it cannot be executed."""
        return any(finding.severity is Severity.ERROR for finding in self.diagnostics)
