"""`Seer`: what each platform build can see of folders, registries and other images, as far as that can be proven.

Nothing is read here: a `Sight` says what is to be read. Where it is not known whether a base has `ONBUILD` triggers, a
build may see more than its Dockerfile says, and what that would change is not known either: whoever is offline finds
out less, never something else.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import Final

from orchestrator.api.backend import Node
from orchestrator.api.solve import is_remote
from orchestrator.diagnostics import Diagnostic
from orchestrator.dockerfile.edges import ImageUse
from orchestrator.dockerfile.ignore import NAME, ignore_candidates
from orchestrator.dockerfile.remote import parse_remote
from orchestrator.dockerfile.takes import WHOLE, Paths, Taken, taken
from orchestrator.model import Model
from orchestrator.oci.digest import Digest, parse_digest
from orchestrator.oci.platform import Platform
from orchestrator.oci.reference import Reference, familiar, parse_reference
from orchestrator.plan.bases import BaseFacts, BaseKind, variant_bases
from orchestrator.plan.edges import DockerfileReader, Uses
from orchestrator.plan.graph import Edge
from orchestrator.plan.image import Image, ImageContext, LocalContext, RemoteContext, Variant, build_id
from orchestrator.plan.inputs import FRONTEND, MAIN_CONTEXT, UNREAD
from orchestrator.plan.model import PlannedPlacement
from orchestrator.plan.place import Placements
from orchestrator.plan.standing import LAYOUT_SCHEME, TriggerFinder, registry_image

_COMMIT: Final = re.compile(r"#[0-9a-f]{40}(?::.*)?\Z", re.DOTALL)
_EVERYTHING: Final = Taken(is_everything=True, uses_build_platform=True)
_WINDOWS: Final = "windows"


class FolderSight(Model):
    """A folder that a build sees something of; `paths` is None where it is not known what.

    `key` is that of its named context, `path` is relative to the root file's folder, `ignores` are the ignore files of
    which the first that exists counts.
    """

    key: str
    path: str
    ignores: tuple[str, ...]
    paths: Paths | None


class Sight(Model):
    """What a platform build takes from outside of the project and its own declaration; None is what is not known.

    `remotes` are contexts that are fetched by what pins them, `layouts` the paths of those OCI layouts that nothing
    pins, `images` external images, all by the name that they have in the build. Where two platforms of an image see the
    same, it is the same object.
    """

    folders: tuple[FolderSight, ...] = ()
    remotes: Mapping[str, str | None] = {}
    layouts: Mapping[str, str] = {}
    images: Mapping[str, Digest | None] = {}
    uses_build_platform: bool | None = False
    warnings: tuple[Diagnostic, ...] = ()


class Parents(Model):
    """The images of this project that a platform build takes something from, by the name that they have in it.

    `builds` are platform builds of this plan by their ids, `images` what is published of those that are not in it.
    """

    builds: Mapping[str, str] = {}
    images: Mapping[str, Digest | None] = {}


class Outside(Model):
    """What is known of what builds stand on.

    `images` are those of the plan; `bases` facts of external images, `published` images of the project that are not in
    the plan, by digest; `host` is the platform of this machine, by which `reader` resolves Dockerfiles.
    """

    images: tuple[Image, ...]
    reader: DockerfileReader
    bases: Mapping[Reference, BaseFacts]
    published: Mapping[str, Reference]
    host: Platform


def build_platforms(
    placements: Placements, nodes: Mapping[str, tuple[Node, ...]], host: Platform
) -> dict[str, Platform]:
    """The platform on which each build runs, by its id: that of its node, or this machine's where none is known."""
    by_name = {(name, node.name): node for name, several in nodes.items() for node in several}
    owns = {key: {str(built): own for built, own in node.owns} for key, node in by_name.items() if node.owns}

    def find(build: str, placed: PlannedPlacement | None) -> Platform | None:
        node = by_name.get((placed.backend, placed.node)) if placed else None
        if placed is None or node is None:
            return None
        return owns.get((placed.backend, placed.node), {}).get(build.rpartition("@")[2]) or node.build_platform

    return {build: find(build, placed) or host for build, placed in placements.by_build.items()}


def node_platforms(nodes: Mapping[str, tuple[Node, ...]]) -> tuple[Platform, ...]:
    """All platforms on which a build may run: those of the machines, and what they build besides."""
    several = (node for backend in nodes.values() for node in backend)
    return tuple(dict.fromkeys(each for node in several for each in (node.own, *node.platforms) if each))


