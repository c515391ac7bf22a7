"""What `prune` deletes, and what became of it, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from orchestrator.oci.digest import short
from orchestrator.plan.removal import Fate, Name, Pruned, Removal
from orchestrator.ui.text import count, printable, table

_REASONS: Final[Mapping[Fate, str]] = {
    Fate.IN_USE: "needed by a run of this moment",
    Fate.NO_TAGS: "what they name is needed, and this registry deletes no tag without it",
    Fate.REFUSED: "the registry refuses to delete them",
}


def render_removals(removals: tuple[Removal, ...]) -> str:
    """A table for each repository from which something goes, then the sums."""
    lines: list[str] = []
    for removal in removals:
        if removal.names:
            lines += (str(removal.repository), *table([_row(name) for name in removal.names], indent="  "), "")
    names = sum(len(removal.names) for removal in removals)
    manifests = sum(len(removal.digests) for removal in removals)
    stay = sum(removal.stay for removal in removals)
    lines.append(f"{count(names, 'name')}, {count(manifests, 'manifest')} go; {stay} stay")
    return "\n".join(lines) + "\n"


def render_pruned(pruned: tuple[Pruned, ...]) -> str:
    """What is deleted, and every name that is still there, by the reason for it."""
    gone = sum(fate is Fate.GONE for one in pruned for _, fate in one.fates)
    lines = [f"{count(gone, 'name')}, {count(sum(len(one.deleted) for one in pruned), 'manifest')} deleted"]
    for reason, text in _REASONS.items():
        names = [
            f"  {one.removal.repository}:{name.tag}" for one in pruned for name, fate in one.fates if fate is reason
        ]
        if names:
            lines += (f"{count(len(names), 'name')} still there: {text}", *names)
    return "\n".join(lines) + "\n"


def render_json(removals: tuple[Removal, ...], pruned: tuple[Pruned, ...]) -> str:
    """All of it; `state` is what became of a name, or that it goes where nothing was deleted."""
    done = {one.removal.repository: one for one in pruned}
    document = {
        "format_version": 1,
        "deleted": bool(pruned),
        "repositories": [_describe(removal, done.get(removal.repository)) for removal in removals],
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


def _row(name: Name) -> tuple[str, ...]:
    whose = ", ".join(filter(None, (name.image, name.scope and f"scope {name.scope}")))
    return name.kind.value, name.tag, short(name.digest), printable(whose)


def _describe(removal: Removal, pruned: Pruned | None) -> dict[str, object]:
    fates = {name.tag: fate.value for name, fate in pruned.fates} if pruned else {}
    gone = frozenset(pruned.deleted) if pruned else frozenset()
    return {
        "repository": str(removal.repository),
        "names": [
            {
                "name": name.tag,
                "kind": name.kind.value,
                "digest": name.digest,
                "image": name.image or None,
                "scope": name.scope or None,
                "state": fates.get(name.tag, "goes"),
            }
            for name in removal.names
        ],
        "manifests": [
            {"digest": digest, "state": ("gone" if digest in gone else "stays") if pruned else "goes"}
            for digest in _in_order(removal)
        ],
        "stay": removal.stay,
    }


def _in_order(removal: Removal) -> Iterator[str]:
    return (digest for wave in removal.waves for digest in wave)
