"""What Docker and buildx say of themselves, as values; pure: `probe.ask` runs the commands."""

from __future__ import annotations

import re
from typing import Annotated, Final, TypeAlias

from msgspec import Meta

from orchestrator.buildkit.driver_options import options_of, parse_options
from orchestrator.buildkit.untrusted import (
    UnreadableError,
    at,
    clean,
    clean_lines,
    decode_json,
    items_at,
    text_at,
)
from orchestrator.model import Model
from orchestrator.oci.platform import Platform, parse_platform

MINIMUM_BUILDX: Final = (0, 20)
NO_BUILDX: Final = "docker has no plugin buildx"
INSTALL_BUILDX: Final = (
    "install buildx 0.20 or newer: the package `docker-buildx-plugin` of Docker's repositories, or `docker-buildx` of "
    "Debian, Ubuntu and others: https://docs.docker.com/go/buildx/"
)
# What a CPU runs besides its own architecture, where BuildKit lists it.
_ALSO_RUNS: Final = {"amd64": ("amd64", "386"), "arm64": ("arm64", "arm")}
_LOCAL_DRIVERS: Final = ("docker", "docker-container")
_VERSION: Final = re.compile(r"v?(\d{1,6})\.(\d{1,6})(?:\.(\d{1,6}))?")
BuilderName: TypeAlias = Annotated[str, Meta(min_length=1, pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$")]
"""How a configuration names a builder, or a context of Docker, which is one too; never what could be an option."""
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9._-]*\Z")  # ValidateName in buildx's store/util.go
# Docker's own words, of 20 to 28: where a flag follows it does not say the name of the command that it lacks
_WITHOUT_BUILDX: Final = re.compile(
    r"unknown command: docker buildx|'buildx' is not a docker command|(?:See|Run) 'docker --help'|"
    r"Usage:\s+docker \[OPTIONS\] COMMAND"
)
_NO_BUILDER: Final = re.compile(r"\bno builder \S+ found")
_OPTIONS: Final = "Driver Options"
_EXACT: Final = ("Name", "Endpoint")
_GROUPED: Final = re.compile(r"\s*(\*|\(\+\d+\))$")


class Engine(Model):
    """A Docker engine; `root` is where it keeps its data, on its own machine, `context` how the client came to it."""

    version: str
    architecture: str
    containerd_snapshotter: bool
    root: str = ""
    context: str = ""


class BuildxVersion(Model):
    """The version of buildx; `numbers` is empty for a build that has none, as from a checkout."""

    text: str
    numbers: tuple[int, ...]

    @property
    def supported(self) -> bool:
        """Whether it is new enough; one without a number is believed to be."""
        return not self.numbers or self.numbers >= MINIMUM_BUILDX


class BuilderNode(Model):
    """A node of a builder; platforms are known when it runs, before that only those that were declared for it.

    `own` is the platform of its machine; None where what was declared for it leaves that open.
    `options` are those of the driver; None where what it was created from is not to be read letter by letter.
    """

    name: str
    endpoint: str
    status: str
    platforms: tuple[Platform, ...] = ()
    native: tuple[Platform, ...] = ()
    emulated: tuple[Platform, ...] = ()
    declared: tuple[Platform, ...] = ()
    own: Platform | None = None
    buildkit_version: str = ""
    error: str | None = None
    options: tuple[tuple[str, str], ...] | None = ()

    @property
    def running(self) -> bool:
        """Whether it can be given work at once."""
        return self.status == "running" and self.error is None


class Builder(Model):
    """A buildx builder; `current` is the one that buildx takes when none is named."""

    name: str
    driver: str
    nodes: tuple[BuilderNode, ...] = ()
    current: bool = False
    error: str | None = None

    @property
    def ready(self) -> tuple[BuilderNode, ...]:
        """The nodes that can be given work: those that run, and those that buildx starts when they are needed.

        Nobody starts a node of the `remote` driver: an inactive one does not answer, and a build waits for it for ever.
        """
        if self.error is not None:
            return ()
        return tuple(node for node in self.nodes if node.running or (node.error is None and self.driver != "remote"))

    @property
    def answering(self) -> tuple[BuilderNode, ...]:
        """The nodes that run and say what they build: without one nobody knows what the builder builds."""
        return tuple(node for node in self.ready if node.running and node.platforms)

    @property
    def members(self) -> tuple[BuilderNode, ...]:
        """Its nodes; a deployment of several pods is one, and told of once for each of them."""
        found: dict[str, BuilderNode] = {}
        for node in self.nodes:
            found.setdefault(node.name, node)
        return tuple(found.values())

    @property
    def own(self) -> Platform | None:
        """The platform of its machines; None where they differ, or nobody can tell."""
        found = {node.own for node in self.answering}
        return found.pop() if len(found) == 1 else None

    @property
    def lost(self) -> tuple[BuilderNode, ...]:
        """The nodes that nobody can give work."""
        return tuple(node for node in self.nodes if node not in self.ready)

    @property
    def problem(self) -> str:
        """Why the first of them is lost; empty where none is."""
        if self.error or not self.lost:
            return self.error or ""
        return self.lost[0].error or f"{self.lost[0].endpoint} does not answer"


def is_builder_name(text: str) -> bool:
    """Whether buildx takes it for a builder's name."""
    return _NAME.match(text) is not None


def is_without_buildx(stderr: str) -> bool:
    """Whether a `docker buildx …` that failed was answered by docker itself, for want of the plugin."""
    return _WITHOUT_BUILDX.search(stderr) is not None


def is_without_builder(stderr: str) -> bool:
    """Whether a `docker buildx …` failed since the builder that it named does not exist."""
    return _NO_BUILDER.search(stderr) is not None


def parse_engine(version: bytes, info: bytes) -> Engine:
    """Read `docker version --format json` and `docker info --format json`.

    Raises:
        UnreadableError: they are something else, or there is no engine in them.
    """
    told, more = decode_json(version), decode_json(info)
    number = text_at(told, "Server", "Version")
    if not number:
        msg = "no engine answered"
        raise UnreadableError(msg)
    return Engine(
        version=number,
        architecture=text_at(told, "Server", "Arch"),
        containerd_snapshotter=["driver-type", "io.containerd.snapshotter.v1"] in items_at(more, "DriverStatus"),
        root=text_at(more, "DockerRootDir"),
        context=text_at(told, "Client", "Context"),
    )


def parse_buildx_version(output: bytes) -> BuildxVersion:
    """Read `docker buildx version`: `github.com/docker/buildx v0.29.1 a32761a`.

    Raises:
        UnreadableError: it is something else.
    """
    words = " ".join(clean_lines(output)[:1]).split()
    if len(words) < 2 or not words[0].endswith("/buildx"):  # noqa: PLR2004  # the module and its version
        msg = "not a version of buildx"
        raise UnreadableError(msg)
    match = _VERSION.match(words[1])
    numbers = tuple(int(number) for number in match.groups(default="0")) if match else ()
    return BuildxVersion(text=words[1].removeprefix("v"), numbers=numbers)


def parse_builders(output: bytes, *, engine_architecture: str = "") -> tuple[Builder, ...]:
    """Read `docker buildx ls --format json`, one object a line.

    Args:
        output: what was printed.
        engine_architecture: of the engine that the client talks to: the CPU of nodes that run in it.

    Raises:
        UnreadableError: a line is no JSON, or no builder.
    """
    return tuple(_builder(decode_json(line), engine_architecture) for line in output.splitlines() if line.strip())


def _builder(tree: object, engine_architecture: str) -> Builder:
    name, driver = text_at(tree, "Name"), text_at(tree, "Driver")
    if not name:
        msg = "a builder without a name"
        raise UnreadableError(msg)
    return Builder(
        name=name,
        driver=driver,
        nodes=tuple(_json_node(node, driver, engine_architecture) for node in items_at(tree, "Nodes")),
        current=at(tree, "Current") is True,
        error=text_at(tree, "Err") or None,
    )


def _json_node(tree: object, driver: str, engine_architecture: str) -> BuilderNode:
    listed = tuple(text for text in items_at(tree, "Platforms") if isinstance(text, str))
    fields = {
        "Name": text_at(tree, "Name"),
        "Endpoint": text_at(tree, "Endpoint"),
        "Status": text_at(tree, "Status"),
        "BuildKit version": text_at(tree, "Version"),
        "Error": text_at(tree, "Err"),
    }
    exact = all(at(tree, name) in (None, fields[name]) for name in _EXACT)
    options = options_of(at(tree, "DriverOpts")) if exact else None
    return _node(fields, listed, options, driver=driver, engine_architecture=engine_architecture)


def _node(
    fields: dict[str, str],
    listed: tuple[str, ...],
    options: tuple[tuple[str, str], ...] | None,
    *,
    driver: str,
    engine_architecture: str,
) -> BuilderNode:
    platforms = parse_platforms(listed)
    endpoint = fields.get("Endpoint", "")
    local = driver in _LOCAL_DRIVERS and (endpoint in {"", "default"} or endpoint.startswith("unix://"))
    architecture = engine_architecture if local else ""
    native, emulated = split_platforms(platforms, architecture=architecture)
    declared = parse_platforms(tuple(text for text in listed if text.rstrip().endswith("*")))
    error = fields.get("Error") or None
    return BuilderNode(
        name=fields.get("Name", ""),
        endpoint=endpoint,
        status="error" if error else fields.get("Status", ""),
        platforms=platforms,
        native=native,
        emulated=emulated,
        declared=declared,
        own=own_platform(platforms, declared, architecture=architecture),
        buildkit_version=fields.get("BuildKit version", ""),
        error=error,
        options=options,
    )


def parse_inspection(output: bytes, *, engine_architecture: str = "") -> Builder:
    """Read `docker buildx inspect NAME`, which is text: `Key: value` lines, a block of them for each node.

    Raises:
        UnreadableError: it is something else.
    """
    lines = output.decode(errors="replace").splitlines()[:10_000]
    start = next((number for number, line in enumerate(lines) if line.rstrip() == "Nodes:"), len(lines))
    head = _fields(lines[:start])
    if "Name" not in head or "Driver" not in head:
        msg = "not an inspected builder"
        raise UnreadableError(msg)
    blocks: list[list[str]] = []
    for line in lines[start + 1 :]:
        if line.startswith("Name:"):
            blocks.append([])
        if blocks:
            blocks[-1].append(line)
    nodes = tuple(_inspected(_raw_fields(block), head["Driver"], engine_architecture) for block in blocks[:1000])
    return Builder(name=head["Name"], driver=head["Driver"], nodes=nodes, error=head.get("Error"))


def _inspected(raw: dict[str, str], driver: str, engine_architecture: str) -> BuilderNode:
    fields = {key: clean(value) for key, value in raw.items()}
    listed = tuple(raw.get("Platforms", "").split(", "))
    exact = all(fields.get(key) == raw.get(key) for key in _EXACT)
    options = parse_options(raw.get(_OPTIONS, "")) if exact else None
    return _node(fields, listed, options, driver=driver, engine_architecture=engine_architecture)


def _fields(lines: list[str]) -> dict[str, str]:
    return {key: clean(value) for key, value in _raw_fields(lines).items()}


def _raw_fields(lines: list[str]) -> dict[str, str]:
    """The `Key: value` lines at the margin, the first of each key; what is indented belongs to labels and files."""
    found: dict[str, str] = {}
    for line in lines:
        key, colon, value = line.partition(":")
        if colon and not key.startswith((" ", "\t")):
            found.setdefault(key, value.strip())
    return found


def parse_platforms(listed: tuple[str, ...]) -> tuple[Platform, ...]:
    """The platforms of a list of buildx, each once; those that nobody knows are left out.

    In text buildx marks declared ones (`linux/arm64*`) and may count variants (`linux/amd64 (+4)`).
    """
    found: dict[Platform, None] = {}
    for text in listed[:1000]:
        try:
            found[parse_platform(_GROUPED.sub("", text.strip()))] = None
        except ValueError:
            continue
    return tuple(found)


def split_platforms(
    platforms: tuple[Platform, ...], *, architecture: str = ""
) -> tuple[tuple[Platform, ...], tuple[Platform, ...]]:
    """What the node's own CPU runs, and what only an emulator runs there.

    A heuristic, since buildx does not tell: BuildKit lists the platform of its own machine first
    (`SupportedPlatforms` in its util/archutil), and buildx puts those that the user declared for the node before
    them; so the first one is taken for the CPU's. A node that was declared for what it emulates is taken for native,
    unless the architecture is known.

    Args:
        platforms: as listed.
        architecture: the CPU's, where it is known.
    """
    if not platforms:
        return (), ()
    own = architecture or platforms[0].architecture
    runs = _ALSO_RUNS.get(own, (own,))
    native = tuple(platform for platform in platforms if platform.architecture in runs)
    return native, tuple(platform for platform in platforms if platform not in native)


def own_platform(
    platforms: tuple[Platform, ...], declared: tuple[Platform, ...] = (), *, architecture: str = ""
) -> Platform | None:
    """The platform of the machine: the first that BuildKit lists. None where nobody can tell.

    Those that were declared hide it, unless the first that was not is of the same CPU.

    Args:
        platforms: as listed.
        declared: those of them that the user declared for the node.
        architecture: the CPU's, where it is known.
    """
    told = next((platform.architecture for platform in platforms if platform not in declared), "")
    first = platforms[0].architecture if platforms else ""
    if not architecture and told not in _ALSO_RUNS.get(first, (first,)):
        return None
    own = architecture or first
    return next((platform for platform in platforms if platform.architecture == own), None)


def builds_several_platforms(builder: Builder, engine: Engine) -> bool:
    """Whether the builder makes images for several platforms, and OCI layouts.

    The `docker` driver does only where the engine keeps images in containerd's store; every other driver does.
    """
    return builder.driver != "docker" or engine.containerd_snapshotter
