"""Loads one platform of an OCI layout into Docker, by way of an archive that every engine since 25 reads."""

from __future__ import annotations

import asyncio
import io
import json
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Literal

from orchestrator.api.events import ReaderEvent
from orchestrator.api.invocation import Invocation, Phase
from orchestrator.engine.in_thread import ask_in_thread
from orchestrator.engine.invoke import Invoker
from orchestrator.engine.ports import ImageStore
from orchestrator.engine.results import StepResult
from orchestrator.errors import BuildError, VerificationError
from orchestrator.oci.assemble import children, references
from orchestrator.oci.digest import Digest
from orchestrator.oci.manifest import OCI_INDEX, Descriptor, Manifest
from orchestrator.oci.platform import Platform
from orchestrator.plan.model import LoadStep

_ARCHIVE: Final = "image.tar"
_AT_ONCE: Final = 4
_LONGEST: Final = 3600.0
_HINTS: Final = ("`orchestrate doctor` looks at Docker",)


class _Silent:
    """`docker load` says nothing that an event is made of."""

    def feed(self, stream: Literal["stdout", "stderr"], line: str) -> Iterable[ReaderEvent]:
        del stream, line
        return ()


class Loader:
    """Loads images, few at a time: each is a second time on the disk while Docker reads it, as an archive.

    Args:
        invoker: runs `docker image load`.
        limit: how many children the user wants at a time.
        timeout: for how many seconds Docker may read one.
    """

    def __init__(self, invoker: Invoker, *, limit: int, timeout: float = _LONGEST) -> None:
        self._invoker = invoker
        self._timeout = timeout
        self._free = asyncio.Semaphore(max(1, min(limit, _AT_ONCE)))

    async def load(self, step: LoadStep, *, store: ImageStore, digest: Digest, folder: Path) -> StepResult:
        """Write the archive, have Docker read it, and remove it.

        Raises:
            BuildError: Docker refused it, or did not come to an end.
            VerificationError: the layout lacks the platform.
        """
        archive = folder / _ARCHIVE
        async with self._free:
            try:
                loaded = await ask_in_thread(_write_archive, archive, store, digest, step.platform, step.names)
                await self._read(step, archive)
            finally:
                archive.unlink(missing_ok=True)
        return StepResult(digest=digest, manifest=loaded)

    async def _read(self, step: LoadStep, archive: Path) -> None:
        argv = ("docker", "image", "load", f"--input={archive}")
        invocation = Invocation(argv=argv, steps=(step.id,), phase=Phase.PUSH, timeout=self._timeout)
        outcome = await self._invoker.run(invocation, _Silent(), folder=archive.parent / "child", builders={})
        if outcome.timed_out:
            message = f"`docker image load` has not read `{step.image}` within {self._timeout:g} seconds"
            raise BuildError(message, hints=_HINTS)
        if not outcome.succeeded:
            lines = outcome.stderr.strip().splitlines() or [f"exit code {outcome.exit_code}"]
            message = f"`docker image load` refused `{step.image}`: {lines[-1]}"
            raise BuildError(message, hints=_HINTS)


def _write_archive(path: Path, store: ImageStore, index: Digest, platform: Platform, names: tuple[str, ...]) -> Digest:
    root = _need(store, index)
    image = next(
        (
            child
            for child in children(root)
            if not child.is_attestation and child.platform and child.platform.normalised() == platform
        ),
        None,
    )
    if image is None:
        message = f"no `{platform}` in `{store.name}`"
        raise VerificationError(message)
    manifest = _need(store, Digest(image.digest))
    path.parent.mkdir(parents=True)
    with tarfile.open(path, "w") as archive:
        _add(archive, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        _add(archive, "index.json", _index(image, names))
        _add(archive, _blob(image.digest), manifest.content)
        for blob in references(manifest):
            entry = tarfile.TarInfo(_blob(blob.digest))
            entry.size = blob.size
            with store.open_blob(blob) as stream:
                archive.addfile(entry, stream)
    return Digest(image.digest)


def _index(image: Descriptor, names: tuple[str, ...]) -> bytes:
    """An `index.json` with one entry a name; containerd and dockerd take the name from `io.containerd.image.name`."""
    entries = [
        {
            "mediaType": image.media_type,
            "digest": image.digest,
            "size": image.size,
            "annotations": {
                "io.containerd.image.name": _qualified(name),
                "org.opencontainers.image.ref.name": name.rpartition(":")[2],
            },
        }
        for name in names
    ]
    return json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}).encode()


def _qualified(name: str) -> str:
    first, slash, _ = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return name
    return f"docker.io/{name}" if slash else f"docker.io/library/{name}"


def _blob(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/", 1)


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))


def _need(store: ImageStore, digest: Digest) -> Manifest:
    manifest = store.fetch_manifest(digest)
    if manifest is None:
        message = f"`{digest}` is not in `{store.name}`"
        raise VerificationError(message)
    return manifest
