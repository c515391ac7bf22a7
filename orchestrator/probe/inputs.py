"""Reads what platform builds are made from: ignore files, folders and layouts, each once, and hashes it."""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from threading import Lock
from typing import Final

from orchestrator.api.solve import is_remote
from orchestrator.diagnostics import Diagnostic, Severity, Span
from orchestrator.dockerfile.ignore import IgnoreError, IgnoreRules, parse_ignore
from orchestrator.dockerfile.takes import WHOLE, Paths
from orchestrator.dockerfile.wildcard import WildcardError
from orchestrator.errors import UsageError
from orchestrator.model import Model
from orchestrator.oci.digest import Digest, digest_bytes
from orchestrator.oci.platform import Platform
from orchestrator.plan.context import Listing
from orchestrator.plan.graph import Edge
from orchestrator.plan.image import Image, Variant, build_id
from orchestrator.plan.inputs import InputManifest, begin_manifest, complete_manifest
from orchestrator.plan.sights import FolderSight, Outside, Parents, Seer, Sight
from orchestrator.plan.standing import edges_by_child
from orchestrator.probe.regular import read_regular
from orchestrator.state.context import Contexts
from orchestrator.state.statcache import StatCache, open_stat_cache
from orchestrator.state.workspace import NAME

MAX_IGNORE_FILE: Final = 1024 * 1024
MAX_INDEX: Final = 4 * 1024 * 1024

_MOST_BYTES: Final = 4 * MAX_IGNORE_FILE + 1
_INDEX: Final = "index.json"
_NO_RULES: Final = IgnoreRules()


class Inputs(Model):
    """What platform builds are made from, by their ids, and the listings in it, by digest.

    `texts` are those of files that findings are in.
    """

    manifests: Mapping[str, InputManifest]
    listings: Mapping[Digest, Listing]
    found: tuple[Diagnostic, ...]
    texts: Mapping[str, str]


def read_inputs(
    outside: Outside,
    edges: Iterable[Edge],
    *,
    root: Path,
    dockerfiles: Mapping[str, Digest],
    built_on: Mapping[str, Platform],
) -> Inputs:
    """Read what the images of a plan, which are in order, are made from.

    Args:
        outside: the images, and what is known of what they stand on.
        edges: those of the project.
        root: the folder that paths are relative to.
        dockerfiles: the digests of the Dockerfiles that were read, by path.
        built_on: the platform on which each build runs, as `build_platforms` gives it.

    Raises:
        PlanBlockedError: a file does not stop changing.
    """
    ground = Ground(outside, edges, root=root, built_on=built_on)
    with open_stat_cache(root) as cache:
        return ground.read(outside.images, dockerfiles, cache)


class Ground:
    """What all looks at the images of a plan have in common, worked out once; the arguments are as for `read_inputs`.

    It serves threads: what images see is worked out one after the other, and files are read side by side.
    """

    def __init__(
        self, outside: Outside, edges: Iterable[Edge], *, root: Path, built_on: Mapping[str, Platform]
    ) -> None:
        self.root = root
        self._host = outside.host
        self._by_child = edges_by_child(edges)
        self._built_on = built_on
        self._seer = Seer(outside)
        self._alone = Lock()

    def read(self, images: Iterable[Image], dockerfiles: Mapping[str, Digest], cache: StatCache) -> Inputs:
        """Read what some of the images are made from, as it is now; of the others, and what stands on them, nothing.

        Raises:
            PlanBlockedError: a file does not stop changing.
        """
        reader = _InputReader(self, dockerfiles, cache)
        for image in images:
            for variant in image.variants:
                reader.read(image, variant)
        return Inputs(
            manifests=reader.manifests,
            listings=reader.listings,
            found=tuple(dict.fromkeys(reader.found)),
            texts=reader.texts,
        )

    def build_platform(self, image: Image, variant: Variant) -> Platform:
        """The platform on which a variant is built."""
        return self._built_on.get(build_id(image.name, variant.platform), self._host)

    def see(self, image: Image, variant: Variant) -> tuple[Sight, Parents]:
        """What a variant sees, and what it takes of images of this project."""
        edges = tuple(edge for edge in self._by_child.get(image.name, ()) if variant.platform in edge.platforms)
        platform = self.build_platform(image, variant)
        with self._alone:  # it tells what it knows apart by identity
            return self._seer.see(image, variant, edges, platform), self._seer.find_parents(variant, edges, platform)


