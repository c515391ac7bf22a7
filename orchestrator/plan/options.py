"""The build attributes of one platform, rendered: `BuildTable` -> `BuildOptions` and named contexts."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import Final

from msgspec import UNSET

from orchestrator.api.solve import BuildArg, BuildOptions, Cache, NetworkMode, Provenance, Secret, SshAgent, is_remote
from orchestrator.api.withheld import WITHHELD_HINT, is_withheld
from orchestrator.config.schema import BuildTable, ContextTable, ImageTable, Scalar, SshTable, Value
from orchestrator.model import Model
from orchestrator.oci.platform import parse_platform
from orchestrator.oci.reference import familiar, parse_reference
from orchestrator.plan.image import ContextSource, DeclaredContext, ImageContext, LocalContext, RemoteContext
from orchestrator.plan.scope import Scope, spell

IMAGE_SCHEME: Final = "image:"
_IMAGE: Final = "docker-image://"
_LAYOUT: Final = "oci-layout://"
_LOCAL_CACHE_PATHS: Final = frozenset({"src", "dest"})


class RenderedBuild(Model):
    """What a platform is built from."""

    options: BuildOptions
    contexts: tuple[DeclaredContext, ...]


def render_build(table: BuildTable, image: ImageTable, scope: Scope, *, family: str) -> RenderedBuild:
    """Render everything that a solve of this platform is made of; findings go to the scope."""
    context = _context_path(table, scope, family)
    entitlements = _entitlements(table, scope)
    options = BuildOptions(
        context=context,
        dockerfile=_dockerfile_path(table, scope, context),
        dockerfile_inline=table.dockerfile_inline or None,
        target=scope.text(table.target or "", "target"),
        args=_values(table.args or {}, scope, "args"),
        labels=_values(table.labels or {}, scope, "labels"),
        secrets=tuple(_secrets(table, scope)),
        ssh=tuple(_agents(table, scope)),
        cache_from=tuple(_caches(table.cache_from or [], scope, "cache-from")),
        cache_to=tuple(_caches(table.cache_to or [], scope, "cache-to")),
        no_cache=table.no_cache or False,
        no_cache_filter=tuple(table.no_cache_filter or ()),
        pull=table.pull or False,
        network=NetworkMode(table.network or "default"),
        entitlements=entitlements,
        extra_hosts=tuple((table.extra_hosts or {}).items()),
        shm_size=table.shm_size or "",
        ulimits=tuple(table.ulimits or ()),
        provenance=Provenance(image.provenance or "min"),
        sbom=image.sbom or False,
    )
    return RenderedBuild(options=options, contexts=tuple(_contexts(table, scope)))


def _context_path(table: BuildTable, scope: Scope, family: str) -> str:
    text = family if table.context is UNSET else scope.text(table.context, "context")
    if not text:
        scope.empty("context")
        return "."
    return text if is_remote(text) else scope.path(text, "context")


def _dockerfile_path(table: BuildTable, scope: Scope, context: str) -> str:
    name = scope.text(table.dockerfile or "Dockerfile", "dockerfile")
    if is_remote(context):
        if name == "-" or name.startswith("/") or ".." in name.split("/") or is_remote(name):
            # buildx would read it from this machine, from stdin or from another place
            hint = 'a path in that context, for example "docker/Dockerfile"; or `dockerfile-inline`'
            message = f"Dockerfile `{name}` does not lie in the context, which is fetched from elsewhere"
            scope.report("illegal-value", message, "dockerfile", hints=(hint,))
            return ""
        return name
    path = posixpath.normpath(posixpath.join(context, name))
    scope.reads(path, "dockerfile")
    return path


def _entitlements(table: BuildTable, scope: Scope) -> tuple[str, ...]:
    asked: tuple[str, ...] = tuple(table.entitlements or ())
    for position, name in enumerate(asked):
        scope.entitlement(name, "entitlements", position)
    if table.network == "host" and "network.host" not in asked:
        scope.entitlement("network.host", "network")
        return (*asked, "network.host")
    return asked


def _values(values: dict[str, Value], scope: Scope, attribute: str) -> tuple[BuildArg, ...]:
    rendered = []
    for name, value in values.items():
        text, volatile = scope.value(value, attribute, name)
        rendered.append(BuildArg(name=name, value=text, volatile=volatile))
    return tuple(rendered)


def _secrets(table: BuildTable, scope: Scope) -> Iterator[Secret]:
    for position, secret in enumerate(table.secrets or []):
        src = scope.path(scope.text(secret.src, "secrets", position), "secrets", position) if secret.src else ""
        # without either, buildx would read a file that is called like the id
        env = secret.env or ("" if src else secret.id)
        if is_withheld(env):
            message = f"secret `{secret.id}`: the variable `{env}` is not passed on to builds"
            scope.report("illegal-value", message, "secrets", position, hints=(WITHHELD_HINT,))
        yield Secret(id=secret.id, env=env, src=src)


def _agents(table: BuildTable, scope: Scope) -> Iterator[SshAgent]:
    for position, agent in enumerate(table.ssh or []):
        if isinstance(agent, SshTable):
            paths = tuple(scope.path(path, "ssh", position) for path in agent.paths)
            yield SshAgent(id=agent.id, paths=paths)
        else:
            yield SshAgent(id=agent)


def _caches(entries: list[str | dict[str, Scalar]], scope: Scope, attribute: str) -> Iterator[Cache]:
    for position, entry in enumerate(entries):
        if isinstance(entry, str):
            yield Cache(type="registry", attributes=(("ref", scope.text(entry, attribute, position)),))
            continue
        kind = spell(entry.get("type", "registry"))
        attributes = []
        for key, value in entry.items():
            if key == "type":
                continue
            text = scope.text(spell(value), attribute, position, key)
            if kind == "local" and key in _LOCAL_CACHE_PATHS:
                text = scope.path(text, attribute, position, key)
            attributes.append((key, text))
        yield Cache(type=kind, attributes=tuple(attributes))


def _contexts(table: BuildTable, scope: Scope) -> Iterator[DeclaredContext]:
    keys: dict[str, str] = {}
    for name, value in (table.contexts or {}).items():
        source = _source(value, scope, name)
        if source is None:
            continue
        try:
            key = familiar(parse_reference(name))
        except ValueError as error:
            hint = "a context is called as `FROM` and `COPY --from` call it: a name, or an image reference"
            scope.report("context-name", f"context `{name}`: {error}", "contexts", name, hints=(hint,))
            continue
        if keys.setdefault(key, name) != name:
            message = f"contexts `{keys[key]}` and `{name}` are the same name to BuildKit"
            scope.report("context-name", message, "contexts", name, hints=("remove one of the two",))
            continue
        yield DeclaredContext(name=name, key=key, source=source)


def _source(value: str | ContextTable, scope: Scope, name: str) -> ContextSource | None:
    if isinstance(value, ContextTable):
        platform = parse_platform(value.platform) if value.platform else None
        return ImageContext(image=scope.text(value.image, "contexts", name, "image"), platform=platform)
    text = scope.text(value, "contexts", name)
    if not text:
        scope.empty("contexts", name)
        return None
    if text.startswith(IMAGE_SCHEME):
        return ImageContext(image=text.removeprefix(IMAGE_SCHEME))
    if text.startswith(_LAYOUT):
        path, at, digest = text.removeprefix(_LAYOUT).partition("@")
        return RemoteContext(value=f"{_LAYOUT}{scope.path(path, 'contexts', name)}{at}{digest}")
    if text.startswith(_IMAGE):
        return _external_image(text, scope, name)
    if is_remote(text):
        return RemoteContext(value=text)
    return LocalContext(path=scope.path(text, "contexts", name))


def _external_image(text: str, scope: Scope, name: str) -> RemoteContext | None:
    try:
        parse_reference(text.removeprefix(_IMAGE))
    except ValueError as error:
        hint = f"write `{_IMAGE}[registry/]name[:tag][@digest]`, without templates that give nothing"
        scope.report("bad-image-reference", f"context `{name}`: {error}", "contexts", name, hints=(hint,))
        return None
    return RemoteContext(value=text)


def local_paths(options: BuildOptions, contexts: tuple[DeclaredContext, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    """The attribute and the path of what a build uses on this disk besides folders of contexts and its Dockerfile."""
    yield from ((("secrets",), secret.src) for secret in options.secrets if secret.src)
    yield from ((("ssh",), path) for agent in options.ssh for path in agent.paths)
    for attribute, caches in (("cache-from", options.cache_from), ("cache-to", options.cache_to)):
        for cache in caches:
            if cache.type == "local":
                yield from (((attribute,), text) for key, text in cache.attributes if key in _LOCAL_CACHE_PATHS)
    for context in contexts:
        if isinstance(context.source, RemoteContext) and context.source.value.startswith(_LAYOUT):
            yield ("contexts", context.name), context.source.value.removeprefix(_LAYOUT).partition("@")[0]
