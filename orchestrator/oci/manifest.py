"""Manifests and indexes as values, parsed from bytes that nobody has vouched for (OCI image-spec 1.1).

Docker's media types are taken as their OCI equals: schema 2 manifest and manifest list.
"""

from __future__ import annotations

from typing import Final, TypeVar

import msgspec

from orchestrator.model import Model
from orchestrator.oci.digest import Digest, digest_bytes, parse_digest
from orchestrator.oci.platform import Platform, normalise

OCI_INDEX: Final = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG: Final = "application/vnd.oci.image.config.v1+json"
DOCKER_LIST: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST: Final = "application/vnd.docker.distribution.manifest.v2+json"
INDEX_TYPES: Final = frozenset({OCI_INDEX, DOCKER_LIST})
MANIFEST_TYPES: Final = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})

ATTESTATION_TYPE: Final = "attestation-manifest"
REFERENCE_TYPE: Final = "vnd.docker.reference.type"
REFERENCE_DIGEST: Final = "vnd.docker.reference.digest"
"""BuildKit docs/attestations/attestation-storage.md: an attestation names the manifest it is about."""

MAX_MANIFEST_BYTES: Final = 4 * 1024 * 1024
"""The size above which registries may refuse a manifest (distribution-spec, "Pushing Manifests")."""


class PlatformField(
    Model,
    rename={"os_version": "os.version", "os_features": "os.features"},
    omit_defaults=True,
):
    """The `platform` object of a descriptor, as written."""

    architecture: str
    os: str
    os_version: str = ""
    os_features: tuple[str, ...] = ()
    variant: str = ""

    def normalised(self) -> Platform:
        """The platform after normalisation."""
        return normalise(self.os, self.architecture, self.variant)


class Descriptor(
    Model,
    rename={"media_type": "mediaType", "artifact_type": "artifactType"},
    omit_defaults=True,
):
    """Points at content (image-spec descriptor.md); what it does not name is not kept."""

    media_type: str
    digest: str
    size: int
    urls: tuple[str, ...] = ()
    annotations: dict[str, str] = msgspec.field(default_factory=dict)
    data: str = ""
    artifact_type: str = ""
    platform: PlatformField | None = None

    @property
    def is_attestation(self) -> bool:
        """Whether this is BuildKit's attestation manifest of another child of the same index."""
        return self.annotations.get(REFERENCE_TYPE) == ATTESTATION_TYPE

    @property
    def attested(self) -> str | None:
        """The digest of the manifest that this attestation is about."""
        return self.annotations.get(REFERENCE_DIGEST) if self.is_attestation else None


class ImageIndex(
    Model,
    rename={"schema_version": "schemaVersion", "media_type": "mediaType", "artifact_type": "artifactType"},
    omit_defaults=True,
):
    """An image index, or Docker's manifest list."""

    schema_version: int
    manifests: tuple[Descriptor, ...]
    media_type: str = OCI_INDEX
    artifact_type: str = ""
    subject: Descriptor | None = None
    annotations: dict[str, str] = msgspec.field(default_factory=dict)


class ImageManifest(
    Model,
    rename={"schema_version": "schemaVersion", "media_type": "mediaType", "artifact_type": "artifactType"},
    omit_defaults=True,
):
    """An image manifest: one config and its layers, bottom first."""

    schema_version: int
    config: Descriptor
    media_type: str = OCI_MANIFEST
    artifact_type: str = ""
    layers: tuple[Descriptor, ...] = ()
    subject: Descriptor | None = None
    annotations: dict[str, str] = msgspec.field(default_factory=dict)


class _ImageManifest(ImageManifest):
    """As it may be written: Go writes the layers of an image that has none as `null`, and BuildKit pushes it so."""

    layers: tuple[Descriptor, ...] | None = ()  # type: ignore[assignment]  # `parse_manifest` makes it what it is said to be


class ImageConfig(Model):
    """What we read of an image config (image-spec config.md)."""

    architecture: str
    os: str
    variant: str = ""
    config: ImageRuntime | None = None
    rootfs: RootFs | None = None

    def normalised(self) -> Platform:
        """The platform after normalisation."""
        return normalise(self.os, self.architecture, self.variant)


class RootFs(Model):
    """The digests of the unpacked layers, bottom first."""

    diff_ids: tuple[str, ...] | None = None


