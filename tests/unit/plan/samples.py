"""Small projects, from text to images, edges and plans, without a disk; and whole ones in a folder."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from orchestrator.api.backend import Node
from orchestrator.cli.options import PlanOptions, ProjectOptions
from orchestrator.cli.prepare import Preparation, Prepared
from orchestrator.config.assign import parse_assignments
from orchestrator.config.decode import decode
from orchestrator.config.lock import Lock
from orchestrator.config.project import Project, SourceFile, join
from orchestrator.config.schema import Scalar
from orchestrator.diagnostics import Diagnostic, Span
from orchestrator.errors import OrchestratorError
from orchestrator.model import Model
from orchestrator.oci.digest import digest_bytes
from orchestrator.oci.platform import Platform, parse_platform
from orchestrator.oci.reference import Repository
from orchestrator.plan.compile import Declared, Scope, compile_plan, place_selected
from orchestrator.plan.edges import DockerfileReader, find_edges
from orchestrator.plan.expand import Expansion, Given, expand
from orchestrator.plan.facts import RunFacts, TagState
from orchestrator.plan.grants import Grants
from orchestrator.plan.graph import Edge, Order, order_images
from orchestrator.plan.image import Image
from orchestrator.plan.memory import NOTHING, Memory
from orchestrator.plan.model import Destination, Plan, PlatformBuild, SolveStep, Step
from orchestrator.plan.place import ConfiguredBackend
from orchestrator.plugins import configure, find_backends
from orchestrator.tags.facts import Described, GitFacts, NoGit
from orchestrator.tags.version import VersionFacts
from orchestrator.ui.diagnostics import ordered

AMD64 = parse_platform("linux/amd64")
ARM64 = parse_platform("linux/arm64")
ARM7 = parse_platform("linux/arm/v7")
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
DIGEST = digest_bytes(b"what stands there")
HEAD = """format = 1
[project]
registry = "r.example/acme"
[defaults]
platforms = ["linux/amd64", "linux/arm64"]
tags = ["1.0", { ref = "latest", moving = true }]
"""
EMULATED = '[platforms."*"]\nemulation = "allow"\n'
GIT = GitFacts(
    sha="a" * 40,
    short_sha="a" * 12,
    branch="main",
    default_branch="main",
    tags_at_head=("v1.4.0",),
    dirty=False,
    dirty_paths=(),
    commit_time=1_750_000_000,
    shallow=False,
    described=(Described(match="v*", tag="v1.4.0", distance=0), Described(match="*", tag="v1.4.0", distance=0)),
)
NODE = Node(name="default", platforms=(AMD64,), emulates=(ARM64,), slots=4, builder="default")
QEMU = configure(find_backends().spec("qemu"), None)


def read_project(text: str) -> Project:
    """The project of one file that has no errors."""
    table, found = decode(text, "builds.toml")
    assert table is not None, found
    project, found = join(SourceFile(path="builds.toml", folder="", text=text), table, (), folder_name="acme")
    assert found == ()
    return project


def expand_text(
    text: str,
    *settings: str,
    git: GitFacts | NoGit = GIT,
    registry: str | None = "r.example/acme",
    grants: Grants | None = None,
    variables: Mapping[str, Scalar] | None = None,
) -> tuple[Expansion, tuple[Diagnostic, ...]]:
    """The images of a file, and what is wrong with them; `settings` are as those of `--set`."""
    assignments, found = parse_assignments(settings, "command line")
    assert found == ()
    given = Given(
        facts=VersionFacts(git=git, environment={}, files={}),
        now=NOW,
        variables=variables or {},
        assignments=assignments,
        registry=registry,
        grants=grants or Grants(),
    )
    return expand(read_project(text), given)


def images_of(text: str, *settings: str, git: GitFacts | NoGit = GIT) -> dict[str, Image]:
    """The images of a file with which nothing is wrong, by name."""
    expansion, found = expand_text(text, *settings, git=git)
    assert found == ()
    return {image.name: image for image in expansion.images}


def codes(found: tuple[Diagnostic, ...] | list[Diagnostic]) -> list[str]:
    """The codes of findings."""
    return [finding.code for finding in found]


class Wired(Model):
    """Images with their edges: what a plan is compiled from."""

    images: tuple[Image, ...]
    edges: tuple[Edge, ...]
    found: tuple[Diagnostic, ...]
    families: Mapping[str, tuple[str, ...]]
    dockerfiles: Mapping[str, str | None]

    def reader(self, host: Platform = AMD64) -> DockerfileReader:
        """A reader of their Dockerfiles."""
        return DockerfileReader(self.dockerfiles, host)

    def order(self) -> Order:
        """Their order; there is no cycle."""
        order = order_images(tuple(image.name for image in self.images), self.edges)
        assert isinstance(order, Order)
        return order

    def shown(self) -> list[tuple[str, str, str]]:
        """Each edge as parent, child and kind."""
        return [(edge.parent, edge.child, edge.kind.value) for edge in self.edges]


def wire_text(
    text: str,
    dockerfiles: Mapping[str, str] | None = None,
    *,
    host: Platform = AMD64,
    registry: str = "r.example/acme",
) -> Wired:
    """The images and edges of a file; `dockerfiles` by context, `FROM scratch` where there is none."""
    expansion, found = expand_text(text, registry=registry)
    assert found == ()
    contexts = {variant.options.context for image in expansion.images for variant in image.variants}
    given = dockerfiles or {}
    texts = {f"{context}/Dockerfile": given.get(context, "FROM scratch\n") for context in contexts}
    reader = DockerfileReader(texts, host)
    edges, found = find_edges(expansion.images, reader, expansion.families)
    return Wired(
        images=expansion.images,
        edges=edges,
        found=(*found, *reader.found),
        families=expansion.families,
        dockerfiles=texts,
    )


class Asked(Model):
    """What a plan is asked for, and what it knows."""

    names: tuple[str, ...] = ()
    destination: Destination = Destination.PUSH
    platforms: tuple[Platform, ...] = ()
    with_parents: bool = True
    by_name: bool = True
    nodes: tuple[Node, ...] = (NODE,)
    tags: Mapping[str, TagState] = {}
    backend: ConfiguredBackend = QEMU
    host: Platform = AMD64
    registry: str = "r.example/acme"
    lock: Lock | None = None
    state: Repository | None = None
    memory: Memory = NOTHING


def compile_text(text: str, dockerfiles: Mapping[str, str] | None = None, asked: Asked | None = None) -> Plan:
    """The plan of a file."""
    asked = asked or Asked()
    wired = wire_text(text, dockerfiles, registry=asked.registry)
    assert wired.found == ()
    return compile_wired(wired, read_project(text), asked)


def compile_wired(wired: Wired, project: Project, asked: Asked) -> Plan:
    """The plan of images with edges."""
    declared = Declared(
        project="acme",
        images=wired.images,
        edges=wired.edges,
        order=wired.order(),
        platforms=project.root.platforms,
        lock=asked.lock,
        state=asked.state,
    )
    scope = Scope(
        destination=asked.destination,
        selection=asked.names or tuple(image.name for image in wired.images),
        with_parents=asked.with_parents,
        platforms=asked.platforms,
        backend=asked.backend.name,
        backend_by_name=asked.by_name,
    )
    facts = RunFacts(nodes={asked.backend.name: asked.nodes}, host=asked.host, tags=asked.tags, memory=asked.memory)
    placed = place_selected(declared, scope, facts, {asked.backend.name: asked.backend})
    return compile_plan(declared, scope, facts, placed, wired.reader(asked.host))


def build_of(plan: Plan, name: str) -> PlatformBuild:
    """One platform build."""
    return next(build for build in plan.builds if build.id == name)


def step_of(plan: Plan, name: str) -> Step:
    """One step."""
    return next(step for step in plan.steps if step.id == name)


def solves_of(plan: Plan) -> dict[str, SolveStep]:
    """The solves by id."""
    return {step.id: step for step in plan.steps if isinstance(step, SolveStep)}


def write_project(folder: Path, text: str, dockerfiles: Mapping[str, str]) -> Path:
    """A project on disk, `dockerfiles` by context; the path of its `builds.toml`."""
    for context, dockerfile in dockerfiles.items():
        (folder / context).mkdir(parents=True, exist_ok=True)
        (folder / context / "Dockerfile").write_text(dockerfile, encoding="utf-8")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "builds.toml"
    path.write_text(text, encoding="utf-8")
    return path


def prepare(
    path: Path,
    *names: str,
    destination: Destination = Destination.PUSH,
    environment: Mapping[str, str] | None = None,
    options: ProjectOptions | None = None,
) -> tuple[Preparation, Prepared]:
    """The whole pipeline in this process, with nobody asked."""
    chosen = options or ProjectOptions(file=path, offline=True)
    preparation = Preparation(chosen, environment or {}, now=NOW)
    loaded = preparation.load()
    return preparation, preparation.plan(loaded, PlanOptions(names=names or ("*",)), destination=destination)


def find_mistakes(
    path: Path, *, options: ProjectOptions | None = None, environment: Mapping[str, str] | None = None
) -> tuple[Diagnostic, ...]:
    """All findings of the whole pipeline, located, in the order in which they are shown."""
    chosen = options or ProjectOptions(file=path, offline=True)
    preparation = Preparation(chosen, environment or {}, now=NOW)
    try:
        preparation.plan(preparation.load(), PlanOptions(names=("*",)), destination=Destination.PUSH)
    except OrchestratorError:
        if not preparation.findings.all:
            raise
    return ordered(preparation.findings.resolved())


def places(found: tuple[Diagnostic, ...]) -> list[tuple[str, str, int]]:
    """Code, file and line of every finding."""
    return [
        (finding.code, finding.place.file, finding.place.line) for finding in found if isinstance(finding.place, Span)
    ]