class Seer:
    """Looks at platform builds one by one; what some of them have in common is worked out once."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside
        self._images = {image.name: image for image in outside.images}
        self._triggers = TriggerFinder(outside.images, outside.reader, outside.bases, outside.published)
        self._taken: dict[tuple[object, ...], Taken] = {}
        self._sights: dict[tuple[object, ...], Sight] = {}

    def see(self, image: Image, variant: Variant, edges: tuple[Edge, ...], build_platform: Platform) -> Sight:
        """What this variant sees; `edges` are those that apply to it and hand something over."""
        uses = self._outside.reader.uses(variant)
        triggers, is_certain = self._triggers.find(variant, edges, uses)
        seen = self._take(variant, uses, build_platform, triggers)
        # all of these are kept, so that no other has their ids
        key = (id(variant.options), id(variant.contexts), id(uses), id(seen), is_certain, tuple(map(id, edges)))
        sight = self._sights.get(key)
        if sight is None:
            view = _View(variant, seen, is_certain=is_certain)
            images = dict(self._external(image, variant, edges, uses))
            sight = self._sights[key] = Sight(
                folders=tuple(view.folders()),
                remotes=dict(view.remotes()),
                layouts=dict(view.layouts()),
                images={**images, **view.images(self._outside.bases)},
                uses_build_platform=True if seen.uses_build_platform else (False if is_certain else None),
                warnings=seen.diagnostics,
            )
        return sight

    def find_parents(self, variant: Variant, edges: tuple[Edge, ...], build_platform: Platform) -> Parents:
        """What this variant takes of images of this project; `edges` as for `see`."""
        uses = self._outside.reader.uses(variant)
        builds: dict[str, str] = {}
        images: dict[str, Digest | None] = {}
        for edge in edges:
            for name, platform in self._parents(edge, variant, uses, build_platform):
                if edge.parent in self._images:
                    builds[name] = build_id(edge.parent, platform)
                else:
                    published = self._outside.published.get(edge.parent)
                    images[name] = published.digest if published else None
        return Parents(builds=builds, images=images)

    def _take(self, variant: Variant, uses: Uses | None, build_platform: Platform, triggers: frozenset[str]) -> Taken:
        dockerfile, text = self._outside.reader.parsed(variant)
        if dockerfile is None:
            return _EVERYTHING
        host = self._outside.host
        platforms = (variant.platform, build_platform)
        if not ("TARGET" in text or "BUILD" in text or variant.platform.os == _WINDOWS):
            platforms = (host, host)  # no variable tells one from another
        replacing = _replacing(variant, uses)
        key = (id(variant.options), platforms, triggers, replacing)
        found = self._taken.get(key)
        if found is None:
            found = self._taken[key] = taken(
                dockerfile,
                arguments={arg.name: arg.value for arg in variant.options.args},
                target=variant.options.target,
                platform=platforms[0],
                build_platform=platforms[1],
                triggers=triggers,
                contexts=replacing,
            )
        return found

    def _external(
        self, image: Image, variant: Variant, edges: tuple[Edge, ...], uses: Uses | None
    ) -> Iterator[tuple[str, Digest | None]]:
        """The external images that the Dockerfile names; what declared contexts are is for the view."""
        dockerfile, _ = self._outside.reader.parsed(variant)
        if uses is None or dockerfile is None or not dockerfile.stages:
            yield UNREAD, None
        declared = {context.key for context in variant.contexts}
        for named in uses.uses if uses else ():
            reference = parse_reference(named.name) if "@" in named.name and named.key not in declared else None
            if reference is not None:
                yield familiar(Reference(repository=reference.repository, tag=reference.tag)), reference.digest
        for use in variant_bases(image, variant, edges, uses, self._outside.host):
            if use.kind is not BaseKind.CONTEXT:
                facts = self._outside.bases.get(use.reference)
                yield use.key or FRONTEND, facts.digest if facts else None

    def _parents(
        self, edge: Edge, variant: Variant, uses: Uses | None, build_platform: Platform
    ) -> Iterator[tuple[str, Platform]]:
        """The names by which an edge hands over its parent, and for which platforms: most have one of each."""
        if build_platform == self._outside.host and edge.asked is None:
            yield edge.name, edge.of_parent(variant.platform)
            return
        wanted = {edge.of_parent(variant.platform)}
        if edge.platform is None and uses is not None:
            named = [use for use in uses.uses if use.name == edge.source and _is_meant(use, edge, variant)]
            wanted = {self._asked(use, edge, variant, build_platform) for use in named} or wanted
        for platform in sorted(wanted):
            is_plain = edge.platform is not None or platform == variant.platform
            yield edge.name if is_plain else f"{edge.name}@{platform}", platform

    def _asked(self, use: ImageUse, edge: Edge, variant: Variant, build_platform: Platform) -> Platform:
        """The platform of a parent that one `FROM` takes: `$BUILDPLATFORM` is the node's, not that of this machine."""
        is_builders = use.uses_build_platform and use.platform == self._outside.host
        parent = self._images.get(edge.parent)
        if is_builders and parent is not None and build_platform in parent.platforms:
            return build_platform
        return edge.of_parent(variant.platform)


