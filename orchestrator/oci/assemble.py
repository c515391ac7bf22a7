"""Indexes taken apart and put together; the same parts always give the same bytes, hence the same digest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Final

import msgspec

from orchestrator.oci.digest import Digest
from orchestrator.oci.manifest import (
    INDEX_TYPES,
    MANIFEST_TYPES,
    Descriptor,
    ImageConfig,
    Manifest,
    PlatformField,
    parse_index,
    parse_manifest,
)
from orchestrator.oci.platform import Platform
from orchestrator.oci.record import render_index, with_record

_FOREIGN_LAYERS: Final = frozenset(
    {
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "application/vnd.oci.image.layer.nondistributable.v1.tar",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
    }
)
"""Layers that are fetched from their `urls` and that registries do not take (image-spec layer.md)."""


def cut(root: Manifest, platform: Platform, *, configs: Mapping[Digest, ImageConfig] | None = None) -> Manifest:
    """The part of a build's result for one platform, as the canonical index of one image and its attestations.

    Args:
        root: what BuildKit pushed: an index, or a lone image manifest, which is then wrapped.
        platform: the platform to cut out.
        configs: image configs by the digest of their manifest, needed for a manifest whose platform no
            descriptor says, as a lone one's.

    Raises:
        ValueError: the platform is absent or there twice, or `root` is malformed.
    """
    descriptors = parse_index(root.content).manifests if root.is_index else (_describe(root),)
    found = [child for child in descriptors if _is_image(child) and _platform(child, configs or {}) == platform]
    if len(found) != 1:
        have = sorted({str(_platform(child, configs or {})) for child in descriptors if _is_image(child)})
        count = "no image" if not found else f"{len(found)} images"
        msg = f"{count} for `{platform}` in `{root.digest}`, which holds: {', '.join(have) or 'nothing'}"
        raise ValueError(msg)
    image = found[0]
    if image.platform is None:
        image = msgspec.structs.replace(image, platform=_field((configs or {})[Digest(image.digest)]))
    return render_index((image, *_attestations(descriptors, image)), {})


def assemble(parts: tuple[Manifest, ...], annotations: Mapping[str, str]) -> Manifest:
    """The canonical index of several platforms: all images in the order given, then all attestations in that order.

    Descriptors are kept as they are in the parts: media type (Docker's too), digest, size, annotations
    and the spelling of the platform; of records, each image gets the digest of its record.

    Args:
        parts: indexes of one platform each, as `cut` makes them, in the declared order.
        annotations: of the index itself.

    Raises:
        ValueError: a part is malformed or has not exactly one image, or two have the same platform.
    """
    indexes = [parse_index(part.content).manifests for part in parts]
    images = [_only_image(descriptors) for descriptors in indexes]
    platforms = [_platform(image, {}) for image in images]
    for platform in platforms:
        if platforms.count(platform) > 1:
            msg = f"two parts for `{platform}`"
            raise ValueError(msg)
    attestations = chain.from_iterable(map(_attestations, indexes, images))
    named = (with_record(image, part.digest) for image, part in zip(images, parts, strict=True))
    return render_index((*named, *attestations), dict(annotations))


def children(manifest: Manifest) -> tuple[Descriptor, ...]:
    """The manifests that an index names, in its order; an image manifest has none.

    Raises:
        ValueError: the manifest is malformed.
    """
    return parse_index(manifest.content).manifests if manifest.is_index else ()


def references(manifest: Manifest) -> tuple[Descriptor, ...]:
    """The blobs of an image manifest that a store has to hold: config, then layers; an index has none.

    Raises:
        ValueError: the manifest is malformed.
    """
    if manifest.is_index:
        return ()
    image = parse_manifest(manifest.content)
    return (image.config, *(layer for layer in image.layers if layer.media_type not in _FOREIGN_LAYERS))


def _describe(manifest: Manifest) -> Descriptor:
    parse_manifest(manifest.content)
    return Descriptor(media_type=manifest.media_type, digest=manifest.digest, size=len(manifest.content))


def _is_image(descriptor: Descriptor) -> bool:
    """Whether it is an image of some platform; an index within an index is nothing we build."""
    if descriptor.media_type in INDEX_TYPES:
        msg = f"an index within an index: `{descriptor.digest}`"
        raise ValueError(msg)
    return descriptor.media_type in MANIFEST_TYPES and not descriptor.is_attestation


def _only_image(descriptors: tuple[Descriptor, ...]) -> Descriptor:
    images = [descriptor for descriptor in descriptors if _is_image(descriptor)]
    if len(images) != 1:
        msg = f"a part with {len(images)} images instead of one"
        raise ValueError(msg)
    return images[0]


def _attestations(descriptors: tuple[Descriptor, ...], image: Descriptor) -> Iterator[Descriptor]:
    return (descriptor for descriptor in descriptors if descriptor.attested == image.digest)


def _platform(descriptor: Descriptor, configs: Mapping[Digest, ImageConfig]) -> Platform:
    if descriptor.platform is not None:
        return descriptor.platform.normalised()
    config = configs.get(Digest(descriptor.digest))
    if config is None:
        msg = f"nothing says for which platform `{descriptor.digest}` is"
        raise ValueError(msg)
    return config.normalised()


def _field(config: ImageConfig) -> PlatformField:
    return PlatformField(architecture=config.architecture, os=config.os, variant=config.variant)
