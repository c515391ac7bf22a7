"""The contract of a backend: it turns steps into invocations and reads their outcome; the host does the rest.

Every request is one frozen value, so that a later version can add a field without breaking a backend.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Final, Literal, Protocol, TypeAlias

from orchestrator.api.events import ReaderEvent
from orchestrator.api.invocation import Invocation, Outcome, StepId, WrittenFile
from orchestrator.api.solve import Solve
from orchestrator.model import Model, Table
from orchestrator.oci.digest import Digest
from orchestrator.oci.platform import Platform

API_VERSION: Final = (1, 0)


class Emulation(Enum):
    """What `[platforms]` says about emulation of a platform."""

    ALLOW = "allow"
    WARN = "warn"
    FORBID = "forbid"


class Mode(Enum):
    """How a platform's programs run on a node."""

    NATIVE = "native"
    EMULATED = "emulated"


class Probe(Model):
    """A question to a node: a child that changes nothing, with a time limit in seconds.

    What it `writes` stands in a folder of its own, which is gone when it has ended, and whose path the variable
    `folder` of its environment holds. `node` is the one that it asks: a node that is silent for long while it builds
    is asked again.
    """

    name: str
    argv: tuple[str, ...]
    timeout: float = 10.0
    writes: tuple[WrittenFile, ...] = ()
    folder: str = ""
    node: str = ""


class Node(Model):
    """Where builds run.

    `provisional`: nobody answered, this is what the configuration says; without `platforms` even those are a guess.
    `asleep`: it says what it builds only when `setup` has started it, and was not told to be anything else before. The
    host asks it again then, and begins nothing on one that is not what it was taken for.
    `problem` is why it can take no builds at all, with `hints` what to do about it.
    `own` is the platform of its machine, where that is known: the one that programs of the build platform run on.
    `owns` says it for each platform that is built, where the machines of one builder differ.
    `speed` is how fast it builds, beside nodes that build the same: 2 is twice as fast as the usual 1.
    `private`: `setup` makes its builder; the engine gives it an ending of this project's, so that runs of several
    projects on one machine do not take it from each other.
    `probe` asks it alone, where its backend knows of it only by the answers of others: the host asks it too, then calls
    `nodes` with all answers, and while it builds with this one. `origin` is for its backend alone, which gets it back.
    """

    name: str
    platforms: tuple[Platform, ...]
    emulates: tuple[Platform, ...] = ()
    own: Platform | None = None
    owns: tuple[tuple[Platform, Platform], ...] = ()
    slots: int = 1
    speed: float = 1.0
    builder: str = ""
    provisional: bool = False
    asleep: bool = False
    summary: str = ""
    problem: str = ""
    hints: tuple[str, ...] = ()
    private: bool = False
    probe: Probe | None = None
    origin: Model | None = None

    @property
    def build_platform(self) -> Platform | None:
        """What `$BUILDPLATFORM` is there: its own platform, or the first declared one as long as that is not known."""
        return self.own or next(iter(self.platforms), None)


class PlaceRequest(Model):
    """Where shall this platform build run? `host` is this machine, a guess for nodes that nobody answered for."""

    image: str
    platform: Platform
    emulation: Emulation
    nodes: tuple[Node, ...]
    host: Platform


class Placement(Model):
    """It runs there, natively or emulated; or on one of `others`, which do the same, where that ends sooner."""

    node: str
    mode: Mode
    others: tuple[str, ...] = ()


class Refusal(Model):
    """It cannot run, and why; `code` is a stable word such as `emulation-forbidden`."""

    code: str
    message: str
    hints: tuple[str, ...] = ()


class Link(Model):
    """The named context `context` of the solve `step` is what the solve `parent` of the same request makes."""

    step: StepId
    context: str
    parent: StepId


class LowerRequest(Model):
    """Turn these solves, all placed on this node, into invocations.

    They are several only for a backend whose `max_steps` says so, parents first. `links` are the contexts among them:
    the late value that such a context holds is not known while they are built.
    """

    steps: tuple[Solve, ...]
    node: Node
    links: tuple[Link, ...] = ()


