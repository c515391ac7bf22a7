"""What a platform build is made from now against last time, line by line: two input manifests and their listings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Final

from orchestrator.config.credentials import MASK, hide_userinfo
from orchestrator.model import Model
from orchestrator.oci.digest import Digest
from orchestrator.plan.context import Entry, Kind, Listing
from orchestrator.plan.inputs import UNKNOWN, UNREAD, InputManifest
from orchestrator.plan.masked import masked_argv
from orchestrator.plan.memory import RememberedPart
from orchestrator.plan.model import PlatformBuild, Reason
from orchestrator.plan.past import FileChanges, Past


class Change(Enum):
    """What became of a line since the last build."""

    SAME = "same"
    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"
    UNKNOWN = "unknown"


class Line(Model):
    """One thing that a build is made from, before and now; `note` says what the two values do not.

    `kind` is a word such as `arg` or `file`, `name` which one it is; what there is only one of has no name.
    """

    change: Change
    kind: str
    name: str = ""
    before: str = ""
    after: str = ""
    note: str = ""


class Why(Model):
    """Why a platform build is built, or not.

    `stands` is the image that is taken over, `now` and `last` are input digests, `notes` what no line can say.
    """

    build: PlatformBuild
    stands: Digest | None
    now: Digest | None
    last: Digest | None
    lines: tuple[Line, ...]
    notes: tuple[str, ...] = ()

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """Those that the plan has."""
        return self.build.reasons


_CONTEXT: Final = "context"
_FILE: Final = "file"
_NAMED: Final = frozenset({"arg", "label", "option"})
"""Kinds of which the name says whether the value may be shown."""
_UNKNOWN: Final[Mapping[str, str]] = {
    "dockerfile": "it cannot be read here",
    _CONTEXT: "it cannot be read, is a URL without a full commit id, or what is taken of it depends on a base that is "
    "not known",
    "base": "nobody could tell its digest",
    "parent": "something that it is made from is not known",
    "build platform": "whether it counts depends on a base that is not known",
}
_WHAT: Final[Mapping[Kind, str]] = {
    Kind.FOLDER: "folder",
    Kind.FILE: "file",
    Kind.LINK: "link",
    Kind.FIFO: "fifo",
    Kind.DEVICE: "device",
}


def say_why(
    build: PlatformBuild,
    manifest: InputManifest,
    listings: Mapping[Digest, Listing],
    *,
    past: Past,
    standing: RememberedPart | None,
    others: Mapping[str, Past],
) -> Why:
    """Why this build of a plan is built, or not.

    Args:
        build: as it is planned.
        manifest: what it is made from now.
        listings: the listings of contexts as they are now.
        past: what is remembered of the last build, where it is built again.
        standing: what is taken over, where it is not.
        others: what is remembered of all builds that are built again, among them those that this one stands on.
    """
    old = manifest if standing else past.manifest
    compared = old is not None or (not past.inputs and not past.problem)
    return Why(
        build=build,
        stands=standing.manifest if standing else None,
        now=None if manifest.unknown else manifest.digest,
        last=manifest.digest if standing else past.inputs,
        lines=tuple(_compare(old, manifest, past.changes, listings)) if compared else (),
        notes=() if standing else tuple(_notes(build, manifest, past, others)),
    )


def _notes(build: PlatformBuild, manifest: InputManifest, past: Past, others: Mapping[str, Past]) -> Iterator[str]:
    if past.problem:
        yield f"what was built before cannot be read: {past.problem}"
    elif past.inputs and past.manifest is None:
        yield f"what it was made from last, {past.inputs}, is not kept any more, so nothing can be compared"
    elif past.inputs == manifest.digest:
        yield f"it would be made from the same as last time, {past.inputs}"
    for parent in past.rebuilt:
        yield f"it stood on another build of {parent} than the one that stands now"
    if past.manifest and past.manifest.parents != manifest.parents:
        yield from (f"`orchestrate why {need}` says what changed there" for need in build.needs if need in others)


def _compare(
    old: InputManifest | None,
    new: InputManifest,
    changes: Mapping[str, FileChanges],
    listings: Mapping[Digest, Listing],
) -> Iterator[Line]:
    before = dict(_pieces(old)) if old else {}
    now = dict(_pieces(new))
    for kind, name in sorted({**before, **now}, key=lambda piece: (_ORDER.index(piece[0]), piece[1])):
        first, second = before.get((kind, name)), now.get((kind, name))
        if kind == _CONTEXT and name in changes and first != second:
            yield from _files(name, changes[name])
        else:
            yield _line(kind, name, first, second, listings)


_ORDER: Final = (
    "platform", "build platform", "dockerfile", "target", "arg", "label", "option", "base", "parent", "secret", "ssh",
    _CONTEXT, "format",
)  # fmt: skip


def _pieces(manifest: InputManifest) -> Iterator[tuple[tuple[str, str], str]]:
    """All that is in a manifest, by kind and name."""
    lone = {
        "platform": manifest.platform,
        "build platform": manifest.build_platform,
        "dockerfile": manifest.dockerfile,
        "target": manifest.target,
        "format": str(manifest.format),
    }
    yield from (((kind, ""), value) for kind, value in lone.items() if value)
    several = {
        "arg": manifest.args,
        "label": manifest.labels,
        "option": manifest.options,
        "base": manifest.images,
        "parent": manifest.parents,
        _CONTEXT: manifest.contexts,
    }
    for kind, entries in several.items():
        yield from (((kind, name), value) for name, value in entries)
    yield from ((("secret", each), "") for each in manifest.secrets)
    yield from ((("ssh", each), "") for each in manifest.ssh)


def _line(kind: str, name: str, before: str | None, now: str | None, listings: Mapping[Digest, Listing]) -> Line:
    first, second = _shown(kind, name, before), _shown(kind, name, now)
    if now == UNKNOWN and kind in _UNKNOWN:
        note = _UNKNOWN["dockerfile"] if name == UNREAD else _UNKNOWN[kind]
        return Line(change=Change.UNKNOWN, kind=kind, name=name, before=first, note=note)
    if before == now:
        return Line(change=Change.SAME, kind=kind, name=name, before=first, after=second)
    if before is None:
        return Line(change=Change.ADDED, kind=kind, name=name, after=second, note=_size(kind, now, listings))
    if now is None:
        return Line(change=Change.REMOVED, kind=kind, name=name, before=first)
    note = "another value, which is not shown" if first == second else ""
    if kind == _CONTEXT:
        note = "which files is not known: the earlier listing is not kept"
    return Line(change=Change.CHANGED, kind=kind, name=name, before=first, after=second, note=note)


def _shown(kind: str, name: str, value: str | None) -> str:
    """A value as people and programs may see it."""
    if value is None:
        return ""
    if kind not in _NAMED:
        return hide_userinfo(value)
    start = f"{name}="
    (word,) = masked_argv((start + value,))
    return word.removeprefix(start) if word.startswith(start) else MASK


def _size(kind: str, value: str | None, listings: Mapping[Digest, Listing]) -> str:
    """How much is in a context that there was not before."""
    listing = listings.get(Digest(value or "")) if kind == _CONTEXT else None
    if listing is None:
        return ""
    number = len(listing.records)
    return f"{number} {'entry' if number == 1 else 'entries'}"


def _files(context: str, changes: FileChanges) -> Iterator[Line]:
    """The entries of a context that came, went or are others."""
    before = {entry.path: entry for entry in changes.before.entries}
    now = {entry.path: entry for entry in changes.after.entries}
    for path in changes.paths:
        name = f"{context}:{path}" if context else path
        first, second = before.get(path), now.get(path)
        if first and second:
            old, new = _difference(first, second)
            yield Line(change=Change.CHANGED, kind=_FILE, name=name, before=old, after=new)
        elif second:
            yield Line(change=Change.ADDED, kind=_FILE, name=name, after=_described(second))
        elif first:
            yield Line(change=Change.REMOVED, kind=_FILE, name=name, before=_described(first))


def _difference(before: Entry, now: Entry) -> tuple[str, str]:
    """What of two entries of one path is not the same."""
    if before.kind is not now.kind:
        return _described(before), _described(now)
    sides = []
    for one, other in ((before, now), (now, before)):
        parts = [_content(one)] if one.content != other.content else []
        parts += [_mode(one)] if one.mode != other.mode else []
        sides.append(", ".join(parts))
    return sides[0], sides[1]


def _described(entry: Entry) -> str:
    what = () if entry.kind is Kind.FILE else (_WHAT[entry.kind],)
    content = (_content(entry),) if entry.content else ()
    mode = () if entry.kind is Kind.LINK else (_mode(entry),)
    return ", ".join((*what, *content, *mode))


def _content(entry: Entry) -> str:
    match entry.kind:
        case Kind.FILE:
            return f"sha256:{entry.content}"
        case Kind.LINK:
            return f"to {entry.content}"
        case _:
            return entry.content


def _mode(entry: Entry) -> str:
    return f"mode {entry.mode:04o}"
