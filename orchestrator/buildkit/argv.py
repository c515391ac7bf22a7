"""A solve as the argv of `docker buildx build` (docs/reference/buildx_build.md of buildx 0.20 and newer)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, assert_never

from orchestrator.api.invocation import (
    BuilderOf,
    CollectedFile,
    Invocation,
    PathOf,
    Phase,
    Word,
    WrittenFile,
)
from orchestrator.api.solve import (
    BuildOptions,
    Cache,
    LayoutOutput,
    NetworkMode,
    NoOutput,
    Output,
    Provenance,
    PushOutput,
    Solve,
)
from orchestrator.buildkit.policy import POLICY_VARIABLE, render_policy

METADATA: Final = "metadata.json"
DOCKERFILE: Final = "Dockerfile"
_SPECIAL: Final = re.compile(r'[,"\r\n]|^\s|\s\Z')
POLICY: Final = "source-policy.json"


def build_invocation(solve: Solve, node: str) -> Invocation:
    """The one child that does this solve on this node."""
    writes: list[WrittenFile] = []
    environment: list[tuple[str, Word]] = [("BUILDX_METADATA_PROVENANCE", "disabled")]
    if solve.options.dockerfile_inline is not None:
        writes.append(WrittenFile(name=DOCKERFILE, content=solve.options.dockerfile_inline))
    if solve.pins:
        writes.append(WrittenFile(name=POLICY, content=render_policy(solve.pins)))
        environment.append((POLICY_VARIABLE, (PathOf(name=POLICY),)))
    return Invocation(
        argv=tuple(_words(solve, node)),
        steps=(solve.id,),
        phase=Phase.BUILD,
        environment=tuple(environment),
        inherits=tuple(secret.env for secret in solve.options.secrets if secret.env),
        writes=tuple(writes),
        collects=() if isinstance(solve.output, NoOutput) else (CollectedFile(name=METADATA),),
        folders=(solve.output.name,) if isinstance(solve.output, LayoutOutput) else (),
        timeout=solve.timeout,
    )


def _words(solve: Solve, node: str) -> Iterator[Word]:
    options = solve.options
    yield from ("docker", "buildx", "build", ("--builder=", BuilderOf(node=node)), "--progress=rawjson")
    yield "--platform=" + ",".join(map(str, solve.platforms))
    yield "--file=" + options.dockerfile if options.dockerfile_inline is None else ("--file=", PathOf(name=DOCKERFILE))
    if options.target:
        yield "--target=" + options.target
    yield from (f"--build-arg={arg.name}={arg.value}" for arg in options.args)
    yield from (f"--label={label.name}={label.value}" for label in options.labels)
    for context in solve.contexts:
        yield _join(f"--build-context={context.name}=", context.value)
    yield from _access_words(options)
    yield from _cache_words(options)
    yield from _sandbox_words(options)
    yield "--provenance=" + ("false" if options.provenance is Provenance.OFF else f"mode={options.provenance.value}")
    yield f"--sbom={'true' if options.sbom else 'false'}"
    if not isinstance(solve.output, NoOutput):
        yield ("--metadata-file=", PathOf(name=METADATA))
    yield _output_word(solve.output)
    # the one word that is no `--flag=value`: a folder may be called like a flag
    yield options.context if not options.context.startswith("-") else f"./{options.context}"


def _access_words(options: BuildOptions) -> Iterator[str]:
    for secret in options.secrets:
        source = (("env", secret.env),) if secret.env else (("src", secret.src),) if secret.src else ()
        yield "--secret=" + render_csv((("id", secret.id), *source))
    for agent in options.ssh:
        yield f"--ssh={agent.id}={','.join(agent.paths)}" if agent.paths else f"--ssh={agent.id}"


def _cache_words(options: BuildOptions) -> Iterator[str]:
    yield from ("--cache-from=" + _render_cache(cache) for cache in options.cache_from)
    yield from ("--cache-to=" + _render_cache(cache) for cache in options.cache_to)
    if options.no_cache:
        yield "--no-cache"
    yield from (f"--no-cache-filter={stage}" for stage in options.no_cache_filter)
    if options.pull:
        yield "--pull"


def _sandbox_words(options: BuildOptions) -> Iterator[str]:
    if options.network is not NetworkMode.DEFAULT:
        yield f"--network={options.network.value}"
    yield from (f"--allow={entitlement}" for entitlement in options.entitlements)
    yield from (f"--add-host={name}:{address}" for name, address in options.extra_hosts)
    if options.shm_size:
        yield f"--shm-size={options.shm_size}"
    yield from (f"--ulimit={limit}" for limit in options.ulimits)


def _output_word(output: Output) -> Word:
    match output:
        case NoOutput():
            return "--output=type=cacheonly"
        case LayoutOutput(name=name):
            return ("--output=type=oci,tar=false,dest=", PathOf(name=name))
        case PushOutput(reference=reference):
            fields = (("type", "image"), ("name", str(reference)), ("push", "true"), ("store", "false"))
            return "--output=" + render_csv((*fields, ("oci-mediatypes", "true")))
        case _:
            assert_never(output)


def _render_cache(cache: Cache) -> str:
    return render_csv((("type", cache.type), *cache.attributes))


def render_csv(fields: tuple[tuple[str, str], ...]) -> str:
    """`key=value` fields as buildx reads them back (Go's encoding/csv), each quoted where it has to be."""
    return ",".join(_quote(f"{key}={value}") for key, value in fields)


def _quote(field: str) -> str:
    if _SPECIAL.search(field):
        return '"' + field.replace('"', '""') + '"'
    return field


def _join(prefix: str, word: Word) -> Word:
    return prefix + word if isinstance(word, str) else (prefix, *word)
