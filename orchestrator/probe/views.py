"""`Viewer`: what of the repository each image sees: its Dockerfiles, ignore files, and folders with their rules."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from orchestrator.api.solve import is_remote
from orchestrator.dockerfile.ignore import IgnoreError, IgnoreRules, ignore_candidates, parse_ignore
from orchestrator.dockerfile.takes import WHOLE
from orchestrator.oci.platform import Platform, parse_platform
from orchestrator.oci.reference import Reference
from orchestrator.plan.bases import BaseFacts
from orchestrator.plan.changes import ChangeFinder, FolderView, Location, View
from orchestrator.plan.edges import DockerfileReader
from orchestrator.plan.graph import Edge
from orchestrator.plan.image import Image, LocalContext, Variant
from orchestrator.plan.options import local_paths
from orchestrator.plan.sights import FolderSight, Outside, Seer
from orchestrator.plan.standing import edges_by_child
from orchestrator.probe.changes import locate
from orchestrator.probe.inputs import MAX_IGNORE_FILE
from orchestrator.probe.regular import read_regular

_NO_RULES: Final = IgnoreRules()
_BUILDERS: Final = (parse_platform("linux/amd64"), parse_platform("linux/arm64"))
"""Where builds may run, besides this machine's platform and those of the image itself: nodes are not asked yet."""


class Viewer:
    """Works out what images see; `root` is their folder, `top` that of the repository, both without links."""

    def __init__(
        self, images: tuple[Image, ...], edges: Iterable[Edge], reader: DockerfileReader, *, top: str, root: str
    ) -> None:
        self._images = images
        self._edges = edges_by_child(edges)
        self._reader = reader
        self._top = top
        self._root = root
        self._locations: dict[str, Location] = {}
        self._rules: dict[tuple[str, ...], IgnoreRules] = {}

    def may_see(self, image: Image, finder: ChangeFinder) -> bool:
        """Whether something changed at all where the image looks; quicker than to see what it sees."""
        return any(finder.touches(self._locate(path)) for variant in image.variants for path in _paths(variant))

    def view(
        self, images: Iterable[Image], bases: Mapping[Reference, BaseFacts], host: Platform
    ) -> dict[str, tuple[View, ...]]:
        """What these images see, as far as it is known of their bases whether they have `ONBUILD` triggers."""
        seer = Seer(Outside(images=self._images, reader=self._reader, bases=bases, published={}, host=host))
        return {image.name: tuple(dict.fromkeys(self._views(image, seer, host))) for image in images}

    def _views(self, image: Image, seer: Seer, host: Platform) -> Iterator[View]:
        edges = self._edges.get(image.name, ())
        for variant in image.variants:
            given = tuple(edge for edge in edges if variant.platform in edge.platforms)
            _, text = self._reader.parsed(variant)
            builders = dict.fromkeys((host, *_BUILDERS, *image.platforms)) if "BUILD" in text else (host,)
            for builder in builders:
                sight = seer.see(image, variant, given, builder)
                yield self._view(variant, sight.folders, tuple(sight.layouts.values()))

    def _view(self, variant: Variant, folders: tuple[FolderSight, ...], layouts: tuple[str, ...]) -> View:
        dockerfiles = [variant.options.dockerfile] if _has_dockerfile(variant) else []
        files = [*dockerfiles, *(path for folder in folders for path in folder.ignores)]
        seen = [(folder.path, self._read_rules(folder.ignores), folder.paths) for folder in folders]
        seen += [(path, _NO_RULES, WHOLE) for layout in layouts for path in _layout_paths(layout)]
        places = {path: self._locate(path) for path in (*files, *(path for path, _, _ in seen))}
        return View(
            files=tuple(places[path] for path in files),
            folders=tuple(FolderView(location=places[path], rules=rules, paths=paths) for path, rules, paths in seen),
            outside=tuple(path for path in (*dockerfiles, *(path for path, _, _ in seen)) if places[path].path is None),
        )

    def _locate(self, path: str) -> Location:
        if path not in self._locations:
            self._locations[path] = locate(self._top, self._root, path)
        return self._locations[path]

    def _read_rules(self, candidates: tuple[str, ...]) -> IgnoreRules:
        """The rules of the first file that exists; where they are not certain, nothing is left out."""
        if candidates not in self._rules:
            self._rules[candidates] = self._parse_first(candidates)
        return self._rules[candidates]

    def _parse_first(self, candidates: tuple[str, ...]) -> IgnoreRules:
        for path in candidates:
            full = os.path.join(self._root, path)  # noqa: PTH118 (paths are text here)
            if not os.path.lexists(full):
                continue
            content = None if os.path.islink(full) else read_regular(full, MAX_IGNORE_FILE + 1)  # noqa: PTH114 (as above)
            if content is None or len(content) > MAX_IGNORE_FILE:
                return _NO_RULES
            try:
                return parse_ignore(content.decode("utf-8", "surrogateescape"))
            except IgnoreError:
                return _NO_RULES
        return _NO_RULES


def _has_dockerfile(variant: Variant) -> bool:
    return variant.options.dockerfile_inline is None and not is_remote(variant.options.context)


def _paths(variant: Variant) -> Iterator[str]:
    """All paths at which a variant looks."""
    options = variant.options
    if not is_remote(options.context):
        yield options.context
        yield from ignore_candidates(options.dockerfile, options.context)
    if _has_dockerfile(variant):
        yield options.dockerfile
    yield from (context.source.path for context in variant.contexts if isinstance(context.source, LocalContext))
    for keys, path in local_paths(options, variant.contexts):
        if keys[0] == "contexts":
            yield from _layout_paths(path)


def _layout_paths(layout: str) -> tuple[str, ...]:
    """The folders that an OCI layout may mean: behind a colon may stand a tag."""
    folder, colon, _ = layout.rpartition(":")
    return (layout, folder) if colon and folder else (layout,)
