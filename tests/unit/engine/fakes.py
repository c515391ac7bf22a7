"""A backend whose builds are small Python programs that write OCI layouts, and a run of a plan with it."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from orchestrator.api.backend import (
    Became,
    Capabilities,
    LowerRequest,
    Node,
    Placement,
    PlaceRequest,
    Probe,
    Refusal,
)
from orchestrator.api.events import ChildStarted, Event, RunFinished, StepFinished, StepState, TagPut
from orchestrator.api.invocation import CollectedFile, Invocation, Outcome, PathOf, Word
from orchestrator.api.solve import LayoutOutput, NoOutput, Solve
from orchestrator.buildkit.placement import place_on
from orchestrator.buildkit.progress import RawJsonReader
from orchestrator.buildkit.results import read_result
from orchestrator.cli.wiring import RealChildren, RealStores
from orchestrator.engine.jobs import Publish
from orchestrator.engine.results import StepResult
from orchestrator.engine.run import Engine, Work
from orchestrator.model import Model
from orchestrator.oci.manifest import Manifest
from orchestrator.plan.facts import TagState
from orchestrator.plan.lower import lower_plan
from orchestrator.plan.model import Destination, Plan
from orchestrator.plan.place import ConfiguredBackend
from orchestrator.testing.registry import FakeRegistry
from tests.contract.registry_sample import opened
from tests.unit.engine.child_builder import write
from tests.unit.plan.samples import AMD64, ARM64, Asked, compile_text

CHILD: Final = Path(__file__).with_name("child_builder.py")
NODE: Final = Node(name="here", platforms=(AMD64, ARM64), slots=2, builder="here")


class PythonBackend:
    """Starts `child_builder.py` for each solve; `behaviours` says by image what it does instead of building."""

    def __init__(
        self,
        behaviours: Mapping[str, str],
        setup: tuple[Invocation, ...] = (),
        timeout: float | None = None,
        teardown: tuple[Invocation, ...] = (),
    ) -> None:
        self._behaviours = behaviours
        self._setup = setup
        self._teardown = teardown
        self._timeout = timeout

    def probes(self) -> tuple[Probe, ...]:
        """None."""
        return ()

    def nodes(self, answers: Mapping[str, Outcome]) -> tuple[Node, ...]:
        """This machine."""
        del answers
        return (NODE,)

    def place(self, request: PlaceRequest) -> Placement | Refusal:
        """On it."""
        return place_on(request.nodes[0], request)

    def setup(self, nodes: tuple[Node, ...]) -> tuple[Invocation, ...]:
        """What the test says."""
        del nodes
        return self._setup

    def teardown(self, nodes: tuple[Node, ...]) -> tuple[Invocation, ...]:
        """What the test says."""
        del nodes
        return self._teardown

    def lower(self, request: LowerRequest) -> tuple[Invocation, ...] | Refusal:
        """One child for each solve."""
        return tuple(map(self._child, request.steps))

    def _child(self, solve: Solve) -> Invocation:
        layout: Word = (PathOf(name="layout"),) if isinstance(solve.output, LayoutOutput) else "-"
        name = f"test:{solve.image}" if isinstance(solve.output, NoOutput) else solve.image
        contexts: tuple[Word, ...] = tuple(context.value for context in solve.contexts)
        secrets = tuple(secret.env for secret in solve.options.secrets if secret.env)
        return Invocation(
            argv=(
                sys.executable, "-I", str(CHILD), self._behaviours.get(name, "build"), name, layout,
                (PathOf(name="metadata.json"),),
                ",".join(map(str, solve.platforms)), *contexts,
            ),
            steps=(solve.id,),
            collects=(CollectedFile(name="metadata.json", limit=4096),),
            folders=("layout",) if isinstance(solve.output, LayoutOutput) else (),
            inherits=secrets,
            timeout=self._timeout,
        )  # fmt: skip

    def reader(self, invocation: Invocation) -> RawJsonReader:
        """As buildx."""
        return RawJsonReader(invocation.steps[0] if invocation.steps else "setup")

    def results(self, request: LowerRequest, outcomes: tuple[Outcome, ...]) -> Mapping[str, Became]:
        """As buildx; nothing at all where a test wants a backend that forgets."""
        pairs = zip(request.steps, outcomes, strict=True)
        return {
            solve.id: read_result(solve, outcome)
            for solve, outcome in pairs
            if self._behaviours.get(solve.image) != "forget"
        }


class Finished(Model):
    """What a run came to."""

    plan: Plan
    exit_code: int
    events: tuple[Event, ...]

    def states(self) -> dict[str, str]:
        """How every step ended."""
        return {event.step: event.state.value for event in self.events if isinstance(event, StepFinished)}

    def ended(self, step: str) -> StepFinished:
        """How one did."""
        return next(event for event in self.events if isinstance(event, StepFinished) and event.step == step)

    def argv(self, step: str) -> list[tuple[str, ...]]:
        """The children that a step started."""
        return [event.argv for event in self.events if isinstance(event, ChildStarted) and event.steps == (step,)]

    def put(self) -> list[str]:
        """The tags that were put, in their order."""
        return [event.reference for event in self.events if isinstance(event, TagPut)]


class Run:
    """A plan of a text, and the means to run it in a folder."""

    def __init__(
        self, folder: Path, backend: PythonBackend | None = None, *, jobs: int = 8, max_steps: int = 1
    ) -> None:
        self.folder = folder
        self.events: list[Event] = []
        self.environment: dict[str, str] = {"PATH": "/usr/bin:/bin"}
        self.remembered: dict[str, StepResult] = {}
        self.fail_fast = False
        self.publish = Publish.ALL
        self.nodes: tuple[Node, ...] = (NODE,)
        self._jobs = jobs
        self._workspace: Path | None = None
        self._chosen = ConfiguredBackend(
            name="python",
            backend=backend or PythonBackend({}),
            capabilities=Capabilities(source_policy=True, max_steps=max_steps),
        )

    def plan(
        self,
        text: str,
        dockerfiles: Mapping[str, str] | None = None,
        *,
        destination: Destination = Destination.LAYOUT,
        registry: str = "r.example",
        tags: Mapping[str, TagState] | None = None,
    ) -> Plan:
        """The plan of a text; `tags` are what it knows of public ones."""
        asked = Asked(
            destination=destination, nodes=self.nodes, backend=self._chosen, host=AMD64, registry=f"{registry}/acme",
            tags=tags or {},
        )  # fmt: skip
        return compile_text(text, dockerfiles, asked)

    def engine(self, plan: Plan, stores: RealStores, emit: Callable[[Event], None] | None = None) -> Engine:
        """An engine for a plan."""
        backends, nodes = {"python": self._chosen}, {"python": self.nodes}
        work = Work(
            plan=plan, lowered=lower_plan(plan, backends, nodes), backends=backends, nodes=nodes, jobs=self._jobs,
            fail_fast=self.fail_fast, publish=self.publish,
        )  # fmt: skip
        engine = Engine(
            work, root=self.folder, environment=self.environment, stores=stores,
            children=RealChildren(self.environment, root=self.folder),
            emit=emit or self.events.append,
        )  # fmt: skip
        engine.remember(self.remembered)
        return engine

    def finish(self, plan: Plan) -> Finished:
        """Run a plan to its end."""
        with stores_of(self.folder) as stores:
            exit_code = asyncio.run(self.engine(plan, stores).run(self.workspace()))
        assert isinstance(self.events[-1], RunFinished)
        return Finished(plan=plan, exit_code=exit_code, events=tuple(self.events))

    def workspace(self) -> Path:
        """An empty folder for the files of children."""
        if self._workspace is None:
            (self.folder / ".orchestrate").mkdir(parents=True, exist_ok=True)
            self._workspace = Path(tempfile.mkdtemp(dir=self.folder / ".orchestrate"))
        return self._workspace


@contextmanager
def stores_of(root: Path) -> Iterator[RealStores]:
    """Registries, and the layouts of a project."""
    with opened() as registries:
        yield RealStores(registries, root=root)


def push_image(registry: FakeRegistry, repository: str, name: str, folder: Path) -> Manifest:
    """Have in a registry, by digest alone, what a build would push there; the index."""
    layout = folder / "pushed" / repository / name
    digest = write(layout, name, ["linux/amd64", "linux/arm64"], lone=False)
    found: dict[str, Manifest] = {}
    for path in (layout / "blobs" / "sha256").iterdir():
        content = path.read_bytes()
        media_type = json.loads(content).get("mediaType", "") if content.startswith(b'{"schemaVersion"') else ""
        if media_type:
            manifest = Manifest(media_type=media_type, content=content)
            found[registry.put_manifest(repository, "", manifest)] = manifest
        else:
            registry.put_blob(repository, content)
    return found[digest]


def skipped(finished: Finished) -> set[str]:
    """The steps that were skipped."""
    return {step for step, state in finished.states().items() if state == StepState.SKIPPED.value}