class _View:
    """What one variant sees of its contexts. Where that is not certain, only what is seen anyway is known."""

    def __init__(self, variant: Variant, seen: Taken, *, is_certain: bool) -> None:
        self._variant = variant
        self._seen = seen
        self._is_certain = is_certain

    def _paths(self, key: str) -> Paths | None:
        paths = self._seen.paths(key)
        return paths if self._is_certain or paths is WHOLE else None

    def folders(self) -> Iterator[FolderSight]:
        """Folders of this machine of which anything is seen."""
        options = self._variant.options
        if not is_remote(options.context) and (paths := self._paths(MAIN_CONTEXT)) != ():
            beside, within = ignore_candidates(options.dockerfile, options.context)
            ignores = (beside, within) if options.dockerfile_inline is None else (within,)
            yield FolderSight(key=MAIN_CONTEXT, path=options.context, ignores=ignores, paths=paths)
        for context in self._variant.contexts:
            if isinstance(context.source, LocalContext) and (paths := self._paths(context.key)) != ():
                path = context.source.path
                yield FolderSight(key=context.key, path=path, ignores=(posixpath.join(path, NAME),), paths=paths)

    def remotes(self) -> Iterator[tuple[str, str | None]]:
        """Contexts that are fetched."""
        sources = [(MAIN_CONTEXT, self._variant.options.context)] if is_remote(self._variant.options.context) else []
        sources += [(key, value) for key, value in self._declared() if is_remote(value)]
        for key, value in sources:
            paths = self._paths(key)
            if paths != ():
                yield key, None if paths is None else _pinned(value)

    def layouts(self) -> Iterator[tuple[str, str]]:
        """OCI layouts without a digest."""
        for key, value in self._declared():
            path, at, _ = value.removeprefix(LAYOUT_SCHEME).partition("@")
            if value.startswith(LAYOUT_SCHEME) and not at and self._paths(key):
                yield key, path

    def images(self, bases: Mapping[Reference, BaseFacts]) -> dict[str, Digest | None]:
        """Contexts that are images of registries, or of layouts by digest."""
        found: dict[str, Digest | None] = {}
        for context in self._variant.contexts:
            paths = self._paths(context.key)
            reference = registry_image(context)
            if paths == () or reference is None:
                continue
            facts = bases.get(reference)
            digest = reference.digest or (facts.digest if facts else None)
            found[context.key] = None if paths is None else digest
        for key, value in self._declared():
            if value.startswith(LAYOUT_SCHEME) and (paths := self._paths(key)) != ():
                found[key] = None if paths is None else _digest_of(value)
        return found

    def _declared(self) -> Iterator[tuple[str, str]]:
        for context in self._variant.contexts:
            if isinstance(context.source, RemoteContext):
                yield context.key, context.source.value


def _digest_of(layout: str) -> Digest | None:
    try:
        return parse_digest(layout.partition("@")[2])
    except ValueError:
        return None


def _pinned(value: str) -> str | None:
    """A URL without credentials, where a full commit says what it brings."""
    remote = parse_remote(value, checksum="", is_known_git=False)
    return remote.url if remote and remote.is_git and _COMMIT.search(value) else None


def _is_meant(use: ImageUse, edge: Edge, variant: Variant) -> bool:
    """Whether it is this edge that a use of its image became, of several for several platforms."""
    if edge.asked is not None:
        return use.platform == edge.asked
    return use.uses_build_platform or use.platform in {None, variant.platform}


def _replacing(variant: Variant, uses: Uses | None) -> frozenset[str]:
    """The keys of declared contexts that would replace a stage of their name.

    An image that is pulled by the name of a stage is pinned by a source policy instead, and so are what edges and locks
    hand over.
    """
    if not variant.contexts:
        return frozenset()
    pinned = {use.key for use in uses.uses if use.stage_line} if uses else set()
    return frozenset(
        context.key
        for context in variant.contexts
        if context.key not in pinned or not (isinstance(context.source, ImageContext) or registry_image(context))
    )
