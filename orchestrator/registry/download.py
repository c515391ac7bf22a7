"""A blob on its way here, which goes on where a connection broke."""

from __future__ import annotations

import io

from orchestrator.errors import RegistryError
from orchestrator.registry.failure import RequestError
from orchestrator.registry.session import Call, Session
from orchestrator.registry.transport import Reply, fail

_PARTIAL = 206


class Download(io.RawIOBase):
    """The bytes of one blob as a stream; a part that is missing is asked for with `Range`.

    How often is limited between two bytes that arrive, not over the whole, so that a long download over
    a bad line ends.

    Args:
        session: the registry.
        call: the GET.
        size: how long the blob is.
    """

    def __init__(self, session: Session, call: Call, size: int) -> None:
        super().__init__()
        self._session = session
        self._call = call
        self._size = size
        self._position = 0
        self._reply: Reply | None = session.open(call)

    def readable(self) -> bool:
        """It is for reading."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # what callers pass
        """Read what there is, again where it broke off.

        Raises:
            RegistryError: the rest cannot be had.
        """
        chunk = self._session.persist(lambda: self._read_once(len(buffer)))
        buffer[: len(chunk)] = chunk
        self._position += len(chunk)
        return len(chunk)

    def close(self) -> None:
        """Give the connection back."""
        self._drop()
        super().close()

    def _read_once(self, size: int) -> bytes:
        if self._reply is None:
            self._reply = self._reopen()
        try:
            return self._reply.read(size)
        except RequestError:
            self._drop()
            if self._position >= self._size:
                return b""  # all is there: how the connection ended does not matter
            raise

    def _reopen(self) -> Reply:
        headers = {**self._call.headers, "Range": f"bytes={self._position}-"}
        reply = self._session.open_once(
            Call(method="GET", url=self._call.url, scopes=self._call.scopes, headers=headers)
        )
        try:
            self._skip(reply)
        except RegistryError:
            reply.close()
            raise
        return reply

    def _skip(self, reply: Reply) -> None:
        """Read over what is here already, where a registry does not know `Range` and sends all of it."""
        if reply.status == _PARTIAL:
            if not reply.headers.get("content-range", "").startswith(f"bytes {self._position}-"):
                raise fail(reply.request, "answered another range than asked for")
            return
        missing = self._position
        while missing and (chunk := reply.read(min(missing, io.DEFAULT_BUFFER_SIZE))):
            missing -= len(chunk)

    def _drop(self) -> None:
        reply, self._reply = self._reply, None
        if reply is not None:
            reply.close()