class SolveResult(Model):
    """A solve that succeeded: the digest of what was pushed, or written into the layout at `path`.

    One that keeps nothing (`NoOutput`) has no digest.
    """

    digest: Digest | None = None
    path: str = ""


class FailureKind(Enum):
    """Why a solve failed, which decides whether it is tried again."""

    USER = "user"
    TRANSIENT = "transient"
    INFRASTRUCTURE = "infrastructure"


class SolveFailure(Model):
    """A solve that failed; `lines` are the last lines that say why.

    `by_registry`: the build was done, and a registry did not take its result.
    """

    kind: FailureKind
    message: str
    lines: tuple[str, ...] = ()
    by_registry: bool = False


class SolveUnknown(Model):
    """A solve of several of which nobody can say what became of it, as their child ended by the failure of another.

    `digest` is what the child said that it has pushed: the host looks whether it stands. Without one, or where it does
    not stand, the solve is run again.
    """

    digest: Digest | None = None


Became: TypeAlias = SolveResult | SolveFailure | SolveUnknown
"""What became of a solve."""


class Reader(Protocol):
    """Reads the output of one child, line by line."""

    def feed(self, stream: Literal["stdout", "stderr"], line: str) -> Iterable[ReaderEvent]:
        """What this line says; lines that say nothing give nothing, and no line raises."""


class Backend(Protocol):
    """One backend, configured. Everything but the invocations' effects is pure."""

    def probes(self) -> tuple[Probe, ...]:
        """Children that tell what the nodes can do; each has a time limit and changes nothing."""

    def nodes(self, answers: Mapping[str, Outcome]) -> tuple[Node, ...]:
        """The nodes, from the answers by name of probe; without answers, what the configuration says."""

    def place(self, request: PlaceRequest) -> Placement | Refusal:
        """Choose a node for a platform build."""

    def setup(self, nodes: tuple[Node, ...]) -> tuple[Invocation, ...]:
        """What has to run before the first step on these nodes, such as creating a builder.

        What names no node runs first, then that of each node in its order, and of all nodes at the same time.
        """

    def teardown(self, nodes: tuple[Node, ...]) -> tuple[Invocation, ...]:
        """What has to run when the run is over, however it ended; a backend without it leaves nothing behind."""

    def lower(self, request: LowerRequest) -> tuple[Invocation, ...] | Refusal:
        """The children that do these steps, in order.

        Called at plan time, and for requests of several steps once more for the rest of those of which one has failed.
        """

    def reader(self, invocation: Invocation) -> Reader:
        """A reader for the output of one child."""

    def results(self, request: LowerRequest, outcomes: tuple[Outcome, ...]) -> Mapping[StepId, Became]:
        """What became of each step, from the outcomes of its invocations."""


class Capabilities(Model):
    """What a backend can do beyond the least; all off unless said, so that a new one breaks nobody.

    `source_policy`: it passes `Solve.pins` on to BuildKit.
    `emulation`: choosing it by name writes down that foreign platforms may be emulated.
    `max_steps`: how many solves a request may hold; the host then puts as many together as it can.
    """

    source_policy: bool = False
    emulation: bool = False
    max_steps: int = 1


class ConfigProblem(Model):
    """What is wrong with a table of a backend beyond its types; `keys` lead to the value, from the table on."""

    keys: tuple[str | int, ...]
    message: str
    code: str = "illegal-value"
    hints: tuple[str, ...] = ()


BackendFactory: TypeAlias = Callable[[Table], Backend]
ConfigCheck: TypeAlias = Callable[[Table], Iterable[ConfigProblem]]


def no_problems(config: Table) -> tuple[ConfigProblem, ...]:
    """The check of a table whose types say everything."""
    del config
    return ()


class BackendSpec(Model):
    """A backend as it is registered: `config` becomes `[backends.<name>]` and joins the JSON Schema.

    `check` says what is wrong with a table whose types are right; what it finds is shown at its line.
    """

    name: str
    summary: str
    factory: BackendFactory
    config: type[Table]
    check: ConfigCheck = no_problems
    api: tuple[int, int] = API_VERSION
    capabilities: Capabilities = Capabilities()
