"""`Since`: which images are affected by what changed since an earlier commit, and why.

Two declarations are compared after everything is rendered, with the same version facts: what is written otherwise and
means the same changes nothing. What only says how to build does not count: caches, time limits, `needs`, backends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from orchestrator.api.solve import BuildArg, BuildOptions
from orchestrator.config.lock import ChangeKind, Lock, LockChange, compare_locks
from orchestrator.model import Model
from orchestrator.oci.digest import short
from orchestrator.oci.reference import familiar
from orchestrator.plan.bases import Base
from orchestrator.plan.changes import Seen, shown_path
from orchestrator.plan.graph import Edge, Order
from orchestrator.plan.image import Image, Variant
from orchestrator.plan.model import Reason
from orchestrator.plan.reasons import list_names
from orchestrator.plan.standing import edges_by_child

SHORT: Final = 12

Reasons = Mapping[str, tuple[Reason, ...]]
"""Why images are affected, by their names."""


class AffectedImage(Model):
    """An image that is affected."""

    name: str
    reasons: tuple[Reason, ...]


class Since(Model):
    """What is affected since `ref`, whose last commit in common with HEAD is `commit`; of `total` images.

    `affected` stand in the order in which they are built.
    """

    ref: str
    commit: str
    total: int
    affected: tuple[AffectedImage, ...]

    @property
    def names(self) -> frozenset[str]:
        """The names of what is affected."""
        return frozenset(image.name for image in self.affected)


class Side(Model):
    """What one of the two commits declares."""

    images: tuple[Image, ...]
    edges: tuple[Edge, ...]


def compare_declared(old: Side, new: Side) -> dict[str, tuple[Reason, ...]]:
    """The images that are declared otherwise; those that are gone are none."""
    before = {image.name: image for image in old.images}
    old_edges, new_edges = edges_by_child(old.edges), edges_by_child(new.edges)
    found: dict[str, tuple[Reason, ...]] = {}
    for image in new.images:
        earlier = before.get(image.name)
        if earlier is None:
            found[image.name] = (Reason(code="new", message="it was not declared then"),)
            continue
        edges = old_edges.get(image.name, ()), new_edges.get(image.name, ())
        found[image.name] = tuple(_compare_images(earlier, image, *edges))
    return {name: reasons for name, reasons in found.items() if reasons}


def compare_bases(
    old: Lock | None, new: Lock | None, bases: Callable[[], Iterable[Base]]
) -> dict[str, tuple[Reason, ...]]:
    """The images that take external images which `builds.lock` pins otherwise; `bases` are those of now."""
    changes = {
        change.reference: change
        for change in compare_locks(old or Lock(), new or Lock())
        if change.kind is not ChangeKind.CORRECTED
    }
    found: dict[str, list[Reason]] = {}
    for base in bases() if changes else ():
        if base.reference in changes:
            for name in dict.fromkeys(use.image for use in base.uses):
                found.setdefault(name, []).append(_moved(changes[base.reference]))
    return {name: tuple(reasons) for name, reasons in found.items()}


def explain_files(seen: Seen) -> Iterator[Reason]:
    """Why what a build sees of changes affects it."""
    if seen.changed:
        items = tuple(map(shown_path, seen.changed))
        yield Reason(code="files_changed", message=f"files changed: {list_names(items)}", items=items)
    if seen.unknown:
        items = tuple(map(shown_path, seen.unknown))
        yield Reason(code="incomparable", message=f"git knows nothing of {list_names(items)}", items=items)


def join(*several: Reasons) -> dict[str, tuple[Reason, ...]]:
    """All reasons of each image, in this order."""
    found: dict[str, tuple[Reason, ...]] = {}
    for reasons in several:
        for name, more in reasons.items():
            found[name] = (*found.get(name, ()), *more)
    return found


def spread(direct: Reasons, edges: Iterable[Edge], order: Order) -> tuple[AffectedImage, ...]:
    """What is affected in itself, and everything that takes something from it, in the order of builds.

    An image that only comes after another one (`needs`) has the same result whatever that gives.
    """
    parents: dict[str, dict[str, None]] = {}
    for edge in edges:
        if edge.kind.carries_data:
            parents.setdefault(edge.child, {})[edge.parent] = None
    found: dict[str, AffectedImage] = {}
    for name in order.in_order():
        reasons = direct.get(name, ())
        upstream = tuple(parent for parent in parents.get(name, ()) if parent in found)
        if upstream:
            verb = "is" if len(upstream) == 1 else "are"
            message = f"{list_names(upstream)} {verb} affected"
            reasons = (*reasons, Reason(code="upstream_changed", message=message, items=upstream))
        if reasons:
            found[name] = AffectedImage(name=name, reasons=reasons)
    return tuple(found.values())


def _compare_images(
    old: Image, new: Image, old_edges: tuple[Edge, ...], new_edges: tuple[Edge, ...]
) -> Iterator[Reason]:
    before = {variant.platform: variant for variant in old.variants}
    pairs = [(before[variant.platform], variant) for variant in new.variants if variant.platform in before]
    arguments = _united(_differing(_values(one.options.args), _values(other.options.args)) for one, other in pairs)
    if arguments:
        yield Reason(code="args_changed", message=f"args changed: {list_names(arguments)}", items=arguments)
    if any(one.options.dockerfile_inline != other.options.dockerfile_inline for one, other in pairs):
        yield Reason(code="dockerfile_changed", message="its Dockerfile changed")
    added = tuple(str(platform) for platform in new.platforms if platform not in before)
    if added:
        yield Reason(code="platform_added", message=f"{list_names(added)} is new", items=added)
    config = (*_united(map(_compare_variants, pairs)), *_compare_rest(old, new), *_parents(old_edges, new_edges, pairs))
    if config:
        yield Reason(code="config_changed", message=f"changed: {list_names(config)}", items=config)


def _compare_variants(pair: tuple[Variant, Variant]) -> Iterator[str]:
    """What is declared otherwise for one platform, as it is called in `builds.toml`."""
    old, new = pair
    if old.options is not new.options and old.options != new.options:
        labels = _differing(_values(old.options.labels), _values(new.options.labels))
        yield from (f"label {name}" for name in labels)
        yield from _differing(_options(old.options), _options(new.options))
    if old.contexts != new.contexts:
        before = {context.key: context.source for context in old.contexts}
        now = {context.key: context.source for context in new.contexts}
        yield from (f"context {name}" for name in _differing(before, now))


def _compare_rest(old: Image, new: Image) -> Iterator[str]:
    """What is declared otherwise of an image as a whole."""
    if set(old.platforms) - set(new.platforms):
        yield "platforms"
    yield from _differing(_rest(old), _rest(new))


def _values(values: tuple[BuildArg, ...]) -> dict[str, object]:
    return {value.name: (value.value, value.volatile) for value in values}


def _options(options: BuildOptions) -> dict[str, object]:
    """What decides a result, in no order where order does not matter."""
    return {
        "context": options.context,
        "dockerfile": options.dockerfile,
        "entitlements": frozenset(options.entitlements),
        "extra-hosts": frozenset(options.extra_hosts),
        "network": options.network,
        "provenance": options.provenance,
        "sbom": options.sbom,
        "secrets": frozenset((secret.id, secret.env, secret.src) for secret in options.secrets),
        "shm-size": options.shm_size,
        "ssh": frozenset((agent.id, agent.paths) for agent in options.ssh),
        "target": options.target,
        "ulimits": frozenset(options.ulimits),
    }


def _rest(image: Image) -> dict[str, object]:
    """What is tested and what becomes public."""
    return {
        "annotations": dict(image.annotations),
        "publish": image.publish,
        "repository": image.repository,
        "tags": frozenset((str(tag.reference or tag.name), tag.moving) for tag in image.tags),
        "test": (image.test.run, frozenset(image.test.platforms)) if image.test else None,
        "version": image.version,
    }


def _parents(old: tuple[Edge, ...], new: tuple[Edge, ...], pairs: list[tuple[Variant, Variant]]) -> tuple[str, ...]:
    """The parents that are handed over otherwise, of platforms that both have."""
    common = {variant.platform for _, variant in pairs}
    before, now = ({
        (edge.parent, edge.name, edge.platform, edge.asked, platform)
        for edge in edges
        for platform in edge.platforms
        if platform in common
    } for edges in (old, new))  # fmt: skip
    return tuple(f"what it takes from {name}" for name in sorted({each[0] for each in before ^ now}))


def _differing(old: Mapping[str, object], new: Mapping[str, object]) -> tuple[str, ...]:
    """The names that only one of both has, or that have another value."""
    if old == new:
        return ()
    missing = object()
    return tuple(name for name in sorted({*old, *new}) if old.get(name, missing) != new.get(name, missing))


def _united(several: Iterable[Iterable[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for names in several for name in names))


def _moved(change: LockChange) -> Reason:
    name = familiar(change.reference)
    if change.old is None:
        return Reason(
            code="base_moved", message=f"`{name}` is locked now", items=(change.new.digest if change.new else "",)
        )
    if change.new is None:
        return Reason(code="base_moved", message=f"`{name}` is not locked any more", items=(change.old.digest,))
    message = f"`{name}` moved from {short(change.old.digest)} to {short(change.new.digest)}"
    return Reason(code="base_moved", message=message, items=(change.old.digest, change.new.digest))