class _InputReader:
    def __init__(self, ground: Ground, dockerfiles: Mapping[str, Digest], cache: StatCache) -> None:
        self.manifests: dict[str, InputManifest] = {}
        self.listings: dict[Digest, Listing] = {}
        self.found: list[Diagnostic] = []
        self.texts: dict[str, str] = {}
        self._ground = ground
        self._root = str(ground.root)
        self._dockerfiles = dockerfiles
        self._contexts = Contexts(cache)
        self._rules: dict[str, IgnoreRules | None] = {}
        self._parsed: dict[str, IgnoreRules] = {}
        self._folders: dict[tuple[str, tuple[str, ...], Paths], Digest | None] = {}
        self._parts: dict[tuple[int, Paths], Digest] = {}
        self._begun: dict[tuple[int, int], InputManifest] = {}
        self._inputs: dict[str, Digest | None] = {}

    def read(self, image: Image, variant: Variant) -> None:
        """Make the manifest of one build; those of its parents are made."""
        sight, parents = self._ground.see(image, variant)
        key = id(sight), id(variant.options)
        if key not in self._begun:
            self.found += sight.warnings
            self._begun[key] = self._begin(sight, image, variant)
        manifest = complete_manifest(
            self._begun[key],
            variant.platform,
            parents={name: self._inputs.get(parent) for name, parent in parents.builds.items()},
            images=parents.images,
            build_platform=_needed(sight.uses_build_platform, self._ground.build_platform(image, variant)),
        )
        build = build_id(image.name, variant.platform)
        self.manifests[build] = manifest
        self._inputs[build] = None if manifest.unknown else manifest.digest

    def _begin(self, sight: Sight, image: Image, variant: Variant) -> InputManifest:
        """What all platforms have in common that see the same."""
        folders = {folder.key: self._read_folder(folder, image) for folder in sight.folders}
        layouts = {key: self._read_layout(path) for key, path in sight.layouts.items()}
        return begin_manifest(
            variant.options,
            dockerfile=self._dockerfile(variant),
            contexts={**sight.remotes, **folders},
            images={**sight.images, **layouts},
        )

    def _dockerfile(self, variant: Variant) -> str | None:
        options = variant.options
        if options.dockerfile_inline is not None:
            return digest_bytes(options.dockerfile_inline.encode("utf-8", "surrogateescape"))
        if is_remote(options.context):
            return options.dockerfile
        return self._dockerfiles.get(options.dockerfile)

    def _read_folder(self, folder: FolderSight, image: Image) -> Digest | None:
        if folder.paths is None:
            return None
        key = (folder.path, folder.ignores, folder.paths)
        if key not in self._folders:
            self._folders[key] = self._hash(folder, folder.paths, image)
        return self._folders[key]

    def _hash(self, folder: FolderSight, paths: Paths, image: Image) -> Digest | None:
        """The digest of what is seen of a folder; None where something is wrong with it, which was told."""
        rules = self._choose_rules(folder.ignores)
        if rules is None:
            return None
        try:
            listing = self._contexts.read(Path(self._root, folder.path), rules)
        except UsageError as error:
            self.found.append(
                Diagnostic(code="context-unreadable", message=error.message, subject=image.name, hints=error.hints)
            )
            return None
        if paths is WHOLE and self._brings_workspace(folder.path, rules):
            file = next((path for path in folder.ignores if path in self._rules), folder.ignores[-1])
            self.found.append(_bring(folder.path, file, image))
        key = id(listing), paths  # the same rules may stand in several files
        if key not in self._parts:
            part = listing if paths is WHOLE else _cut(listing, paths)
            self._parts[key] = self.listings.setdefault(part.digest, part).digest
        return self._parts[key]

    def _brings_workspace(self, folder: str, rules: IgnoreRules) -> bool:
        """Whether the engine is sent our own folder, of which no digest tells."""
        workspace = os.path.join(os.path.realpath(self._root), NAME)  # noqa: PTH118 (paths are text here)
        way = os.path.relpath(workspace, os.path.realpath(Path(self._root, folder)))
        if way.startswith(os.pardir + os.sep):
            return False
        scope = rules.top
        for name in os.fsencode(way).split(os.fsencode(os.sep)):
            scope = scope.enter(name)
        return not scope.is_excluded

    def _choose_rules(self, candidates: tuple[str, ...]) -> IgnoreRules | None:
        """The rules of the first file that exists, none where there is none; None where that file is wrong."""
        for path in candidates:
            if path not in self._rules:
                content = self._find_ignore(path)
                if content is None:
                    continue
                self._rules[path] = self._parse(path, content)
            return self._rules[path]
        return _NO_RULES

    def _find_ignore(self, path: str) -> bytes | None:
        """What is in an ignore file, nothing where that is uncertain; None where the engine finds none."""
        full = path if path.startswith("/") else f"{self._root}/{path}"
        try:
            mode = os.lstat(full).st_mode
        except (OSError, ValueError):
            return None
        if not stat.S_ISLNK(mode):
            return read_regular(full, _MOST_BYTES)
        target = _follow(full)
        content = read_regular(target, _MOST_BYTES) if target else None
        if content is None:
            self._warn(path)
        return content or b""

    def _parse(self, path: str, content: bytes) -> IgnoreRules | None:
        text = content.decode("utf-8", "surrogateescape")
        try:
            if text not in self._parsed:
                self._parsed[text] = _parse(text)
        except IgnoreError as error:
            self.texts[path] = content.decode("utf-8", "replace")
            place = Span(file=path, line=error.line)
            self.found.append(
                Diagnostic(code="dockerignore", message=error.message, place=place, hints=(error.hint,)),
            )
            return None
        return self._parsed[text]

    def _warn(self, path: str) -> None:
        folder = posixpath.dirname(path) or "."
        self.found.append(
            Diagnostic(
                code="dockerignore-link",
                message=f"`{path}` is a link to no file in `{folder}`, and the engine does not follow it elsewhere",
                severity=Severity.WARNING,
                hints=("put a copy of the file there: nothing is left out of this context",),
            )
        )

    def _read_layout(self, path: str) -> Digest | None:
        """What tells one state of an OCI layout from another: its index. Behind a colon is a tag."""
        full = path if path.startswith("/") else f"{self._root}/{path}"
        for folder in (full, full.rpartition(":")[0]):
            content = read_regular(f"{folder}/{_INDEX}", MAX_INDEX + 1) if folder else None
            if content is not None:
                return digest_bytes(content) if len(content) <= MAX_INDEX else None
        return None


