"""Targets as the text of a `docker-bake.json` (docs/bake-reference.md of buildx 0.20 and newer).

Bake reads JSON as HCL: every string in it, keys included, is a template, and is escaped here so that it means itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, TypeAlias, TypeVar, assert_never
from unicodedata import is_normalized

from orchestrator.api.invocation import Late, PathOf, Word
from orchestrator.api.solve import (
    BuildArg,
    BuildOptions,
    Cache,
    LayoutOutput,
    NetworkMode,
    NoOutput,
    Provenance,
    PushOutput,
    Secret,
    SshAgent,
)
from orchestrator.api.target import Target
from orchestrator.config.credentials import hide_userinfo, looks_like_credential
from orchestrator.diagnostics import Diagnostic

MARK: Final = "Written by `orchestrate export bake`"
"""Stands near the beginning of every such file, as the description of its group `default`."""

DEFAULT_GROUP: Final = "default"

_BOM: Final = "\ufeff"
_AFTER_RETURN: Final = re.compile(r"[$%]*\r")
_T = TypeVar("_T")
_Json: TypeAlias = "str | bool | tuple[str | Late, ...] | list[_Json] | dict[str, _Json]"
"""JSON, with late values inside of strings, which are tuples then."""


def render_bake(targets: Iterable[Target], groups: Mapping[str, tuple[str, ...]]) -> str:
    """The text of the file: the same targets and groups give the same text. `default` has to be one of the groups."""
    described: dict[str, _Json] = {DEFAULT_GROUP: {"description": MARK, "targets": [*groups[DEFAULT_GROUP]]}}
    described |= {name: {"targets": [*members]} for name, members in groups.items() if name != DEFAULT_GROUP}
    return "".join(map(str, _lines({"group": described, **_file(targets)}, "\n"))) + "\n"


def render_run(targets: Iterable[Target]) -> Word:
    """The text of a file of which all targets are named on the command line, with late values where they stand."""
    return (*_lines(_file(targets), "\n"), "\n")


def _file(targets: Iterable[Target]) -> dict[str, _Json]:
    return {"target": {target.name: _escaped(target_attributes(target)) for target in targets}}


def target_attributes(target: Target) -> dict[str, _Json]:
    """What bake has to understand, by attribute; what it takes by itself is left out."""
    options = target.options
    attributes: dict[str, _Json] = {
        "description": target.description,
        "context": options.context,
        "dockerfile": "" if options.dockerfile_inline else _dockerfile(options),
        "dockerfile-inline": options.dockerfile_inline or "",
        "target": options.target,
        "platforms": [*_once(map(str, target.platforms))],
        "tags": [*_once(target.tags)],
        "annotations": [*_once(f"index:{key}={value}" for key, value in target.annotations)],
        "args": _values(options.args),
        "labels": _values(options.labels),
        "contexts": {context.name: context.value for context in target.contexts},
        "secret": [*map(_secret, _once(options.secrets))],
        "ssh": [*map(_agent, _once(options.ssh))],
        "cache-from": [*map(_cache, _once(options.cache_from))],
        "cache-to": [*map(_cache, _once(options.cache_to))],
        "no-cache": options.no_cache,
        "no-cache-filter": [*_once(options.no_cache_filter)],
        "pull": options.pull,
        "network": "" if options.network is NetworkMode.DEFAULT else options.network.value,
        "entitlements": [*_once(options.entitlements)],
        "extra-hosts": dict(options.extra_hosts),
        "shm-size": options.shm_size,
        "ulimits": [*_once(options.ulimits)],
        "attest": [_provenance(options), {"type": "sbom"} if options.sbom else {"type": "sbom", "disabled": True}],
        "output": [_output(target)],
    }
    return {name: value for name, value in attributes.items() if value}


def check_targets(targets: Iterable[Target]) -> Iterator[Diagnostic]:
    """What no bake file can hold, and what it must not hold."""
    for target in targets:
        for attribute, value in target_attributes(target).items():
            texts = tuple(_texts(value))
            if not all(is_normalized("NFC", text) for text in texts):
                # a file of that name would not be found
                yield Diagnostic(
                    code="bake-text",
                    message=f"`{attribute}` of `{target.image}` has a letter and its accent apart: HCL joins them",
                    subject=target.image,
                    hints=("write it in Unicode's composed form, NFC",),
                )
            if any(hide_userinfo(text) != text for text in texts) or _names_credential(attribute, value):
                yield Diagnostic(
                    code="bake-credential",
                    message=f"`{attribute}` of `{target.image}` has a credential, and the file would hold it",
                    subject=target.image,
                    hints=("hand it over outside of the file: as a login, in the environment, or in `secrets`",),
                )


def _names_credential(attribute: str, value: _Json) -> bool:
    """Whether a cache has a credential among its attributes; what looks like one in `args` was told before."""
    entries = value if isinstance(value, list) and attribute.startswith("cache-") else []
    return any(looks_like_credential(key) for entry in entries if isinstance(entry, dict) for key in entry)


def escape(text: str) -> str:
    """A template of HCL that evaluates to this text."""
    escaped = text.replace("${", "$${").replace("%{", "%%{")
    if "\r" in text and ("$${" in text or "%%{" in text):
        # after a bare carriage return HCL's scanner does not take `$$${` for an escape any more: have none
        escaped = _AFTER_RETURN.sub(lambda match: f'${{"{match[0][:-1]}\\r"}}', escaped)
    # a byte order mark is dropped where it comes first
    return f'${{""}}{escaped}' if text.startswith(_BOM) else escaped


def _escaped(value: _Json) -> _Json:
    match value:
        case str():
            return escape(value)
        case tuple():
            return tuple(escape(part) if isinstance(part, str) else part for part in value)
        case list():
            return [_escaped(item) for item in value]
        case dict():
            return {escape(key): _escaped(item) for key, item in value.items()}
        case _:
            return value


def _texts(value: _Json) -> Iterator[str]:
    match value:
        case str():
            yield value
        case tuple():
            yield from (part for part in value if isinstance(part, str))
        case list():
            for item in value:
                yield from _texts(item)
        case dict():
            for key, item in value.items():
                yield key
                yield from _texts(item)
        case _:
            pass


def _lines(value: _Json, margin: str) -> Iterator[str | Late]:
    """The parts of a text in JSON, indented by two; `margin` is what a new line begins with."""
    deeper = margin + "  "
    match value:
        case tuple():
            yield '"'
            yield from (_quoted(part)[1:-1] if isinstance(part, str) else part for part in value)
            yield '"'
        case list() if value:
            for position, item in enumerate(value):
                yield ("," if position else "[") + deeper
                yield from _lines(item, deeper)
            yield margin + "]"
        case dict() if value:
            for position, (key, item) in enumerate(value.items()):
                yield ("," if position else "{") + deeper + _quoted(key) + ": "
                yield from _lines(item, deeper)
            yield margin + "}"
        case _:
            yield _quoted(value)


def _quoted(value: _Json) -> str:
    return json.dumps(value, ensure_ascii=False)


def _output(target: Target) -> dict[str, _Json]:
    match target.output:
        case None:
            return {"type": "image", "oci-mediatypes": "true"} if target.tags else {"type": "cacheonly"}
        case NoOutput():
            return {"type": "cacheonly"}
        case LayoutOutput(name=name):
            return {"type": "oci", "tar": "false", "dest": (PathOf(name=name),)}
        case PushOutput(reference=reference):
            pushed: dict[str, _Json] = {"type": "image", "name": str(reference), "push": "true", "store": "false"}
            return {**pushed, "oci-mediatypes": "true"}
        case _:
            assert_never(target.output)


def _once(values: Iterable[_T]) -> Iterable[_T]:
    """Each once, as bake keeps them."""
    return dict.fromkeys(values)


def _values(values: tuple[BuildArg, ...]) -> dict[str, _Json]:
    return {value.name: value.value for value in values}


def _secret(secret: Secret) -> dict[str, _Json]:
    source: dict[str, _Json] = {"env": secret.env} if secret.env else {"src": secret.src} if secret.src else {}
    return {"id": secret.id, **source}


def _agent(agent: SshAgent) -> dict[str, _Json]:
    return {"id": agent.id, "paths": [*agent.paths]} if agent.paths else {"id": agent.id}


def _cache(cache: Cache) -> dict[str, _Json]:
    return {"type": cache.type, **dict(cache.attributes)}


def _provenance(options: BuildOptions) -> dict[str, _Json]:
    if options.provenance is Provenance.OFF:
        return {"type": "provenance", "disabled": True}
    return {"type": "provenance", "mode": options.provenance.value}


def _dockerfile(options: BuildOptions) -> str:
    """Bake's is relative to the context, ours to the repository root; in a context that is fetched it is in there."""
    context, path = options.context, options.dockerfile
    # a path of ours is normalised, so that it has no `//`
    if "://" in context or context.startswith("git@") or path.startswith("/") != context.startswith("/"):
        return path
    above = [] if context == "." else context.split("/")
    parts = path.split("/")
    shared = next(
        (at for at, (one, other) in enumerate(zip(above, parts, strict=False)) if one != other),
        min(len(above), len(parts)),
    )
    return "/".join([".."] * (len(above) - shared) + parts[shared:])
