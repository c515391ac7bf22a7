"""`orchestrate lock`: which digests the external images of all builds have, in `builds.lock`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import click

from orchestrator.cli.options import make_project_options, project_options

if TYPE_CHECKING:
    from orchestrator.config.lock import Lock, LockChange, LockedBase
    from orchestrator.oci.digest import Digest
    from orchestrator.oci.reference import Reference
    from orchestrator.plan.bases import Base
    from orchestrator.probe.bases import Unresolved
    from orchestrator.registry.stores import RegistryStores

_STALE: Final = 10
_FEW: Final = 3


@click.command(name="lock")
@click.argument("globs", nargs=-1, metavar="[GLOB]...")
@click.option("--update", is_flag=True, help="Look up again what is locked: all, or what a GLOB matches ('debian*').")
@click.option(
    "--check", is_flag=True, help="Write nothing; end with 10 where something is missing, unused or has moved."
)
@project_options
@click.option("--format", "style", type=click.Choice(("text", "json")), default="text", help="How to print changes.")
def command(*, globs: tuple[str, ...], update: bool, check: bool, style: str, **values: object) -> int:
    """Pin the external images that builds take to digests, in `builds.lock` beside the root builds.toml.

    Looks up what is not locked yet, keeps what is, and drops what nothing uses: bases, COPY --from, mounts, frontends,
    and contexts that are images of registries. Prints one line for each change, and writes all of them or none.
    """
    from orchestrator.cli.prepare import Preparation
    from orchestrator.config.lock import Lock
    from orchestrator.plan.bases import find_bases
    from orchestrator.ui.text import print_note

    _check_usage(globs, update=update, check=check)
    options = make_project_options(values)
    preparation = Preparation(options, os.environ)
    loaded = preparation.load()
    bases = find_bases(loaded.declared.images, loaded.declared.edges, loaded.reader, loaded.host)
    work = _Work(loaded.root, bases, loaded.declared.lock or Lock(), offline=options.offline)
    if check:
        rows = _check(work)
        done = f"{_images(len(bases))} in use, {_images(len(rows))} to look at: `orchestrate lock` adds and removes, "
        done += "`orchestrate lock --update` follows tags"
    else:
        again = _matching(globs, bases) if update else frozenset()
        rows = _resolve(work, again)
        done = f"{_images(len(bases))} locked"
    _print(rows, style)
    if preparation.findings.all:
        print_note("\n" + preparation.findings.render())
    print_note(f"builds.lock: {done}" if rows else f"builds.lock: nothing to change, {_images(len(bases))}")
    return _STALE if check and rows else 0


class _Work(NamedTuple):
    """A project's external images, and what was locked before."""

    root: Path
    bases: tuple[Base, ...]
    lock: Lock
    offline: bool


class _Row(NamedTuple):
    """One line of the result."""

    change: str
    reference: Reference
    old: Digest | None
    new: Digest | None
    images: tuple[str, ...]


def _check_usage(globs: tuple[str, ...], *, update: bool, check: bool) -> None:
    from orchestrator.errors import UsageError

    if update and check:
        message = "`--update` and `--check` exclude each other"
        raise UsageError(message, hints=("`--check` says which tags have moved, `--update` follows them",))
    if globs and not update:
        message = f"`{globs[0]}`: names are for `--update`"
        raise UsageError(message, hints=(f"`orchestrate lock --update '{globs[0]}'` looks them up again",))


def _matching(globs: tuple[str, ...], bases: tuple[Base, ...]) -> frozenset[Reference]:
    """The images that are meant: by their short names, as Dockerfiles have them, or in full."""
    from fnmatch import fnmatchcase

    from orchestrator.errors import UsageError
    from orchestrator.oci.reference import familiar

    names = {base.reference: (familiar(base.reference), str(base.reference)) for base in bases}
    chosen: set[Reference] = set()
    for glob in globs or ("*",):
        matched = {one for one, spelled in names.items() if any(fnmatchcase(name, glob) for name in spelled)}
        if globs and not matched:
            message = f"`{glob}` matches no external image"
            known = ", ".join(f"`{short}`" for short, _ in sorted(names.values())[:_FEW])
            hint = f"there are {known}{' and more' if len(names) > _FEW else ''}" if names else "there are none here"
            raise UsageError(message, hints=(hint,))
        chosen |= matched
    return frozenset(chosen)


def _resolve(work: _Work, again: frozenset[Reference]) -> tuple[_Row, ...]:
    """Look up what is missing or asked for again, and write the lock where that changes it.

    Raises:
        UsageError: something is to be looked up offline, or the file cannot be written.
        RegistryError: something cannot be looked up; nothing was written.
    """
    from orchestrator.config.lock import Lock, compare_locks
    from orchestrator.errors import UsageError

    used = [base.reference for base in work.bases]
    kept = {one: work.lock.bases[one] for one in used if one in work.lock.bases and one not in again}
    wanted = [one for one in used if one not in kept]
    if wanted and work.offline:
        message = f"{_images(len(wanted))} to look up, and with `--offline` nobody is asked"
        raise UsageError(message, hints=("drop `--offline`",))
    new = Lock(bases={**kept, **(_look_up(wanted) if wanted else {})})
    changes = compare_locks(work.lock, new)
    if changes:
        _write(work.root, new)
    users = {base.reference: _users(base) for base in work.bases}
    return tuple(_row(change, users.get(change.reference, ())) for change in changes)


