"""Small images for tests of stores, and the way into them."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import msgspec

from orchestrator.engine.ports import ImageStore
from orchestrator.model import Model
from orchestrator.oci.assemble import assemble, cut
from orchestrator.oci.digest import digest_bytes
from orchestrator.oci.manifest import (
    OCI_CONFIG,
    OCI_MANIFEST,
    Descriptor,
    ImageConfig,
    ImageManifest,
    Manifest,
    parse_config,
)
from orchestrator.oci.platform import parse_platform
from orchestrator.oci.reference import Repository, parse_repository
from orchestrator.registry import open_stores
from orchestrator.registry.patience import Patience
from orchestrator.registry.stores import RegistryStores
from orchestrator.testing.registry import FakeRegistry

TLS = Path(__file__).with_name("test_registry_tls.pem")
PASSWORD = "correct horse battery staple"  # noqa: S105  # of a fake registry
USERS = {"ann": PASSWORD}
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


class Sample(Model):
    """An image of one platform: its manifest, and its blobs in the order of `references`."""

    manifest: Manifest
    blobs: tuple[bytes, ...]

    @property
    def config(self) -> ImageConfig:
        """The parsed config."""
        return parse_config(self.blobs[0])


def make_sample(platform: str = "linux/amd64", *layers: bytes) -> Sample:
    """An image whose layers are these bytes."""
    parsed = parse_platform(platform)
    config = msgspec.json.encode({"os": parsed.os, "architecture": parsed.architecture, "variant": parsed.variant})
    blobs = (config, *(layers or (b"layer of " + platform.encode(),)))
    manifest = ImageManifest(
        schema_version=2,
        config=describe(config, OCI_CONFIG),
        layers=tuple(describe(layer) for layer in blobs[1:]),
    )
    fields = {**msgspec.to_builtins(manifest), "mediaType": OCI_MANIFEST}
    return Sample(manifest=Manifest(media_type=OCI_MANIFEST, content=msgspec.json.encode(fields)), blobs=blobs)


def make_part(sample: Sample) -> Manifest:
    """The one-platform index of an image."""
    configs = {sample.manifest.digest: sample.config}
    return cut(sample.manifest, sample.config.normalised(), configs=configs)


def make_index(*samples: Sample) -> Manifest:
    """The index of several images."""
    return assemble(tuple(map(make_part, samples)), {})


def describe(content: bytes, media_type: str = LAYER) -> Descriptor:
    """The descriptor of some bytes."""
    return Descriptor(media_type=media_type, digest=digest_bytes(content), size=len(content))


def source_of(content: bytes) -> Callable[[], AbstractContextManager[BinaryIO]]:
    """A source for `put_blob`."""
    return partial(_open, content)


def put_sample(store: ImageStore, *samples: Sample) -> Manifest:
    """Put images and their index by digest; returns the index."""
    for sample in samples:
        for blob in sample.blobs:
            store.put_blob(describe(blob), source_of(blob))
        store.put_manifest(sample.manifest.digest, sample.manifest)
    index = make_index(*samples)
    store.put_manifest(index.digest, index)
    return index


def read_blob(store: ImageStore, descriptor: Descriptor) -> bytes:
    """The whole blob."""
    with store.open_blob(descriptor) as stream:
        return stream.read()


def write_config(folder: Path, config: object) -> dict[str, str]:
    """An environment whose Docker configuration is this."""
    (folder / ".docker").mkdir(exist_ok=True)
    (folder / ".docker" / "config.json").write_text(json.dumps(config))
    return {"HOME": str(folder)}


def encode(user: str, password: str) -> str:
    """An `auth` of Docker's configuration."""
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def login_to(registry: FakeRegistry, folder: Path, password: str = PASSWORD) -> dict[str, str]:
    """An environment that is logged in to a registry."""
    return write_config(folder, {"auths": {registry.host: {"auth": encode("ann", password)}}})


def repository_of(registry: FakeRegistry, path: str = "acme/api") -> Repository:
    """A repository of a fake registry."""
    return parse_repository(f"{registry.host}/{path}")


@contextmanager
def opened(environment: dict[str, str] | None = None, *, attempts: int = 3) -> Iterator[RegistryStores]:
    """Stores that never really wait."""
    with open_stores(environment or {}, patience=Patience(attempts=attempts), pause=_hurry) as stores:
        yield stores


def _hurry(seconds: float) -> None:
    assert seconds >= 0


def _open(content: bytes) -> BytesIO:
    return BytesIO(content)
