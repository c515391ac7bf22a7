"""What `BackendConformance` asks a backend: solves with everything in them, and ways in which children end badly."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from orchestrator.api.backend import Link
from orchestrator.api.invocation import DigestOf, Outcome, Word
from orchestrator.api.solve import (
    BuildArg,
    BuildOptions,
    Cache,
    LayoutOutput,
    NamedContext,
    NoOutput,
    Output,
    Provenance,
    PushOutput,
    Secret,
    Solve,
    SourcePin,
    SshAgent,
)
from orchestrator.oci.platform import Platform, parse_platform
from orchestrator.oci.reference import parse_reference

VARIABLE: Final = "CONFORMANCE_SECRET"
HOST: Final = parse_platform("linux/amd64")
HOSTILE_LINES: Final = (
    "", " ", "{", "}", "[]", "null", "{}", '{"vertexes": 1}', '{"vertexes": [{}]}', '{"vertexes": [null]}',
    '{"logs": [{"vertex": "v", "data": "!"}]}', '{"logs": [{"data": "AAAA", "stream": -1}]}', "ERROR: x", "\x1b[2J",
    "\0", "\ufffd\ud800", '{"a":' * 5_000, "x" * 1_000_000, '{"warnings": [{"short": "gA=="}]}',
)  # fmt: skip
"""Lines that no tool should print, and that some tool will."""


def sample_solves() -> Iterator[Solve]:
    """A solve with everything for a registry, a small one for a layout, and a test, of which nothing is kept."""
    late: Word = ("docker-image://r.example/acme/base@", DigestOf(step="assemble:base", label="base"))
    secrets = (Secret(id="env", env=VARIABLE), Secret(id="file", src="secret.txt"))
    options = BuildOptions(
        context="services/api",
        dockerfile="services/api/Dockerfile",
        dockerfile_inline="FROM base\n",
        target="release",
        args=(BuildArg(name="A", value='with, commas and "quotes"'), BuildArg(name="V", value="1", volatile=True)),
        labels=(BuildArg(name="l", value=""),),
        secrets=secrets,
        ssh=(SshAgent(id="default"), SshAgent(id="k", paths=("keys/k",))),
        cache_from=(Cache(type="registry", attributes=(("ref", "r.example/c:1"),)),),
        cache_to=(Cache(type="local", attributes=(("dest", "a,b"),)),),
    )
    platforms: tuple[Platform, ...] = (HOST, parse_platform("linux/arm64"))
    yield Solve(
        id="solve:api",
        image="api",
        platforms=platforms,
        options=options,
        output=PushOutput(reference=parse_reference("r.example/acme/api:run-1")),
        contexts=(NamedContext(name="base", value=late), NamedContext(name="lib", value="libs/shared")),
        pins=(SourcePin(source="docker-image://docker.io/library/node:20", value=late),),
        timeout=60.0,
    )
    yield Solve(
        id="solve:web",
        image="web",
        platforms=platforms[:1],
        options=BuildOptions(context="-odd", dockerfile="-odd/Dockerfile", secrets=secrets),
        output=LayoutOutput(name="layout"),
        contexts=(NamedContext(name="base", value=("oci-layout://out@", *late[1:])),),
    )
    test = BuildOptions(
        context=".",
        dockerfile="Dockerfile",
        dockerfile_inline='FROM subject\nRUN ["/web", "--version"]\n',
        secrets=secrets,
        no_cache=True,
        provenance=Provenance.OFF,
    )
    yield Solve(
        id="test:web@linux/amd64",
        image="web",
        platforms=platforms[:1],
        options=test,
        output=NoOutput(),
        contexts=(NamedContext(name="subject", value=late),),
    )


SAMPLE_OUTPUTS: Final[tuple[Output, ...]] = (
    PushOutput(reference=parse_reference("r.example/acme/family:run-1")),
    LayoutOutput(name="layout"),
    NoOutput(),
)
"""Every way in which solves of one request may leave the builder."""


def sample_family(output: Output) -> tuple[tuple[Solve, ...], tuple[Link, ...]]:
    """A parent and two children that are linked to it, for backends that take several solves at once."""
    late: Word = ("docker-image://r.example/acme/base@", DigestOf(step="assemble:base", label="base"))
    parent: Word = ("docker-image://r.example/acme/far@", DigestOf(step="assemble:far", label="far"))
    secrets = (Secret(id="env", env=VARIABLE),)
    names = ("base", "left", "right")
    solves = tuple(
        Solve(
            id=f"solve:{name}",
            image=name,
            platforms=(HOST, parse_platform("linux/arm64")),
            options=BuildOptions(context=name, dockerfile=f"{name}/Dockerfile", secrets=secrets),
            output=_named(output, name),
            contexts=(
                NamedContext(name="far", value=parent) if name == "base" else NamedContext(name="base", value=late),
            ),
        )
        for name in names
    )
    return solves, tuple(Link(step=f"solve:{name}", context="base", parent="solve:base") for name in names[1:])


def _named(output: Output, name: str) -> Output:
    """Where this one goes: no two push under one name."""
    match output:
        case PushOutput(reference=reference):
            return PushOutput(reference=reference.repository.tag(f"{reference.tag}-{name}"))
        case _:
            return output


def sample_failures() -> Iterator[Outcome]:
    """Ways in which a child ends badly."""
    yield Outcome(exit_code=0)
    yield Outcome(exit_code=1, stderr="ERROR: failed to solve: it did not work")
    yield Outcome(exit_code=-1, signal=9)
    yield Outcome(exit_code=0, timed_out=True)
    for line in HOSTILE_LINES:
        yield Outcome(exit_code=1, stdout=line, stderr=line)