def _bring(folder: str, ignore_file: str, image: Image) -> Diagnostic:
    return Diagnostic(
        code="own-folder",
        message=f"all of `{folder}` may be copied, and with it `{NAME}`, which every run changes",
        severity=Severity.WARNING,
        subject=image.name,
        hints=(f"add the line `**/{NAME}` to `{posixpath.normpath(ignore_file)}`",),
    )


def _needed(uses: bool | None, build_platform: Platform) -> str | None:  # noqa: FBT001 (three values)
    if uses is None:
        return None
    return str(build_platform) if uses else ""


def _parse(text: str) -> IgnoreRules:
    if len(text) > MAX_IGNORE_FILE:
        message = f"the file has more than {MAX_IGNORE_FILE:,} characters"
        raise IgnoreError(1, message, "use wildcards: `**/*.log`")
    return parse_ignore(text)


def _cut(listing: Listing, paths: tuple[str, ...]) -> Listing:
    try:
        return listing.only(paths)
    except WildcardError:  # the build will fail on it, or the engine reads it otherwise
        return listing


def _follow(path: str) -> str | None:
    """Where a link leads in the folder that it is in, which the engine takes for the root; None where it leads on."""
    folder = os.path.realpath(os.path.dirname(path))  # noqa: PTH120 (paths are text here)
    target = os.path.normpath(f"{folder}/{os.readlink(path)}")  # noqa: PTH115 (as above)
    return target if target.startswith(folder + os.sep) and os.path.realpath(target) == target else None
