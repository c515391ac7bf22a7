"""A stream that is held against its descriptor while it is read, so that no byte is believed unseen."""

from __future__ import annotations

import hashlib
import io
from typing import BinaryIO, Final, NoReturn, Protocol

from orchestrator.errors import RegistryError
from orchestrator.oci.manifest import Descriptor

_BUFFER: Final = 256 * 1024


class Readable(Protocol):
    """What gives bytes; nothing, or None, at its end."""

    def read(self, size: int, /) -> bytes | None:
        """At most `size` bytes."""


def checked(stream: Readable, descriptor: Descriptor, *, name: str) -> BinaryIO:
    """`stream`, but its last bytes come only after length and digest are known to be the descriptor's.

    Whoever copies it therefore never finishes a wrong copy. Closing it leaves `stream` open.

    Args:
        stream: what to read.
        descriptor: what it has to be.
        name: the store it comes from, for the message.

    Raises:
        RegistryError: while reading, where the content is shorter, longer or other than described.
    """
    return io.BufferedReader(_Checked(stream, descriptor, name), _BUFFER)


class _Checked(io.RawIOBase):
    def __init__(self, stream: Readable, descriptor: Descriptor, name: str) -> None:
        super().__init__()
        self._stream = stream
        self._descriptor = descriptor
        self._name = name
        self._remaining = descriptor.size
        self._hash = hashlib.sha256()
        self._is_proven = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # what BufferedReader passes
        wanted = min(len(buffer), self._remaining)
        chunk = (self._stream.read(wanted) if wanted else b"") or b""
        if wanted and not chunk:
            self._refuse(f"ended {self._remaining} bytes early")
        self._hash.update(chunk)
        self._remaining -= len(chunk)
        if self._remaining == 0 and not self._is_proven:
            self._prove()
        buffer[: len(chunk)] = chunk
        return len(chunk)

    def _prove(self) -> None:
        if self._stream.read(1):
            self._refuse(f"is longer than {self._descriptor.size} bytes")
        if f"sha256:{self._hash.hexdigest()}" != self._descriptor.digest:
            self._refuse("has another digest")
        self._is_proven = True

    def _refuse(self, finding: str) -> NoReturn:
        msg = f"blob `{self._descriptor.digest}` of `{self._name}` {finding}"
        raise RegistryError(msg, hints=("the store or the way to it is damaged: push or build this image again",))