class ImageRuntime(
    Model,
    rename={"entrypoint": "Entrypoint", "command": "Cmd", "environment": "Env", "working_directory": "WorkingDir"},
):
    """What runs when a container starts."""

    entrypoint: tuple[str, ...] | None = None
    command: tuple[str, ...] | None = None
    environment: tuple[str, ...] | None = None
    working_directory: str = ""


class Manifest(Model):
    """The bytes of a manifest or an index with their media type; the digest is computed, never believed."""

    media_type: str
    content: bytes

    @property
    def digest(self) -> Digest:
        """The digest of the bytes."""
        return digest_bytes(self.content)

    @property
    def is_index(self) -> bool:
        """Whether it is an index rather than a single image."""
        return self.media_type in INDEX_TYPES


class _Shape(Model, rename={"media_type": "mediaType"}):
    """What tells an index from an image manifest."""

    media_type: str | None = None
    manifests: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    config: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    layers: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


def identify(content: bytes, declared: str) -> Manifest:
    """Manifest bytes with their media type: the content's own, else what came with it, else what its shape says.

    The three must agree, and nothing may be an index and a manifest at once: two readers that each
    believe another of them would see two images in one digest (CVE-2021-41190).

    Args:
        content: the bytes as they came.
        declared: the `Content-Type` or the descriptor's media type; one that says nothing, such as
            `application/json`, is not asked.

    Raises:
        ValueError: it is no manifest or index, or says two things at once.
    """
    shape = _decode(content, _SHAPE)
    is_index = shape.manifests is not msgspec.UNSET
    is_image = shape.config is not msgspec.UNSET or shape.layers is not msgspec.UNSET
    if is_index == is_image:
        msg = "neither an image manifest nor an image index" if not is_index else "a manifest and an index at once"
        raise ValueError(msg)
    known = INDEX_TYPES if is_index else MANIFEST_TYPES
    header = declared.partition(";")[0].strip()
    said = shape.media_type or (header if header in INDEX_TYPES | MANIFEST_TYPES else "")
    media_type = said or (OCI_INDEX if is_index else OCI_MANIFEST)
    if media_type not in known:
        msg = f"a {'index' if is_index else 'manifest'} with the media type `{media_type[:100]}`"
        raise ValueError(msg)
    if header in INDEX_TYPES | MANIFEST_TYPES and header != media_type:
        msg = f"media type `{media_type}` was declared as `{header}`"
        raise ValueError(msg)
    return Manifest(media_type=media_type, content=content)


def parse_index(content: bytes) -> ImageIndex:
    """Parse an index.

    Raises:
        ValueError: it is not JSON, not an index, or has a descriptor with an illegal digest or size.
    """
    index = _decode(content, _INDEX)
    if index.media_type not in INDEX_TYPES:
        msg = f"not an image index: media type `{index.media_type}`"
        raise ValueError(msg)
    _check_descriptors(index.manifests)
    return index


def parse_manifest(content: bytes) -> ImageManifest:
    """Parse an image manifest.

    Raises:
        ValueError: it is not JSON, not a manifest, or has a descriptor with an illegal digest or size.
    """
    manifest = _decode(content, _MANIFEST)
    if manifest.media_type not in MANIFEST_TYPES:
        msg = f"not an image manifest: media type `{manifest.media_type}`"
        raise ValueError(msg)
    layers = manifest.layers or ()
    _check_descriptors((manifest.config, *layers))
    return msgspec.structs.replace(manifest, layers=layers)


def parse_config(content: bytes) -> ImageConfig:
    """Parse an image config.

    Raises:
        ValueError: it is not JSON or lacks `os` or `architecture`.
    """
    return _decode(content, _CONFIG)


_Value = TypeVar("_Value")


_SHAPE: Final = msgspec.json.Decoder(_Shape)
_INDEX: Final = msgspec.json.Decoder(ImageIndex)
_MANIFEST: Final = msgspec.json.Decoder(_ImageManifest)
_CONFIG: Final = msgspec.json.Decoder(ImageConfig)


def _decode(content: bytes, decoder: msgspec.json.Decoder[_Value]) -> _Value:
    try:
        return decoder.decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        kind = decoder.type
        msg = f"not an OCI {getattr(kind, '__name__', str(kind)).lstrip('_')}: {error}"
        raise ValueError(msg) from error


def _check_descriptors(descriptors: tuple[Descriptor, ...]) -> None:
    for descriptor in descriptors:
        parse_digest(descriptor.digest)
        if descriptor.size < 0:
            msg = f"negative size of `{descriptor.digest}`"
            raise ValueError(msg)