def _look_up(wanted: list[Reference]) -> dict[Reference, LockedBase]:
    from orchestrator.plan.bases import BaseFacts
    from orchestrator.probe.bases import Unresolved, fetch_bases

    with _open_stores() as stores:
        answers = fetch_bases(dict.fromkeys(wanted, ()), stores.repository)
    _stop_unresolved({one: answer for one, answer in answers.items() if isinstance(answer, Unresolved)})
    return {one: answer.locked for one, answer in answers.items() if isinstance(answer, BaseFacts)}


def _check(work: _Work) -> tuple[_Row, ...]:
    """What `lock` would add and remove and, where registries may be asked, the tags that have moved.

    Raises:
        RegistryError: something cannot be looked up.
    """
    from orchestrator.probe.bases import Unresolved, fetch_digests

    locked = work.lock.bases
    used = {base.reference: base for base in work.bases}
    rows = [_Row("missing", one, None, None, _users(base)) for one, base in used.items() if one not in locked]
    rows += [_Row("unused", one, base.digest, None, ()) for one, base in locked.items() if one not in used]
    wanted = [one for one in used if one in locked]
    if wanted and not work.offline:
        with _open_stores() as stores:
            answers = fetch_digests(wanted, stores.repository)
        _stop_unresolved({one: answer for one, answer in answers.items() if isinstance(answer, Unresolved)})
        for one, answer in answers.items():
            if not isinstance(answer, Unresolved) and answer != locked[one].digest:
                change = "moved" if answer else "gone"
                rows.append(_Row(change, one, locked[one].digest, answer, _users(used[one])))
    return tuple(sorted(rows, key=lambda row: str(row.reference)))


def _open_stores() -> RegistryStores:
    from orchestrator.cli.insecure import insecure_registries
    from orchestrator.process.capture import capture
    from orchestrator.registry import open_stores

    return open_stores(os.environ, insecure=insecure_registries(os.environ), capture=capture)


def _stop_unresolved(unresolved: Mapping[Reference, Unresolved]) -> None:
    """Say of everything that cannot be looked up why; once, where a whole registry is silent."""
    from orchestrator.errors import RegistryError

    if not unresolved:
        return
    reasons: dict[str, list[Reference]] = {}
    for reference, answer in unresolved.items():
        reasons.setdefault(answer.reason, []).append(reference)
    lines = [_named(map(str, references)) + f": {reason}" for reason, references in reasons.items()]
    hints = dict.fromkeys(hint for answer in unresolved.values() for hint in answer.hints)
    message = f"{_images(len(unresolved))} cannot be looked up; nothing was written"
    raise RegistryError(message, hints=tuple(hints), report="\n".join(lines))


def _write(root: Path, lock: Lock) -> None:
    """Put the file in its place as a whole; a link that stands there is replaced, not followed.

    Raises:
        UsageError: it cannot be written.
    """
    from orchestrator.config.lock import LOCK_FILE, render_lock
    from orchestrator.errors import disk_error
    from orchestrator.state.beneath import Durability, Missing, open_folder, write_whole

    content = render_lock(lock).encode()
    try:
        with open_folder(root, (), Missing.FAIL) as folder:
            write_whole(LOCK_FILE, folder, lambda file: file.write(content), Durability.SYNCED)
    except OSError as error:
        raise disk_error(error) from error


def _row(change: LockChange, users: tuple[str, ...]) -> _Row:
    old, new = (base.digest if base else None for base in (change.old, change.new))
    return _Row(change.kind.value, change.reference, old, new, users)


def _users(base: Base) -> tuple[str, ...]:
    return tuple(dict.fromkeys(use.image for use in base.uses))


def _print(rows: tuple[_Row, ...], style: str) -> None:
    from orchestrator.ui.text import print_result, table

    if style == "json":
        print_result(_render_json(rows))
    elif rows:
        lines = table([(row.change, str(row.reference), _digests(row)) for row in rows])
        print_result("\n".join(lines) + "\n")


def _digests(row: _Row) -> str:
    if row.old and row.new and row.old != row.new:
        return f"{row.old} -> {row.new}"
    return row.new or row.old or f"used by {_named(row.images)}"


def _named(names: Iterable[str]) -> str:
    listed = [f"`{name}`" for name in names]
    more = f" and {len(listed) - _FEW} more" if len(listed) > _FEW else ""
    return ", ".join(listed[:_FEW]) + more


def _render_json(rows: tuple[_Row, ...]) -> str:
    import msgspec

    document = {
        "format_version": 1,
        "changes": [
            {
                "change": row.change,
                "reference": str(row.reference),
                "old": row.old,
                "new": row.new,
                "images": row.images,
            }
            for row in rows
        ],
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


def _images(number: int) -> str:
    from orchestrator.ui.text import count

    return count(number, "image")
