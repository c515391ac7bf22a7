"""OCI image layouts on disk (image-spec image-layout.md) as image stores."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final, NoReturn

import msgspec

from orchestrator.errors import RegistryError
from orchestrator.model import Model
from orchestrator.oci.assemble import children, references
from orchestrator.oci.checked import checked
from orchestrator.oci.digest import Digest, digest_bytes, parse_digest
from orchestrator.oci.manifest import MAX_MANIFEST_BYTES, OCI_INDEX, Descriptor, Manifest, identify, parse_index
from orchestrator.oci.reference import check_tag
from orchestrator.state.beneath import (
    Durability,
    Missing,
    find_size,
    is_same,
    link_whole,
    open_folder,
    open_regular,
    remove_unfinished,
    write_whole,
)

REF_NAME: Final = "org.opencontainers.image.ref.name"
"""The annotation of an entry of index.json that makes it a tag (image-spec annotations.md)."""

OWNER: Final = "dev.orchestrate.image"
"""The annotation of an entry of index.json that says for which image we wrote it."""

_HEX: Final = re.compile("[0-9a-f]{64}")
_VERSION: Final = b'{"imageLayoutVersion":"1.0.0"}'
_CHUNK: Final = 1024 * 1024
_BLOBS: Final = ("blobs", "sha256")
_INDEX: Final = "index.json"
_MARKER: Final = "oci-layout"


class _Root(Model, rename={"schema_version": "schemaVersion", "media_type": "mediaType"}):
    """index.json with its entries as they stand, so that what others wrote in them is kept."""

    manifests: tuple[msgspec.Raw, ...] = ()
    schema_version: int = 2
    media_type: str = OCI_INDEX


_ROOT: Final = msgspec.json.Decoder(_Root)


class OciLayout:
    """One layout folder; an `ImageStore` of the engine's ports.

    Nothing has to exist before something is put. Files appear whole or not at all; threads and processes
    may write at the same time. A layout may come from anybody: links are not followed, and no content is
    believed without its digest.

    Args:
        path: the folder.
        below: a folder above it from which on no link is followed; without one, links may lead to `path` itself.
    """

    def __init__(self, path: Path, *, below: Path | None = None) -> None:
        self.path = path
        self._trusted = below or path
        self._way = path.relative_to(self._trusted).parts

    @property
    def name(self) -> str:
        """How messages call it."""
        return f"oci:{self.path}"

    def roots(self) -> tuple[Descriptor, ...]:
        """The entries of index.json; BuildKit writes one, for an index where there are several platforms."""
        return tuple(descriptor for _, descriptor in self._read_entries())

    def find(self, locator: str) -> Digest | None:
        """The digest behind a tag, or the digest itself, where its content is there."""
        digest = self._check(locator) if ":" in locator else self._find_tag(locator)
        return digest if digest is not None and self.has_blob(digest) else None

    def fetch_manifest(self, locator: str) -> Manifest | None:
        """The manifest or index behind a tag or a digest, held against the digest; None where there is none."""
        digest = self.find(locator)
        content = self._read(_BLOBS, _hex(digest)) if digest else None
        if digest is None or content is None:
            return None
        if len(content) > MAX_MANIFEST_BYTES:
            self._refuse(f"`{digest}` is longer than {MAX_MANIFEST_BYTES} bytes, which no manifest is")
        if digest_bytes(content) != digest:
            self._refuse(f"`{digest}` has content with the digest `{digest_bytes(content)}`")
        declared = next((root.media_type for root in self.roots() if root.digest == digest), "")
        try:
            return identify(content, declared)
        except ValueError as error:
            msg = f"`{self.name}`: `{digest}` cannot be read: {error}"
            raise RegistryError(msg) from error

    def put_manifest(self, locator: str, manifest: Manifest) -> None:
        """Put a manifest under a tag, which takes the tag from another, or under its digest."""
        if ":" in locator and self._check(locator) != manifest.digest:
            self._refuse(f"`{locator}` is not the digest of the manifest, which is `{manifest.digest}`")
        with self._writing() as blobs:
            name = _hex(manifest.digest)
            write_whole(name, blobs, lambda file: _write_all(file, manifest.content), Durability.SYNCED)
            if ":" not in locator:
                self._tag(locator, manifest)

    def has_blob(self, digest: Digest) -> bool:
        """Whether the blob is there."""
        return self._find_size(self._check(digest)) is not None

    @contextmanager
    def open_blob(self, descriptor: Descriptor) -> Iterator[BinaryIO]:
        """A stream of the blob, held against its descriptor."""
        with self._open_file(self._check(descriptor.digest)) as file:
            yield checked(file, descriptor, name=self.name)

    def put_blob(self, descriptor: Descriptor, source: Callable[[], AbstractContextManager[BinaryIO]]) -> None:
        """Write a blob unless it is there with the right size."""
        digest = self._check(descriptor.digest)
        if self._find_size(digest) == descriptor.size:
            return
        with self._writing() as blobs, source() as stream:
            proven = checked(stream, descriptor, name="the source of a copy")
            write_whole(_hex(digest), blobs, lambda file: _copy(proven, file), Durability.LAZY)

    def mount_blob(self, descriptor: Descriptor, origin: object) -> bool:
        """Take a blob over from another layout by a hard link; False: it has to be copied.

        Only its size is looked at: content is held against the digest whenever it is read.
        """
        if not isinstance(origin, OciLayout):
            return False
        digest = self._check(descriptor.digest)
        if self._find_size(digest) == descriptor.size:
            return True
        if origin._find_size(digest) != descriptor.size:  # noqa: SLF001  # own class
            return False
        with origin._opened(_BLOBS) as source, self._writing() as target:  # noqa: SLF001  # own class
            return source is not None and link_whole(_hex(digest), source, target)

    def take(self, digest: Digest, origin: OciLayout) -> None:
        """Take an index over from another layout with all that it leads to, by hard links where the disk has them.

        What was here under the same names and is no such link is replaced: nothing tells whether it is whole.
        """
        index = origin.fetch_manifest(digest)
        if index is None:
            self._refuse(f"no manifest `{digest}` in `{origin.name}`")
        names = sorted(origin._reachable(index))
        with origin._opened(_BLOBS) as source, self._writing() as target:
            if source is None:
                self._refuse(f"`{origin.name}` is gone")
            for name in names:
                if not is_same(name, source, target) and not link_whole(name, source, target):
                    with open_regular(name, source) as file:
                        write_whole(name, target, partial(_copy, file), Durability.LAZY)

    def tags(self) -> Iterator[str]:
        """All tags, in the order of index.json; names that are no tags, as containerd writes, are left out."""
        for _, descriptor in self._read_entries():
            with suppress(ValueError):
                tag = descriptor.annotations.get(REF_NAME, "")
                check_tag(tag)
                yield tag

    def publish(self, tag: str, digest: Digest, *, owner: str) -> None:
        """Make this index the one entry of `owner` in index.json, under a tag.

        What nobody reaches any more is removed, unless the layout has entries of somebody else.
        """
        manifest = self.fetch_manifest(digest)
        if manifest is None:
            self._refuse(f"no manifest `{digest}`")
        own = _entry(manifest, {REF_NAME: tag, OWNER: owner})
        with self._writing(), self._folder((), Missing.FAIL) as root, _locked(root):
            strangers = tuple(raw for raw, other in self._read_entries() if other.annotations.get(OWNER) != owner)
            self._write_index(root, (*strangers, own))
        if not strangers:
            self._remove_all_but(self._reachable(manifest))

    def keep_only(self, tags: frozenset[str]) -> None:
        """Take away all entries but those with these tags, and what none of these leads to."""
        with self._writing(), self._folder((), Missing.FAIL) as root, _locked(root):
            entries = self._read_entries()
            kept = [(raw, each) for raw, each in entries if each.annotations.get(REF_NAME) in tags]
            if len(kept) < len(entries):
                self._write_index(root, tuple(raw for raw, _ in kept))
        manifests = (self.fetch_manifest(Digest(each.digest)) for _, each in kept)
        self._remove_all_but(set().union(*(self._reachable(manifest) for manifest in manifests if manifest)))

    def _reachable(self, root: Manifest) -> set[str]:
        """The names of all blobs that a manifest or an index leads to."""
        found = {_hex(root.digest), *(_hex(Digest(blob.digest)) for blob in references(root))}
        for child in children(root):
            found.add(_hex(Digest(child.digest)))
            manifest = self.fetch_manifest(child.digest)
            if manifest is not None:
                found.update(_hex(Digest(blob.digest)) for blob in references(manifest))
        return found

    def _remove_all_but(self, names: set[str]) -> None:
        """Remove blobs and what was never finished; what has a name that is no digest is somebody else's, and stays."""
        with self._folder((), Missing.FAIL) as root:
            remove_unfinished(root)
        with self._writing() as blobs, os.scandir(blobs) as entries:
            remove_unfinished(blobs)
            for name in [entry.name for entry in entries]:
                if name not in names and _HEX.fullmatch(name):
                    os.unlink(name, dir_fd=blobs)

    def _find_tag(self, tag: str) -> Digest | None:
        for _, descriptor in self._read_entries():
            if descriptor.annotations.get(REF_NAME) == tag:
                return Digest(descriptor.digest)
        return None

    def _read_entries(self) -> tuple[tuple[msgspec.Raw, Descriptor], ...]:
        content = self._read((), _INDEX)
        if content is None:
            return ()
        if len(content) > MAX_MANIFEST_BYTES:
            self._refuse(f"index.json is longer than {MAX_MANIFEST_BYTES} bytes")
        try:
            descriptors = parse_index(content).manifests
            entries = _ROOT.decode(content).manifests
        except (ValueError, msgspec.MsgspecError) as error:
            msg = f"`{self.name}`: index.json cannot be read: {error}"
            raise RegistryError(msg, hints=("remove the folder and build again",)) from error
        return tuple(zip(entries, descriptors, strict=True))

    def _tag(self, tag: str, manifest: Manifest) -> None:
        try:
            check_tag(tag)
        except ValueError as error:
            raise RegistryError(str(error)) from error
        with self._folder((), Missing.FAIL) as root, _locked(root):
            kept = [raw for raw, other in self._read_entries() if other.annotations.get(REF_NAME) != tag]
            self._write_index(root, (*kept, _entry(manifest, {REF_NAME: tag})))

    def _write_index(self, folder: int, entries: tuple[msgspec.Raw, ...]) -> None:
        content = msgspec.json.encode(_Root(manifests=entries))
        if len(content) > MAX_MANIFEST_BYTES:
            self._refuse("index.json has no room for another tag")
        write_whole(_INDEX, folder, lambda file: _write_all(file, content), Durability.SYNCED)

    def _find_size(self, digest: Digest) -> int | None:
        with self._opened(_BLOBS) as folder:
            return None if folder is None else find_size(_hex(digest), folder)

    def _read(self, parts: tuple[str, ...], name: str) -> bytes | None:
        """A small file, one byte more than allowed at most; None where it is not there."""
        with self._opened(parts) as folder:
            if folder is None or find_size(name, folder) is None:
                return None
            with open_regular(name, folder) as file:
                return file.read(MAX_MANIFEST_BYTES + 1)

    def _open_file(self, digest: Digest) -> BinaryIO:
        with self._opened(_BLOBS) as folder:
            if folder is None or find_size(_hex(digest), folder) is None:
                self._refuse(f"no blob `{digest}`")
            return open_regular(_hex(digest), folder)

    def _folder(self, parts: tuple[str, ...], missing: Missing) -> AbstractContextManager[int]:
        return open_folder(self._trusted, (*self._way, *parts), missing)

    @contextmanager
    def _opened(self, parts: tuple[str, ...]) -> Iterator[int | None]:
        """A folder of the layout to read from; None where it is not there."""
        with ExitStack() as stack:
            try:
                folder = stack.enter_context(self._folder(parts, Missing.FAIL))
            except FileNotFoundError:
                folder = None
            except OSError as error:
                raise self._translate(error, act="read") from error
            try:
                yield folder
            except OSError as error:
                raise self._translate(error, act="read") from error

    @contextmanager
    def _writing(self) -> Iterator[int]:
        """The folder of blobs to write to, in what is a layout from then on."""
        try:
            with self._folder((), Missing.CREATE) as root:
                if find_size(_MARKER, root) is None:
                    write_whole(_MARKER, root, lambda file: _write_all(file, _VERSION), Durability.LAZY)
                if find_size(_INDEX, root) is None:
                    with _locked(root):
                        if find_size(_INDEX, root) is None:
                            self._write_index(root, ())
            with self._folder(_BLOBS, Missing.CREATE) as blobs:
                yield blobs
        except OSError as error:
            raise self._translate(error, act="write to") from error

    def _check(self, digest: str) -> Digest:
        """A digest becomes a file name, so it is held against the grammar even where callers have parsed it."""
        try:
            return parse_digest(digest)
        except ValueError as error:
            raise RegistryError(str(error)) from error

    def _translate(self, error: OSError, *, act: str) -> RegistryError:
        reason = (error.strerror or "unknown error").lower()
        hint = f"check the space, the permissions and the files of `{self.path}`; links in it are not followed"
        return RegistryError(f"cannot {act} `{self.name}`: {reason}", hints=(hint,))

    def _refuse(self, finding: str) -> NoReturn:
        msg = f"`{self.name}`: {finding}"
        raise RegistryError(msg, hints=(f"remove `{self.path}` and build or copy again",))


@contextmanager
def _locked(folder: int) -> Iterator[None]:
    """One writer of index.json at a time, by a lock on the folder itself, which adds no file to the layout."""
    own = os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=folder)
    try:
        fcntl.flock(own, fcntl.LOCK_EX)
        yield
    finally:
        os.close(own)


def _entry(manifest: Manifest, annotations: dict[str, str]) -> msgspec.Raw:
    descriptor = Descriptor(
        media_type=manifest.media_type, digest=manifest.digest, size=len(manifest.content), annotations=annotations
    )
    return msgspec.Raw(msgspec.json.encode(descriptor))


def _hex(digest: Digest) -> str:
    return digest.removeprefix("sha256:")


def _write_all(file: BinaryIO, content: bytes) -> None:
    file.write(content)


def _copy(source: BinaryIO, target: BinaryIO) -> None:
    while chunk := source.read(_CHUNK):
        target.write(chunk)
