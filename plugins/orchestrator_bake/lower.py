"""Solves as the one child of `docker buildx bake` that does them, and the file that it reads.

What the file asks for is what the host has granted: it is made of solves alone, and whatever bake asks permission for
is named on its command line. Its own look at that is off with `--progress=rawjson` (buildx 0.21 and newer).
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import Final

from orchestrator.api import (
    BuilderOf,
    BuildOptions,
    CollectedFile,
    Invocation,
    LayoutOutput,
    LowerRequest,
    NoOutput,
    PathOf,
    Phase,
    Refusal,
    Solve,
    Word,
    WrittenFile,
)
from orchestrator.api.solve import NetworkMode, is_remote
from orchestrator.api.target import Target, linked_context, target_context
from orchestrator.buildkit.argv import METADATA, POLICY
from orchestrator.buildkit.bake import check_targets, render_run
from orchestrator.buildkit.policy import POLICY_VARIABLE, render_policy

FILE: Final = "docker-bake.json"
_LAYOUT: Final = "oci-layout://"


def bake_invocation(request: LowerRequest) -> Invocation | Refusal:
    """The child that does all solves of a request, or why bake cannot do them."""
    solves = request.steps
    targets = tuple(_targets(request))
    refused = next(_refusals(request, targets), None)
    if refused:
        return refused
    kept = [target for target in targets if not isinstance(target.output, NoOutput)]
    pins = tuple(dict.fromkeys(pin for solve in solves for pin in solve.pins))
    environment: list[tuple[str, Word]] = [("BUILDX_METADATA_PROVENANCE", "disabled")]
    writes = [WrittenFile(name=FILE, content=render_run(targets))]
    if pins:
        writes.append(WrittenFile(name=POLICY, content=render_policy(pins)))
        environment.append((POLICY_VARIABLE, (PathOf(name=POLICY),)))
    metadata: tuple[Word, ...] = (("--metadata-file=", PathOf(name=METADATA)),) if kept else ()
    return Invocation(
        argv=(
            "docker", "buildx", "bake", ("--builder=", BuilderOf(node=request.node.name)), "--progress=rawjson",
            ("--file=", PathOf(name=FILE)), *metadata, *_grants(solves), *(target.name for target in targets),
        ),
        steps=tuple(solve.id for solve in solves),
        phase=Phase.BUILD,
        environment=tuple(environment),
        inherits=tuple(dict.fromkeys(each.env for solve in solves for each in solve.options.secrets if each.env)),
        writes=tuple(writes),
        collects=(CollectedFile(name=METADATA),) if kept else (),
        folders=tuple(target.output.name for target in kept if isinstance(target.output, LayoutOutput)),
        timeout=solves[0].timeout if len(solves) == 1 else None,
    )  # fmt: skip


def target_names(solves: tuple[Solve, ...]) -> dict[str, str]:
    """How bake calls the solves, by their ids: like their images, with the platforms where there are several."""
    names: dict[str, str] = {}
    images = [solve.image for solve in solves]
    taken = {"default", *images}
    for solve in solves:
        name = solve.image
        if images.count(name) > 1 or name == "default":
            name = "-".join((name, *(platform.slug for platform in solve.platforms)))
            while name in taken:
                name += "_"
            taken.add(name)
        names[solve.id] = name
    return names


def layout_folder(target: str) -> str:
    """The folder that a target writes its layout into, as the invocation calls it."""
    return f"layout-{target}"


def _targets(request: LowerRequest) -> Iterator[Target]:
    names = target_names(request.steps)
    linked = {(link.step, link.context): names[link.parent] for link in request.links}
    for solve in request.steps:
        name = names[solve.id]
        output = LayoutOutput(name=layout_folder(name)) if isinstance(solve.output, LayoutOutput) else solve.output
        contexts = {}
        for each in solve.contexts:
            parent = linked.get((solve.id, each.name))
            context = linked_context(each.name, parent) if parent else target_context(each.name, each.value)
            contexts[context.name] = context
        yield Target(
            name=name,
            image=solve.image,
            platforms=solve.platforms,
            options=solve.options,
            contexts=tuple(contexts.values()),
            output=output,
        )


def _refusals(request: LowerRequest, targets: tuple[Target, ...]) -> Iterator[Refusal]:
    if len(targets) > 1 and any(solve.pins for solve in request.steps):
        yield Refusal(
            code="bake-policy",
            message="a source policy is of all targets of a bake run",
            hints=("give each solve with pins a request of its own",),
        )
    for found in check_targets(targets):
        # what looks like a credential was told when it was declared, and stands in a file that only the user can read
        if found.code == "bake-text":
            yield Refusal(code=found.code, message=found.message, hints=(*found.hints, "or `--backend qemu`"))


def _grants(solves: tuple[Solve, ...]) -> Iterator[str]:
    """What bake would ask permission for, each once: what the solves have, and the host has let them have."""
    asked = dict.fromkeys(grant for solve in solves for grant in _asked(solve))
    yield from (f"--allow={grant}" for grant in asked)


def _asked(solve: Solve) -> Iterator[str]:
    options = solve.options
    yield from options.entitlements
    if options.network is NetworkMode.HOST:
        yield "network.host"
    if options.ssh:
        yield "ssh"
    yield from (f"fs.read={path}" for path in _read(solve, options) if _is_outside(path))
    written = (value for cache in options.cache_to for value in _local(cache.type, cache.attributes, "dest"))
    yield from (f"fs.write={path}" for path in written if _is_outside(path))


def _read(solve: Solve, options: BuildOptions) -> Iterator[str]:
    """The paths on this disk that a solve reads."""
    if not is_remote(options.context):
        yield options.context
        if options.dockerfile_inline is None:
            yield options.dockerfile
    for context in solve.contexts:
        if isinstance(context.value, str) and context.value.startswith(_LAYOUT):
            yield context.value.removeprefix(_LAYOUT).partition("@")[0]
        elif isinstance(context.value, str) and not is_remote(context.value) and "://" not in context.value:
            yield context.value
    yield from (secret.src for secret in options.secrets if secret.src)
    yield from (path for agent in options.ssh for path in agent.paths)
    for cache in options.cache_from:
        yield from _local(cache.type, cache.attributes, "src")


def _local(kind: str, attributes: tuple[tuple[str, str], ...], key: str) -> Iterator[str]:
    yield from (value for name, value in attributes if kind == "local" and name == key)


def _is_outside(path: str) -> bool:
    """Whether a path leads out of the folder that bake runs in."""
    return path.startswith("/") or posixpath.normpath(path).split("/")[0] == ".."
