"""Verification: what a reference leads to, read from its store and held against what was declared."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from enum import Enum
from fnmatch import fnmatchcase
from typing import BinaryIO, Final

from msgspec.structs import replace

from orchestrator.diagnostics import Severity
from orchestrator.engine.ports import ImageStore
from orchestrator.errors import RegistryError
from orchestrator.model import Model
from orchestrator.oci.digest import Digest
from orchestrator.oci.elf import ElfHeader, Fit, describe, fit, judges
from orchestrator.oci.entrypoint import Start, follow_entrypoint
from orchestrator.oci.filesystem import FileSystem, Folder, Layer, LowerLayerNeededError, merge, read_layer
from orchestrator.oci.manifest import MANIFEST_TYPES, Descriptor, Manifest, parse_manifest
from orchestrator.oci.platform import Platform
from orchestrator.oci.unpack import Budget, LayerError
from orchestrator.oci.validate import (
    CONFIG_TYPES,
    MAX_CONFIG_BYTES,
    Child,
    Finding,
    ImageContents,
    PlatformImage,
    check_structure,
    diff_ids,
    list_entries,
)

_CHUNK: Final = 1024 * 1024


class Depth(Enum):
    """How far a verification looks."""

    STRUCTURE = "structure"
    """Index, manifests and configs: platforms, sizes, digests. No layer is read."""
    ENTRYPOINT = "entrypoint"
    """And the program that starts, with the interpreters of scripts; reads layers from the top until it is found."""
    FILES = "files"
    """And every file of the final file system that has an ELF header; reads every layer once."""


class PlatformReport(Model):
    """What was seen of one platform: how many files, and how many of them were programs or libraries.

    `size` is what its manifest says of config and layers, in bytes; None where that is not sound.
    """

    platform: Platform
    digest: Digest
    files: int
    programs: int
    findings: tuple[Finding, ...]
    size: int | None = None

    @property
    def ok(self) -> bool:
        """Whether nothing but warnings was found."""
        return _is_ok(self.findings)


class VerifyReport(Model):
    """What was seen of a reference; `findings` are those of the index itself, each platform has its own."""

    store: str
    locator: str
    digest: Digest | None
    depth: Depth
    platforms: tuple[PlatformReport, ...]
    findings: tuple[Finding, ...]

    @property
    def all_findings(self) -> tuple[Finding, ...]:
        """Those of the index, then those of the platforms in order."""
        return self.findings + tuple(finding for platform in self.platforms for finding in platform.findings)

    @property
    def index_ok(self) -> bool:
        """Whether the index itself, whatever its platforms hold, has nothing but warnings."""
        return _is_ok(self.findings)

    @property
    def ok(self) -> bool:
        """Whether nothing but warnings was found."""
        return _is_ok(self.all_findings)


def verify_image(
    store: ImageStore,
    locator: str,
    expected: tuple[Platform, ...] | None = None,
    depth: Depth = Depth.FILES,
    *,
    ignore: tuple[str, ...] = (),
) -> VerifyReport:
    """Verify what a tag or a digest leads to.

    Args:
        store: where it is.
        locator: a tag or a digest.
        expected: exactly these platforms; None: those that the index names, each with itself inside.
        depth: how far to look.
        ignore: patterns of paths in images that are not judged; `*` matches slashes, too.

    Raises:
        RegistryError: the store refuses, fails or cannot be reached, or a blob is not what its digest says.
    """
    root = store.fetch_manifest(locator)
    digest = root.digest if root else None
    report = VerifyReport(store=store.name, locator=locator, digest=digest, depth=depth, platforms=(), findings=())
    if root is None:
        return replace(report, findings=(_missing(store, locator),))
    try:
        entries = list_entries(root)
    except ValueError as error:
        return replace(report, findings=_printable((Finding(where="index", message=str(error)),)))
    children = tuple(_fetch_child(store, root, entry) for entry in entries)
    structure = check_structure(root, children, expected)
    layers = _Layers(store, structure.images)
    inspections = [_Inspection(image, layers, ignore) for image in structure.images]
    for inspection in inspections:
        inspection.findings += [finding for finding in structure.findings if inspection.owns(finding)]
        inspection.look(depth)
    common = _printable(f for f in structure.findings if not any(one.owns(f) for one in inspections))
    return replace(report, findings=common, platforms=tuple(inspection.report() for inspection in inspections))


def _size(image: PlatformImage) -> int | None:
    if image.contents is None:
        return None
    manifest = image.contents.manifest
    return manifest.config.size + sum(layer.size for layer in manifest.layers)


def _is_ok(findings: Iterable[Finding]) -> bool:
    return all(finding.severity is Severity.WARNING for finding in findings)


def _missing(store: ImageStore, locator: str) -> Finding:
    hint = f"check the spelling, and that it was pushed to `{store.name}`; `orchestrate build --push` puts tags last"
    return Finding(where=locator, message=f"there is no such image in `{store.name}`", hints=(hint,))


def _fetch_child(store: ImageStore, root: Manifest, entry: Descriptor) -> Child:
    if entry.media_type not in MANIFEST_TYPES:
        return Child(descriptor=entry, manifest=None)
    manifest = store.fetch_manifest(entry.digest) if root.is_index else root
    if manifest is None or entry.is_attestation:
        return Child(descriptor=entry, manifest=manifest)
    try:
        config = parse_manifest(manifest.content).config
    except ValueError:
        return Child(descriptor=entry, manifest=manifest)  # said by `check_structure`
    return Child(descriptor=entry, manifest=manifest, config=_read_config(store, config))


def _read_config(store: ImageStore, descriptor: Descriptor) -> bytes | None:
    if descriptor.media_type not in CONFIG_TYPES or descriptor.size > MAX_CONFIG_BYTES:
        return None
    try:
        with store.open_blob(descriptor) as stream:
            return _read_all(stream)
    except RegistryError:
        if store.has_blob(Digest(descriptor.digest)):
            raise
        return None


def _read_all(stream: BinaryIO) -> bytes:
    """To the end mark and not only so many bytes: that is where the store compares length and digest."""
    parts = []
    while part := stream.read(_CHUNK):
        parts.append(part)
    return b"".join(parts)


class _Layers:
    """The layers of all platforms; one that several have is read once and kept until the last has had it."""

    def __init__(self, store: ImageStore, images: tuple[PlatformImage, ...]) -> None:
        self._store = store
        self._kept: dict[str, Layer] = {}
        self._uses = Counter(
            layer.digest for image in images if image.contents for layer in image.contents.manifest.layers
        )

    def read(self, descriptor: Descriptor, budget: Budget) -> Layer:
        digest = descriptor.digest
        layer = self._kept.pop(digest, None) or self._fetch(descriptor, budget)
        self._uses[digest] -= 1
        if self._uses[digest]:
            self._kept[digest] = layer
        return layer

    def _fetch(self, descriptor: Descriptor, budget: Budget) -> Layer:
        try:
            with self._store.open_blob(descriptor) as stream:
                try:
                    return read_layer(stream, budget)
                except LayerError:
                    # Where the blob is not what its digest says, that is the reason, and the store says so at the end.
                    while stream.read(_CHUNK):
                        pass
                    raise
        except RegistryError as error:
            if self._store.has_blob(Digest(descriptor.digest)):
                raise
            msg = f"the blob `{descriptor.digest}` is missing"
            raise LayerError(msg) from error


class _Inspection:
    """The look into the image of one platform."""

    def __init__(self, image: PlatformImage, layers: _Layers, ignore: tuple[str, ...]) -> None:
        self.findings: list[Finding] = []
        self._image = image
        self._reading = image.where
        self._layers = layers
        self._ignore = ignore
        self._budget = Budget()
        self._files = 0
        self._programs = 0
        self._judged: set[str] = set()
        self._compatible: dict[str, list[str]] = {}

    def owns(self, finding: Finding) -> bool:
        """Whether a finding of the structure is about this image."""
        return finding.where.startswith(self._image.where)

    def report(self) -> PlatformReport:
        """What was seen."""
        notes = (_compatible_note(self._image.platform, abi, paths) for abi, paths in self._compatible.items())
        return PlatformReport(
            platform=self._image.platform,
            digest=self._image.digest,
            files=self._files,
            programs=self._programs,
            findings=_printable((*self.findings, *notes)),
            size=_size(self._image),
        )

    def look(self, depth: Depth) -> None:
        """Look as far as that; what cannot be read is a finding."""
        contents = self._image.contents
        if depth is Depth.STRUCTURE or contents is None:
            return
        if not judges(self._image.platform):
            self._warn(f"programs of {self._image.platform} are not looked into")
            return
        try:
            if depth is Depth.ENTRYPOINT:
                self._look_at_start(contents)
            else:
                self._look_at_files(contents)
        except LayerError as error:
            self._find(self._reading, f"{error}; the files of {self._image.platform} were not looked at")

    def _look_at_start(self, contents: ImageContents) -> None:
        for files in self._merge_down(contents):
            try:
                starts = follow_entrypoint(files, contents.config.config)
            except LowerLayerNeededError:
                continue
            self._files = len(starts)
            if not starts:
                self._warn("neither entrypoint nor command: nothing was looked at")
            self._judge_starts(starts)
            return

    def _look_at_files(self, contents: ImageContents) -> None:
        files = deque(self._merge_down(contents), maxlen=1).pop()
        for path, file in files.files():
            self._files += 1
            if isinstance(file.program, ElfHeader):
                self._judge(path, file.program)
        self._judge_starts(follow_entrypoint(files, contents.config.config))

    def _merge_down(self, contents: ImageContents) -> Iterator[FileSystem]:
        """What shows of no layer, of the top one, of the top two, and so on to all."""
        root = Folder()
        unpacked = diff_ids(contents.config)
        below = len(unpacked)
        yield FileSystem(root, self._budget, complete=not below)
        while below:
            below -= 1
            self._reading = f"{self._image.where}.layers[{below}]"
            layer = self._layers.read(contents.manifest.layers[below], self._budget)
            if layer.diff_id != unpacked[below]:
                message = f"it unpacks to `{layer.diff_id}`, and the config says `{unpacked[below]}`"
                self._find(self._reading, message)
            root = merge(root, layer.root)
            yield FileSystem(root, self._budget, complete=not below)

    def _judge_starts(self, starts: tuple[Start, ...]) -> None:
        for start in starts:
            if start.problem and not self._is_ignored(start.path):
                self._find(start.path, f"{start.problem} ({start.role}, {self._image.platform})")
            if isinstance(start.program, ElfHeader):
                self._judge(start.path, start.program)

    def _judge(self, path: str, header: ElfHeader) -> None:
        how = fit(header, self._image.platform)
        if how is Fit.NOT_JUDGED or path in self._judged or self._is_ignored(path):
            return
        self._judged.add(path)
        self._programs += 1
        if how is Fit.FOREIGN:
            self._find(path, f"{describe(header)} {_kind(path, header)} in a {self._image.platform} image")
        elif how is Fit.COMPATIBLE:
            self._compatible.setdefault(header.abi, []).append(path)

    def _is_ignored(self, path: str) -> bool:
        return any(fnmatchcase(path, pattern) for pattern in self._ignore)

    def _find(self, where: str, message: str) -> None:
        self.findings.append(Finding(where=where, message=message))

    def _warn(self, message: str) -> None:
        self.findings.append(Finding(where=self._image.where, message=message, severity=Severity.WARNING))


def _compatible_note(platform: Platform, abi: str, paths: list[str]) -> Finding:
    more = f", and {len(paths) - 1} more" if len(paths) > 1 else ""
    message = f"{abi} code in a {platform} image, which its kernels run{more}"
    return Finding(where=paths[0], message=message, severity=Severity.WARNING)


def _kind(path: str, header: ElfHeader) -> str:
    """A shared object is a library or a position-independent program; only its name tells."""
    return "library" if header.is_shared and ".so" in path.rpartition("/")[2] else "program"


def _printable(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Names in images are hostile text: what a terminal would act on, or is no Unicode, is escaped."""
    return tuple(replace(each, where=_escape(each.where), message=_escape(each.message)) for each in findings)


def _escape(text: str) -> str:
    return "".join(mark if mark.isprintable() else ascii(mark)[1:-1] for mark in text)
