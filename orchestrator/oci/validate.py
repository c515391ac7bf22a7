"""The structure of a multi-platform image held against what was declared: every finding with its path, never only one.

Nothing is fetched here: the caller brings what the store holds behind each entry.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeVar

from orchestrator.diagnostics import Severity
from orchestrator.model import Model
from orchestrator.oci.digest import Digest, digest_bytes, parse_digest
from orchestrator.oci.manifest import (
    INDEX_TYPES,
    MANIFEST_TYPES,
    OCI_CONFIG,
    Descriptor,
    ImageConfig,
    ImageManifest,
    Manifest,
    parse_config,
    parse_index,
    parse_manifest,
)
from orchestrator.oci.platform import Platform

MAX_ENTRIES: Final = 256
"""Of one index; the images with the most platforms have about 40, attestations included."""
MAX_LAYERS: Final = 512
"""Of one image; Docker itself makes and unpacks at most 127."""
MAX_CONFIG_BYTES: Final = 8 * 1024 * 1024

CONFIG_TYPES: Final = frozenset({OCI_CONFIG, "application/vnd.docker.container.image.v1+json"})
LAYER_TYPES: Final = frozenset(
    {
        *(f"application/vnd.oci.image.layer.v1.tar{suffix}" for suffix in ("", "+gzip", "+zstd")),
        *(f"application/vnd.oci.image.layer.nondistributable.v1.tar{suffix}" for suffix in ("", "+gzip", "+zstd")),
        *(f"application/vnd.docker.image.rootfs.diff.tar{suffix}" for suffix in ("", ".gzip", ".zstd")),
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    }
)
_Value = TypeVar("_Value")
_UNKNOWN: Final = ("unknown", "unknown")


class Finding(Model):
    """Something that is not as declared: `where` is a path in the index, or of a file in an image.

    Warnings are told and do not fail the verification.
    """

    where: str
    message: str
    severity: Severity = Severity.ERROR
    hints: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


class Child(Model):
    """One entry of an index, or the lone image, with what the store holds behind it (None: nothing, or not read)."""

    descriptor: Descriptor
    manifest: Manifest | None
    config: bytes | None = None


class ImageContents(Model):
    """The manifest and the config of an image, with a diff id for each layer."""

    manifest: ImageManifest
    config: ImageConfig


class PlatformImage(Model):
    """The image of one platform; `contents` is None where they are not sound enough to be looked into."""

    where: str
    platform: Platform
    digest: Digest
    contents: ImageContents | None


class Structure(Model):
    """What was found, and the image of each platform."""

    findings: tuple[Finding, ...]
    images: tuple[PlatformImage, ...]


def list_entries(root: Manifest) -> tuple[Descriptor, ...]:
    """The entries of an index; a lone image manifest is its own only entry, without a platform.

    Raises:
        ValueError: it is no index, or has more than 256 entries.
    """
    if not root.is_index:
        return (Descriptor(media_type=root.media_type, digest=root.digest, size=len(root.content)),)
    entries = parse_index(root.content).manifests
    if len(entries) > MAX_ENTRIES:
        msg = f"an index of {len(entries)} entries, at most {MAX_ENTRIES} are read"
        raise ValueError(msg)
    return entries


def check_structure(root: Manifest, children: tuple[Child, ...], expected: tuple[Platform, ...] | None) -> Structure:
    """Hold an image against the platforms that it is declared for.

    A lone image manifest is accepted where one platform is expected, with a warning that says so. Attestation
    manifests of BuildKit are passed over, but have to be about a manifest of the same index.

    Args:
        root: the index, or the lone manifest.
        children: one for each of `list_entries(root)`, in order.
        expected: exactly these, each once; None: the platforms that the index names.
    """
    if not root.is_index:
        return _check_lone(children[0], expected)
    entries = tuple(_Entry(_label(position, child), child) for position, child in enumerate(children))
    images = tuple(entry for entry in entries if not entry.child.descriptor.is_attestation)
    findings = (
        *(finding for entry in entries for finding in entry.check(entries)),
        *_check_duplicates(images),
        *_check_platforms(images, expected),
    )
    return Structure(findings=findings, images=tuple(_images(images)))


def _check_lone(child: Child, expected: tuple[Platform, ...] | None) -> Structure:
    entry = _Entry("manifest", child)
    findings = list(entry.check_content())
    if entry.config is None:
        return Structure(findings=tuple(findings), images=())
    inside = entry.config.normalised()
    wanted = (inside,) if expected is None else tuple(dict.fromkeys(expected))
    entry.platform = next((platform for platform in wanted if _agrees(platform, entry.config)), None)
    if entry.platform is None:
        findings.append(Finding(where=entry.where, message=f"{inside} is not a declared platform"))
    findings += [
        Finding(where=entry.where, message=f"a single image and no index: {platform} is declared and missing")
        for platform in wanted
        if platform != entry.platform
    ]
    if not findings:
        note = f"a single image and no index, accepted since {entry.platform} is the only platform asked for"
        findings.append(Finding(where=entry.where, message=note, severity=Severity.WARNING))
    return Structure(findings=tuple(findings), images=tuple(_images((entry,))))


class _Entry:
    """One entry while it is checked."""

    def __init__(self, where: str, child: Child) -> None:
        self.where = where
        self.child = child
        field = child.descriptor.platform
        self.is_unknown = field is not None and (field.os, field.architecture) == _UNKNOWN
        self.platform = None if field is None or self.is_unknown else field.normalised()
        self.manifest, self._manifest_problem = _try(parse_manifest, child.manifest.content if child.manifest else None)
        is_image = self.manifest is not None and self.manifest.config.media_type in CONFIG_TYPES
        self.config, self._config_problem = _try(parse_config, child.config if is_image else None)

    def check(self, entries: tuple[_Entry, ...]) -> Iterator[Finding]:
        """All that one entry can tell, and of an attestation what it is about."""
        descriptor = self.child.descriptor
        if descriptor.is_attestation:
            if not self.is_unknown:
                yield self._finding("an attestation manifest whose platform is not unknown/unknown")
            yield from self._check_attested(entries)
            yield from self._check_manifest_bytes()
            return
        if descriptor.media_type in INDEX_TYPES:
            yield self._finding("an index in an index, which many clients do not read")
            return
        if self.is_unknown:
            yield self._finding("the platform unknown/unknown, and not an attestation")
        elif self.platform is None:
            yield self._finding("no platform")
        yield from self.check_content()
        if self.platform and self.config and not _agrees(self.platform, self.config):
            yield self._finding(f"the image inside is for {self.config.normalised()}", part=".config")

    def check_content(self) -> Iterator[Finding]:
        """The bytes behind the entry: manifest, config, layers."""
        yield from self._check_manifest_bytes()
        if self._manifest_problem:
            yield self._finding(self._manifest_problem)
        if self.manifest is not None:
            yield from self._check_config(self.manifest.config)
            yield from self._check_layers(self.manifest)

    def _check_attested(self, entries: tuple[_Entry, ...]) -> Iterator[Finding]:
        attested = self.child.descriptor.attested
        subjects = {entry.child.descriptor.digest for entry in entries if not entry.child.descriptor.is_attestation}
        if attested not in subjects:
            about = f"`{attested}`, which is not in this index" if attested else "nothing"
            yield self._finding(f"an attestation about {about}")

    def _check_manifest_bytes(self) -> Iterator[Finding]:
        descriptor, manifest = self.child.descriptor, self.child.manifest
        if descriptor.media_type not in MANIFEST_TYPES:
            yield self._finding(f"`{descriptor.media_type}` is not the media type of an image manifest")
        elif manifest is None:
            yield self._finding(f"the manifest `{descriptor.digest}` is missing")
        else:
            yield from self._check_bytes(descriptor, manifest.content, "manifest")
            if manifest.media_type != descriptor.media_type:
                message = f"a `{manifest.media_type}`, where the index says `{descriptor.media_type}`"
                yield self._finding(message)

    def _check_config(self, descriptor: Descriptor) -> Iterator[Finding]:
        if descriptor.media_type not in CONFIG_TYPES:
            yield self._finding(f"`{descriptor.media_type}` is not the config of a container image", part=".config")
        elif descriptor.size > MAX_CONFIG_BYTES:
            yield self._finding(f"{descriptor.size} bytes, at most {MAX_CONFIG_BYTES} are read", part=".config")
        elif self.child.config is None:
            yield self._finding(f"the blob `{descriptor.digest}` is missing", part=".config")
        else:
            yield from self._check_bytes(descriptor, self.child.config, "config", part=".config")
            if self._config_problem:
                yield self._finding(self._config_problem, part=".config")

    def _check_layers(self, manifest: ImageManifest) -> Iterator[Finding]:
        for position, layer in enumerate(manifest.layers):
            if layer.media_type not in LAYER_TYPES:
                yield self._finding(f"unknown kind of layer `{layer.media_type}`", part=f".layers[{position}]")
        if len(manifest.layers) > MAX_LAYERS:
            yield self._finding(f"{len(manifest.layers)} layers, at most {MAX_LAYERS} are read")
        if self.config is None:
            return
        unpacked = diff_ids(self.config)
        if len(unpacked) != len(manifest.layers):
            message = f"{len(unpacked)} diff ids for {len(manifest.layers)} layers"
            yield self._finding(message, part=".config.rootfs")
        for position, diff_id in enumerate(unpacked):
            if _is_no_digest(diff_id):
                message = f"not a sha256 digest: `{diff_id[:100]}`"
                yield self._finding(message, part=f".config.rootfs.diff_ids[{position}]")

    def _check_bytes(self, descriptor: Descriptor, content: bytes, what: str, part: str = "") -> Iterator[Finding]:
        if len(content) != descriptor.size:
            yield self._finding(f"a {what} of {len(content)} bytes, {descriptor.size} are declared", part=part)
        digest = digest_bytes(content)
        if digest != descriptor.digest:
            yield self._finding(f"a {what} with the digest `{digest}`, `{descriptor.digest}` is declared", part=part)

    def _finding(self, message: str, *, part: str = "") -> Finding:
        return Finding(where=f"{self.where}{part}", message=message)


def _check_duplicates(images: tuple[_Entry, ...]) -> Iterator[Finding]:
    """Windows has one platform in several versions of the system: they are not duplicates."""
    seen: dict[tuple[Platform, str, tuple[str, ...]], _Entry] = {}
    for entry in images:
        field = entry.child.descriptor.platform
        if entry.platform is None or field is None:
            continue
        first = seen.setdefault((entry.platform, field.os_version, field.os_features), entry)
        if first is not entry:
            yield Finding(where=entry.where, message=f"the same platform as {first.where}")


def _check_platforms(images: tuple[_Entry, ...], expected: tuple[Platform, ...] | None) -> Iterator[Finding]:
    if not images:
        yield Finding(where="index", message="no image for any platform")
    if expected is None:
        return
    for entry in images:
        if entry.platform is not None and entry.platform not in expected:
            yield Finding(where=entry.where, message=f"{entry.platform} is not a declared platform")
    present = Counter(entry.platform for entry in images)
    for platform in dict.fromkeys(expected):
        if not present[platform]:
            yield Finding(where="index", message=f"{platform} is declared and missing")


def _images(entries: Iterable[_Entry]) -> Iterator[PlatformImage]:
    for entry in entries:
        if entry.platform is not None:
            digest = Digest(entry.child.descriptor.digest)
            yield PlatformImage(where=entry.where, platform=entry.platform, digest=digest, contents=_contents(entry))


def _contents(entry: _Entry) -> ImageContents | None:
    if entry.manifest is None or entry.config is None:
        return None
    if len(diff_ids(entry.config)) != len(entry.manifest.layers) or len(entry.manifest.layers) > MAX_LAYERS:
        return None
    return ImageContents(manifest=entry.manifest, config=entry.config)


def _agrees(platform: Platform, config: ImageConfig) -> bool:
    """A config without a variant says nothing about it: builders that only know `arm` write such for v6, too."""
    inside = config.normalised()
    if not config.variant:
        return (inside.os, inside.architecture) == (platform.os, platform.architecture)
    return inside == platform


def _label(position: int, child: Child) -> str:
    field = child.descriptor.platform
    name = "attestation" if child.descriptor.is_attestation else str(field.normalised()) if field else "no platform"
    return f"index.manifests[{position}] ({name})"


def diff_ids(config: ImageConfig) -> tuple[str, ...]:
    """The digests of the unpacked layers, bottom first, as the config has them."""
    return (config.rootfs.diff_ids if config.rootfs else None) or ()


def _is_no_digest(text: str) -> bool:
    try:
        parse_digest(text)
    except ValueError:
        return True
    return False


def _try(parse: Callable[[bytes], _Value], content: bytes | None) -> tuple[_Value | None, str]:
    """What the bytes parse to, or why they do not."""
    if content is None:
        return None, ""
    try:
        return parse(content), ""
    except ValueError as error:
        return None, str(error)
