"""Images made by hand, sound and broken."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import msgspec

from orchestrator.engine.ports import ImageStore
from orchestrator.model import Model
from orchestrator.oci.digest import digest_bytes
from orchestrator.oci.manifest import (
    ATTESTATION_TYPE,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_MANIFEST,
    REFERENCE_DIGEST,
    REFERENCE_TYPE,
    Descriptor,
    ImageIndex,
    ImageManifest,
    Manifest,
    PlatformField,
)

LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
UNKNOWN = PlatformField(os="unknown", architecture="unknown")


class Built(Model):
    """An image manifest with the blobs that it names."""

    manifest: Manifest
    config: bytes
    layers: tuple[bytes, ...] = ()


def field(platform: str) -> PlatformField:
    """The platform object of a descriptor, as written."""
    system, architecture, *variant = platform.split("/")
    return PlatformField(os=system, architecture=architecture, variant="".join(variant))


def descriptor(content: bytes, media_type: str, platform: PlatformField | None = None) -> Descriptor:
    """A descriptor of these bytes."""
    return Descriptor(media_type=media_type, digest=digest_bytes(content), size=len(content), platform=platform)


def config_of(platform: str, diff_ids: list[str], runtime: dict[str, object] | None = None) -> bytes:
    """An image config."""
    inside = field(platform)
    content: dict[str, object] = {"os": inside.os, "architecture": inside.architecture, "config": runtime or {}}
    if inside.variant:
        content["variant"] = inside.variant
    return msgspec.json.encode({**content, "rootfs": {"type": "layers", "diff_ids": diff_ids}})


def image(platform: str, *layers: bytes, runtime: dict[str, object] | None = None, config: bytes = b"") -> Built:
    """An image of gzip layers, bottom first."""
    config = config or config_of(platform, [digest_bytes(gzip.decompress(each)) for each in layers], runtime)
    return manifest(config, tuple(descriptor(each, LAYER_TYPE) for each in layers), layers)


def manifest(
    config: bytes, described: tuple[Descriptor, ...], layers: tuple[bytes, ...], kind: str = OCI_CONFIG
) -> Built:
    """An image manifest over these parts, whether they belong together or not."""
    value = ImageManifest(schema_version=2, config=descriptor(config, kind), layers=described)
    content = msgspec.json.encode({"mediaType": OCI_MANIFEST, **_plain(value)})
    return Built(manifest=Manifest(media_type=OCI_MANIFEST, content=content), config=config, layers=layers)


def entry(platform: str, built: Built) -> Descriptor:
    """The entry of an image in an index."""
    return descriptor(built.manifest.content, OCI_MANIFEST, field(platform))


def attestation_entry(attested: str, built: Built, platform: PlatformField = UNKNOWN) -> Descriptor:
    """The entry of an attestation, as BuildKit writes it."""
    plain = descriptor(built.manifest.content, OCI_MANIFEST, platform)
    notes = {REFERENCE_TYPE: ATTESTATION_TYPE, REFERENCE_DIGEST: attested}
    return msgspec.structs.replace(plain, annotations=notes)


def index(*entries: Descriptor) -> Manifest:
    """An index of these entries."""
    content = msgspec.json.encode({"mediaType": OCI_INDEX, **_plain(ImageIndex(schema_version=2, manifests=entries))})
    return Manifest(media_type=OCI_INDEX, content=content)


def _plain(value: Model) -> dict[str, object]:
    plain: dict[str, object] = msgspec.to_builtins(value)
    return plain


def put(store: ImageStore, content: bytes) -> None:
    """Put a blob."""

    @contextmanager
    def source() -> Iterator[BinaryIO]:
        yield io.BytesIO(content)

    store.put_blob(descriptor(content, "application/octet-stream"), source)


def push(store: ImageStore, images: dict[str, Built], *more: Descriptor) -> Manifest:
    """Push images by platform, and an index of them as `1.0`."""
    for built in images.values():
        for content in (built.config, *built.layers):
            put(store, content)
        store.put_manifest(built.manifest.digest, built.manifest)
    root = index(*(entry(platform, built) for platform, built in images.items()), *more)
    store.put_manifest("1.0", root)
    return root
