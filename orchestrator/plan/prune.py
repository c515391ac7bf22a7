"""What of old state goes: which private names nothing needs any more, and which manifests are lost with them.

Registries delete digests, and a deleted digest takes every tag on it along. So a digest goes only where no tag that
stays reaches it, itself or through an index; the rest follows from what is public, and from the last index of each
image (`plan.names`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, TypeAlias

from orchestrator.model import Model
from orchestrator.oci.digest import Digest
from orchestrator.oci.links import Links
from orchestrator.oci.reference import Repository
from orchestrator.plan.graph import Edge
from orchestrator.plan.image import Image
from orchestrator.plan.names import inputs_tag, last_tag, note_tag
from orchestrator.plan.removal import Kind, Name, Removal
from orchestrator.plan.scopes import DEFAULT_SCOPE

Graph: TypeAlias = Mapping[Digest, Links]
"""What manifests name; those that name nothing may be missing."""


_PRIVATE: Final = re.compile(
    r"(?P<kind>in|te|ok|im|at|mv|un)-[0-9a-f]{64}|run-[0-9a-f]{16}-(?P<image>[A-Za-z0-9._-]{1,60})-[0-9a-f]{8}"
)
_KINDS: Final = {
    "in": Kind.RECORD, "te": Kind.TEST, "ok": Kind.FINAL, "im": Kind.INPUTS, "at": Kind.LAST, "mv": Kind.NOTE,
    "un": Kind.OLD,
}  # fmt: skip
_REACHED: Final = frozenset({Kind.RECORD, Kind.TEST, Kind.FINAL, Kind.INPUTS, Kind.OLD})
"""Names that stay where what they name is reached by what stays; the others say by themselves."""


class Contents(Model):
    """The tags of one repository, with their digests."""

    repository: Repository
    tags: Mapping[str, Digest]


class Rules(Model):
    """Where to look, and what to keep.

    `targets` are the repositories from which something may go, `related` all that have to be looked at for it. `homes`
    are the images that live in a repository, `declared` the tags that this project puts there, `scopes` those that
    are to go.
    """

    targets: frozenset[Repository]
    related: tuple[Repository, ...]
    homes: Mapping[Repository, tuple[str, ...]]
    declared: Mapping[Repository, frozenset[str]]
    scopes: tuple[str, ...] = ()


def make_rules(
    images: tuple[Image, ...],
    edges: Iterable[Edge],
    selected: Iterable[str],
    *,
    state: Repository | None,
    scopes: tuple[str, ...],
) -> Rules:
    """Where to look for old state of the selected images; `state` is the one repository for that, if there is one.

    Looked at are also images that share a repository with them, whose staged copies may be there, and all that are
    built from what lives in one: their records name records of their parents.
    """
    chosen = frozenset(selected)
    places = {image.name: _places(image, state) for image in images}
    targets = frozenset(place for name in chosen for place in places.get(name, ()))
    homes: dict[Repository, list[str]] = {}
    declared: dict[Repository, set[str]] = {}
    for image in images:
        for home in dict.fromkeys(filter(None, (state, image.repository))):
            homes.setdefault(home, []).append(image.name)
        for tag in image.tags:
            if tag.reference:
                declared.setdefault(tag.reference.repository, set()).add(tag.reference.tag)
    below = _descendants((name for home, names in homes.items() if home in targets for name in names), edges)
    near = (name for name, found in places.items() if name in below or not targets.isdisjoint(found))
    return Rules(
        targets=targets,
        related=tuple(dict.fromkeys(place for name in near for place in places[name])),
        homes={repository: tuple(names) for repository, names in homes.items()},
        declared={repository: frozenset(tags) for repository, tags in declared.items()},
        scopes=scopes,
    )


def private_kind(tag: str) -> Kind | None:
    """What a tag is for, if it has the shape of a private name."""
    match = _PRIVATE.fullmatch(tag)
    return None if match is None else _KINDS.get(match["kind"], Kind.RUN)


def decide(contents: tuple[Contents, ...], graph: Graph, rules: Rules) -> tuple[Removal, ...]:
    """What goes from each target, in the order of `contents`; those are of all related repositories."""
    kept = _kept(contents, graph, rules)
    owners = _Owners(graph, rules)
    return tuple(
        _remove(one, graph, kept, _roots(one, rules), owners) for one in contents if one.repository in rules.targets
    )


def protected(now: Contents, graph: Graph, removal: Removal, refused: Iterable[Digest] = ()) -> frozenset[Digest]:
    """What must not be deleted from a repository as it is now: what every tag reaches that is not about to go.

    What was needed when the removal was decided is in none of its waves; this is about what has come since, and about
    `refused`: digests that were to be deleted and are still there, so that nothing beneath them may go either.
    """
    leaving = {name.tag: name.digest for name in removal.names}
    staying = [digest for tag, digest in now.tags.items() if leaving.get(tag) != digest]
    return _reach(graph, (*staying, *refused)) | _reach(graph, _records(graph, staying))


def _places(image: Image, state: Repository | None) -> tuple[Repository, ...]:
    """Where something of an image is: its state, its home, its tags."""
    tags = (tag.reference.repository for tag in image.tags if tag.reference)
    return tuple(dict.fromkeys(filter(None, (state, image.repository, *tags))))


def _descendants(names: Iterable[str], edges: Iterable[Edge]) -> set[str]:
    children: dict[str, list[str]] = {}
    for edge in edges:
        children.setdefault(edge.parent, []).append(edge.child)
    found: set[str] = set()
    pending = list(names)
    while pending:
        name = pending.pop()
        if name not in found:
            found.add(name)
            pending += children.get(name, ())
    return found


def _roots(contents: Contents, rules: Rules) -> frozenset[str]:
    """The names that stay by themselves: public ones, their notes, and the last indexes of scopes that stay."""
    tags, repository = contents.tags, contents.repository
    declared = rules.declared.get(repository, frozenset())
    public = {tag for tag in tags if tag in declared or private_kind(tag) is None}
    notes = {note_tag(tag) for tag in public}
    is_target = repository in rules.targets
    dropped = {
        last_tag(scope, image) for scope in rules.scopes if is_target for image in rules.homes.get(repository, ())
    }
    last = {tag for tag in tags if private_kind(tag) is Kind.LAST} - dropped
    return frozenset(public | last | (notes & tags.keys()))


def _kept(contents: tuple[Contents, ...], graph: Graph, rules: Rules) -> frozenset[Digest]:
    """All digests that are needed, wherever they are: what stays by itself, what it reaches, and what that came from.

    Copies of an index have the digest of the original, so a staged copy is needed while its original is.
    """
    inputs: dict[str, list[Digest]] = {}
    for one in contents:
        for tag, digest in one.tags.items():
            if private_kind(tag) is Kind.INPUTS:
                inputs.setdefault(tag, []).append(digest)
    pending = [one.tags[tag] for one in contents for tag in _roots(one, rules)]
    kept: set[Digest] = set()
    while pending:
        digest = pending.pop()
        if digest in kept:
            continue
        kept.add(digest)
        links = graph.get(digest)
        if links:
            pending += (*links.children, *links.records)
            pending += (found for each in links.inputs for found in inputs.get(inputs_tag(each), ()))
    return frozenset(kept)


def _reach(graph: Graph, digests: Iterable[Digest]) -> frozenset[Digest]:
    """These digests and all that is beneath them."""
    reached: set[Digest] = set()
    pending = list(digests)
    while pending:
        digest = pending.pop()
        if digest not in reached:
            reached.add(digest)
            links = graph.get(digest)
            pending += links.children if links else ()
    return frozenset(reached)


def _records(graph: Graph, digests: Iterable[Digest]) -> Iterator[Digest]:
    return (record for digest in digests if digest in graph for record in graph[digest].records)


def _remove(
    contents: Contents, graph: Graph, kept: frozenset[Digest], roots: frozenset[str], owners: _Owners
) -> Removal:
    going: list[Name] = []
    staying: list[Digest] = []
    for tag, digest in sorted(contents.tags.items()):
        kind = private_kind(tag)
        if kind is None or tag in roots or (kind in _REACHED and digest in kept):
            staying.append(digest)
        else:
            image, scope = owners.find(contents.repository, tag, digest, kind)
            going.append(Name(tag=tag, digest=digest, kind=kind, image=image, scope=scope))
    lost = _reach(graph, (name.digest for name in going)) - _reach(graph, staying) - kept
    return Removal(
        repository=contents.repository, names=tuple(going), waves=tuple(_waves(lost, graph)), stay=len(staying)
    )


def _waves(digests: frozenset[Digest], graph: Graph) -> Iterator[tuple[Digest, ...]]:
    """What nothing else names first, then what only that has named, and so on."""
    left = set(digests)
    while left:
        named = {child for digest in left for child in graph.get(digest, Links()).children if child != digest}
        wave = left - named or left
        yield tuple(sorted(wave))
        left -= wave


class _Owners:
    """Tells of which image and scope a private name is; the scopes that are known are those that records say."""

    def __init__(self, graph: Graph, rules: Rules) -> None:
        self._graph = graph
        self._homes = rules.homes
        scopes = {DEFAULT_SCOPE, *rules.scopes, *(links.scope for links in graph.values() if links.scope)}
        self._last = {
            (repository, last_tag(scope, image)): (image, scope)
            for repository, images in rules.homes.items()
            for image in images
            for scope in scopes
        }

    def find(self, repository: Repository, tag: str, digest: Digest, kind: Kind) -> tuple[str, str]:
        """The image and the scope; empty where nothing tells them."""
        images = self._homes.get(repository, ())
        only = images[0] if len(images) == 1 else ""
        match kind:
            case Kind.LAST:
                return self._last.get((repository, tag), (only, ""))
            case Kind.RUN:
                match = _PRIVATE.fullmatch(tag)
                return match["image"] if match else only, ""
            case _:
                links = self._graph.get(digest)
                return only, links.scope if links else ""
