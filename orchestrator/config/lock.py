"""`builds.lock`: the digests of external images, as text and as values.

We write it, but what comes back was merged, edited or made by strangers: it is read as `builds.toml` is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from orchestrator.config.decode import decode_table
from orchestrator.config.findings import Findings, quote, shown
from orchestrator.config.keys import render_key
from orchestrator.config.scan import Keys
from orchestrator.config.syntax import Tree, parse
from orchestrator.diagnostics import Diagnostic, has_errors
from orchestrator.model import Model, Table
from orchestrator.oci.digest import Digest, parse_digest
from orchestrator.oci.platform import Platform, parse_platform
from orchestrator.oci.reference import Reference, parse_reference

LOCK_FILE: Final = "builds.lock"
"""Its name; it stands beside the root file."""

LOCK_FORMAT: Final = 1

_HEADER: Final = (
    "# External images by digest. Written by `orchestrate lock`; `orchestrate lock --update` moves them on."
)
_REMEDY: Final = "`orchestrate lock` writes this file: take git's version of it, or remove it and run that again"


class LockedBase(Model):
    """What a reference was resolved to: the digest of its index (of its manifest, where there is no index)."""

    digest: Digest
    platforms: tuple[Platform, ...]


class Lock(Model):
    """All locked images; references have a tag and no digest."""

    bases: Mapping[Reference, LockedBase] = {}


class ChangeKind(Enum):
    """What happens to an entry of the lock."""

    ADDED = "added"
    REMOVED = "removed"
    MOVED = "moved"
    CORRECTED = "corrected"
    """The digest is the same, and what was noted beside it was wrong."""


class LockChange(Model):
    """One entry that two locks do not have in common; `old` or `new` is None where there is none."""

    kind: ChangeKind
    reference: Reference
    old: LockedBase | None = None
    new: LockedBase | None = None


class _BaseTable(Table):
    """One image."""

    digest: Annotated[str, Meta(min_length=1, description="The digest of its index.")]
    platforms: Annotated[tuple[str, ...], Meta(min_length=1, description="What the index holds.")]


class _LockTable(Table):
    """The whole file."""

    format: Annotated[int, Meta(description="The version of this format.")]
    bases: Annotated[dict[str, _BaseTable], Meta(description="The images, by reference.")] = {}  # noqa: RUF012 (msgspec gives every instance its own)


def canonical(reference: Reference) -> Reference:
    """The key of an image in the lock: with its tag, `latest` where none is written."""
    return Reference(repository=reference.repository, tag=reference.tag or "latest")


def decode_lock(text: str, file: str) -> tuple[Lock | None, tuple[Diagnostic, ...]]:
    """The lock, and all that is wrong with its file; None where one of these is an error."""
    tree, found = parse(text, file)
    if tree is None:
        return None, _with_remedy(found)
    findings = Findings(file)
    if not _check_format(tree, findings):
        return None, findings.all()
    typed, found = decode_table(tree, _LockTable, file, ())
    if typed is None:
        return None, _with_remedy(found)
    bases = {key: _decode_base(key, table, findings) for key, table in typed.bases.items()}
    if has_errors(findings.all()):
        return None, _with_remedy(findings.all())
    return Lock(bases={parse_reference(key): base for key, base in bases.items() if base}), ()


def render_lock(lock: Lock) -> str:
    """The text of a lock; the same for the same entries, in whatever order they were found."""
    lines = [_HEADER, f"format = {LOCK_FORMAT}"]
    for reference in sorted(lock.bases, key=str):
        base = lock.bases[reference]
        platforms = ", ".join(f'"{platform}"' for platform in sorted(set(base.platforms)))
        lines += [
            "",
            f"[{render_key(('bases', str(reference)))}]",
            f'digest = "{base.digest}"',
            f"platforms = [{platforms}]",
        ]
    return "\n".join(lines) + "\n"


def compare_locks(old: Lock, new: Lock) -> tuple[LockChange, ...]:
    """The entries that differ, by reference."""
    return tuple(
        LockChange(kind=_kind_of(before, after), reference=reference, old=before, new=after)
        for reference in sorted({*old.bases, *new.bases}, key=str)
        if (before := old.bases.get(reference)) != (after := new.bases.get(reference))
    )


def _kind_of(before: LockedBase | None, after: LockedBase | None) -> ChangeKind:
    if before is None:
        return ChangeKind.ADDED
    if after is None:
        return ChangeKind.REMOVED
    return ChangeKind.CORRECTED if before.digest == after.digest else ChangeKind.MOVED


def _check_format(tree: Tree, findings: Findings) -> bool:
    """Whether the rest may be read: nobody here knows what the keys of another format mean."""
    number = tree.get("format")
    if number == LOCK_FORMAT and not isinstance(number, bool):
        return True
    if number is None:
        findings("missing-format", "missing key `format`", findings.key("format"), _REMEDY)
    else:
        message = f"format {shown(number, ())} is none that this orchestrate reads: it reads {LOCK_FORMAT}"
        findings("unknown-format", message, findings.value("format"), "upgrade orchestrate", _REMEDY)
    return False


def _decode_base(key: str, table: _BaseTable, findings: Findings) -> LockedBase | None:
    keys: Keys = ("bases", key)
    _check_reference(key, keys, findings)
    try:
        digest = parse_digest(table.digest)
    except ValueError:
        message = f"expected a sha256 digest for `digest`, got {quote(table.digest)}"
        findings("illegal-value", message, findings.value(*keys, "digest"))
        return None
    platforms = tuple(sorted(set(_decode_platforms(table.platforms, keys, findings))))
    return LockedBase(digest=digest, platforms=platforms)


def _check_reference(key: str, keys: Keys, findings: Findings) -> None:
    try:
        wanted = str(canonical(parse_reference(key)))
    except ValueError:
        findings("bad-image-reference", f"{quote(key)} is no image reference", findings.key(*keys))
        return
    if key != wanted:
        message = f"{quote(key)} is not written in full: `{wanted}`"
        findings("bad-image-reference", message, findings.key(*keys))


def _decode_platforms(texts: Iterable[str], keys: Keys, findings: Findings) -> Iterator[Platform]:
    for position, text in enumerate(texts):
        try:
            yield parse_platform(text)
        except ValueError:
            place = findings.value(*keys, "platforms", position)
            findings("illegal-platform", f"{quote(text)} is no platform", place)


def _with_remedy(found: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Nobody is asked to write this file by hand: whatever is wrong with it, there is one way out."""
    return tuple(msgspec.structs.replace(finding, hints=(_REMEDY,), subject=None) for finding in found)
