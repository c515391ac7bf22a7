"""Why a platform build is built: two input manifests held against each other; reasons are from a closed list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from orchestrator.plan.inputs import UNKNOWN, Entries, InputManifest
from orchestrator.plan.model import Reason
from orchestrator.plan.past import Past

_SHOWN: Final = 3
"""How many names a message holds before it counts the rest; `items` holds them all."""


def explain(past: Past, new: InputManifest) -> tuple[Reason, ...]:
    """Why it is built; empty for what was made from the same last, and is not there all the same."""
    if past.problem:
        return (Reason(code="new", message="what was built before cannot be read"),)
    if not past.is_known:
        return (Reason(code="new", message="nothing built before is remembered"),)
    if past.inputs is None:
        return (Reason(code="platform_added", message=f"`{new.platform}` is new"),)
    if past.manifest is None:
        return (Reason(code="config_changed", message="what it was made from last is not kept any more"),)
    if past.rebuilt:
        shown = list_names(tuple(dict.fromkeys(build.partition("@")[0] for build in past.rebuilt)))
        return (Reason(code="upstream_rebuilt", message=f"{shown} was built again since", items=past.rebuilt),)
    return compare(past.manifest, new, {name: changes.paths for name, changes in past.changes.items()})


def compare(old: InputManifest, new: InputManifest, paths: Mapping[str, tuple[str, ...]]) -> tuple[Reason, ...]:
    """What decides another result now than then; empty where nothing does.

    Args:
        old: what the last build was made from.
        new: what this one would be made from.
        paths: the files that differ, by the name of their context; a context that is missing here is one of which
            the earlier listing is not known any more.
    """
    return tuple(_reasons(old, new, paths))


def _reasons(old: InputManifest, new: InputManifest, paths: Mapping[str, tuple[str, ...]]) -> Iterator[Reason]:
    contexts = _changed(old.contexts, new.contexts)
    if contexts:
        yield _files(contexts, paths)
    if old.dockerfile != new.dockerfile:
        yield Reason(code="dockerfile_changed", message="its Dockerfile changed")
    arguments = _changed(old.args, new.args)
    if arguments:
        yield Reason(code="args_changed", message=f"args changed: {list_names(arguments)}", items=arguments)
    before, now = dict(old.images), dict(new.images)
    for name in _changed(old.images, new.images):
        if name in before and name in now:
            message = f"`{name}` moved from {_short(before[name])} to {_short(now[name])}"
            yield Reason(code="base_moved", message=message, items=(before[name], now[name]))
    parents = _changed(old.parents, new.parents)
    if parents:
        yield Reason(code="upstream_changed", message=f"{list_names(parents)} changed", items=parents)
    config = tuple(_config(old, new))
    if config:
        yield Reason(code="config_changed", message=f"changed: {list_names(config)}", items=config)


def _config(old: InputManifest, new: InputManifest) -> Iterator[str]:
    """What else is declared otherwise, as the attributes of `builds.toml` are called."""
    if old.target != new.target:
        yield "target"
    yield from (f"label {name}" for name in _changed(old.labels, new.labels))
    yield from (name for name in _changed(old.options, new.options))
    if old.secrets != new.secrets:
        yield "secrets"
    if old.ssh != new.ssh:
        yield "ssh"
    if old.build_platform != new.build_platform:
        yield "the platform that builds"
    before, now = dict(old.images), dict(new.images)
    yield from (f"image {name}" for name in _changed(old.images, new.images) if not (name in before and name in now))
    if old.format != new.format:
        yield "the format of input manifests"


def _files(contexts: tuple[str, ...], paths: Mapping[str, tuple[str, ...]]) -> Reason:
    known = tuple(path for context in contexts for path in _within(context, paths.get(context, ())))
    if known:
        return Reason(code="files_changed", message=f"files changed: {list_names(known)}", items=known)
    where = list_names(tuple(context or "the context" for context in contexts))
    return Reason(code="files_changed", message=f"files of {where} changed; which ones is not known here")


def _within(context: str, paths: tuple[str, ...]) -> Iterator[str]:
    return (f"{context}:{path}" if context else path for path in paths)


def _changed(old: Entries, new: Entries) -> tuple[str, ...]:
    """Names that only one of both has, or that have another value; unknown values changed nothing."""
    before, now = dict(old), dict(new)
    return tuple(
        name
        for name in sorted({**before, **now})
        if before.get(name) != now.get(name) and UNKNOWN not in (before.get(name), now.get(name))
    )


def list_names(names: tuple[str, ...], *, most: int = _SHOWN) -> str:
    """Names for a message, the rest of them counted."""
    shown = ", ".join(f"`{name}`" for name in names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def _short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:12]
