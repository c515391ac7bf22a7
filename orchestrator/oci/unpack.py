"""The bytes of a layer, unpacked as a stream, counted and hashed; never more than a chunk in memory."""

from __future__ import annotations

import gzip
import hashlib
import io
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from orchestrator.oci.digest import Digest

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MAX_UNPACKED_BYTES: Final = 256 * 1024**3
"""What the layers of one image may unpack to; ten times the largest images that people publish."""
MAX_ENTRIES: Final = 4_000_000
"""How many files and folders the layers of one image may have; base systems have 10,000, CI runners 1,000,000."""
MAX_NAME_CHARACTERS: Final = 512 * 1024**2
"""The length of all paths and link targets of one image together: what is kept in memory."""

_CHUNK: Final = 256 * 1024
_GZIP_MAGIC: Final = b"\x1f\x8b"
_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_ZSTD_SKIPPABLE: Final = b"\x2a\x4d\x18"
_OTHER_COMPRESSIONS: Final = ((b"BZh", "bzip2"), (b"\xfd7zXZ\0", "xz"), (b"\x04\x22\x4d\x18", "lz4"))


class LayerError(ValueError):
    """A layer that cannot be unpacked, or is too big to be looked at; the message says what about it."""


@dataclass
class Budget:
    """What the layers of one image may still use; hostile layers end here, in time and in memory."""

    unpacked_bytes: int = MAX_UNPACKED_BYTES
    entries: int = MAX_ENTRIES
    name_characters: int = MAX_NAME_CHARACTERS

    def take_bytes(self, count: int) -> None:
        """Count unpacked bytes."""
        self.unpacked_bytes -= count
        if self.unpacked_bytes < 0:
            msg = f"the layers unpack to more than {MAX_UNPACKED_BYTES // 1024**3} GiB, the limit of `verify`"
            raise LayerError(msg)

    def take_entry(self, *names: str) -> None:
        """Count one file, folder or followed link, and the names that are kept of it."""
        self.entries -= 1
        self.name_characters -= sum(map(len, names))
        if self.entries < 0:
            msg = f"the layers have more than {MAX_ENTRIES} files, the limit of `verify`"
            raise LayerError(msg)
        if self.name_characters < 0:
            msg = f"the paths in the layers are longer than {MAX_NAME_CHARACTERS // 1024**2} MiB, the limit of `verify`"
            raise LayerError(msg)


class ByteStream(Protocol):
    """What is read of a blob."""

    def read(self, size: int, /) -> bytes:
        """At most so many bytes, none at the end."""


class UnpackedBytes:
    """Reads exact amounts, counts them, and knows the digest of all in the end."""

    def __init__(self, stream: ByteStream, budget: Budget, errors: tuple[type[Exception], ...]) -> None:
        self._stream = stream
        self._budget = budget
        self._errors = errors
        self._chunk = b""
        self._position = 0
        self._sha256 = hashlib.sha256()

    def read(self, size: int) -> bytes:
        """So many bytes; fewer only at the end."""
        parts = []
        while size and (self._position < len(self._chunk) or self._refill()):
            part = self._chunk[self._position : self._position + size]
            self._position += len(part)
            size -= len(part)
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def skip(self, size: int) -> int:
        """Pass over so many bytes; gives how many there were, fewer only at the end."""
        left = size
        while left and (self._position < len(self._chunk) or self._refill()):
            step = min(left, len(self._chunk) - self._position)
            self._position += step
            left -= step
        return size - left

    def finish(self) -> Digest:
        """Read to the end, which lets the store check the blob; gives the digest of all, the layer's diff id."""
        while self._refill():
            pass
        return Digest("sha256:" + self._sha256.hexdigest())

    def _refill(self) -> bool:
        try:
            self._chunk = self._stream.read(_CHUNK)
        except self._errors as error:
            msg = f"the layer cannot be decompressed: {error}"
            raise LayerError(msg) from error
        self._position = 0
        self._budget.take_bytes(len(self._chunk))
        self._sha256.update(self._chunk)
        return bool(self._chunk)


class _Rejoined(io.RawIOBase):
    """A stream with the bytes in front that were read to recognise it."""

    def __init__(self, head: bytes, stream: ByteStream) -> None:
        super().__init__()
        self._head = head
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, target: WriteableBuffer, /) -> int:
        room = memoryview(target).cast("B")
        part = self._head[: len(room)] or self._stream.read(len(room))
        self._head = self._head[len(room) :]
        room[: len(part)] = part
        return len(part)


@contextmanager
def unpacked(stream: ByteStream, budget: Budget) -> Iterator[UnpackedBytes]:
    """The decompressed bytes of a layer: gzip, zstd or none.

    The bytes decide, as they do for containerd; the media type is often that of another compression.
    """
    head = _read_head(stream)
    rejoined = _Rejoined(head, stream)
    if head.startswith(_GZIP_MAGIC):
        with gzip.GzipFile(fileobj=rejoined, mode="rb") as inflated:
            yield UnpackedBytes(inflated, budget, (EOFError, gzip.BadGzipFile, zlib.error))
    elif head.startswith(_ZSTD_MAGIC) or head[1:4] == _ZSTD_SKIPPABLE:
        if sys.version_info >= (3, 14):
            from compression import zstd  # noqa: PLC0415  # loads a C library that few layers need
        else:
            from backports import zstd  # noqa: PLC0415  # as above
        with zstd.ZstdFile(rejoined) as inflated:
            yield UnpackedBytes(inflated, budget, (EOFError, zstd.ZstdError))
    else:
        yield UnpackedBytes(rejoined, budget, ())


def other_compression(start: bytes) -> str | None:
    """The name of a compression that no layer may have; asked when the bytes turned out to be no tar archive."""
    return next((name for magic, name in _OTHER_COMPRESSIONS if start.startswith(magic)), None)


def _read_head(stream: ByteStream) -> bytes:
    head = b""
    while len(head) < len(_ZSTD_MAGIC) and (more := stream.read(len(_ZSTD_MAGIC) - len(head))):
        head += more
    return head
