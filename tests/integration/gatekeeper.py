"""A proxy in front of a real registry that does something when a certain request comes by, such as breaking off.

What reaches the registry and what does not is decided by the request itself, so no test has to wait for a moment.
"""

from __future__ import annotations

import re
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}
_TLS = b"\x16"
_RESET = struct.pack("ii", 1, 0)
PUBLIC_TAG = re.compile(r"PUT /v2/.+/manifests/(?!run-|(?:in|te|ok|im|at|mv|un)-[0-9a-f]{64}\Z|sha256:)[^/]+")
"""The request that puts a tag which people see."""


class Verdict(Enum):
    """What happens to a request."""

    HAND_ON = "hand on"
    """It is handed on, and so is the answer."""
    RESET = "reset"
    """The connection is reset, and the registry never hears of it."""
    SWALLOW = "swallow"
    """The registry gets it and does it; the connection is reset instead of an answer."""
    CUT = "cut"
    """The registry gets its head and half of its body; then both connections break."""


@dataclass(frozen=True)
class Answer:
    """Said in the place of the registry, which never hears of the request."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True)
class Asked:
    """A request as it came: who asks, with which login, and when by the clock that only goes forward."""

    line: str
    agent: str
    authorization: str
    at: float


Judge = Callable[[str], Verdict]


class Gatekeeper:
    """Listens on a port of its own; `judge` decides about each `METHOD /path`, one request after the other."""

    def __init__(self, upstream: str) -> None:
        self.judge: Judge = lambda _: Verdict.HAND_ON
        self.requests: list[str] = []
        self._lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"keeper": self, "upstream": upstream})
        self._server = _Server(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self.host = f"127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        """Begin to listen."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def decide(self, asked: Asked) -> Verdict | Answer:
        """Ask the judge, who sees requests one at a time."""
        with self._lock:
            self.requests.append(asked.line)
            return self.judge(asked.line)

    def answered(self, asked: Asked, body: bytes, status: int) -> None:
        """Told of what the registry itself has answered, before whoever asked is."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of connections that break: whoever asks may have been killed."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]  # typeshed says more than is read


class _Handler(BaseHTTPRequestHandler):
    keeper: Gatekeeper
    upstream: str
    protocol_version = "HTTP/1.1"
    _read = b""

    def handle(self) -> None:
        """Tell who begins with TLS that this is HTTP, as the registry would; engines try both."""
        if self.connection.recv(1, socket.MSG_PEEK) == _TLS:
            self.wfile.write(b"HTTP/1.0 400 Bad Request\r\n\r\n")
            return
        super().handle()

    def _handle(self) -> None:
        agent, authorization = (self.headers.get(name, "") for name in ("User-Agent", "Authorization"))
        asked = Asked(f"{self.command} {self.path}", agent, authorization, time.monotonic())
        if "/manifests/" in self.path:
            self._read = self._body()  # before it is decided: whoever sends it may be killed by the decision
        verdict = self.keeper.decide(asked)
        try:
            match verdict:
                case Answer():
                    self._body()
                    self._answer(verdict)
                case Verdict.RESET:
                    self._reset()
                case Verdict.CUT:
                    self._cut()
                case _:
                    self._forward(asked, answers=verdict is Verdict.HAND_ON)
        except (OSError, HTTPException):
            self._reset()

    # the names by which the base class finds them
    do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = _handle  # noqa: N815

    def _answer(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in {"Content-Type": "application/json", **answer.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def _cut(self) -> None:
        """Hand on all but the second half of the body, which the sender has not been asked for yet."""
        length = int(self.headers.get("Content-Length") or 0)
        if self._read:
            half = self._read[: length // 2]
        else:
            half = self.rfile.read(length // 2) if length else self._chunk() if self._is_chunked() else b""
        connection = HTTPConnection(self.upstream, timeout=60)
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in _HOP:
                    connection.putheader(name, value)
            connection.putheader("Content-Length", str(length or 2 * len(half) + 1))
            connection.endheaders(half)
        finally:
            connection.close()
            self._reset()

    def _forward(self, asked: Asked, *, answers: bool) -> None:
        body = self._body()
        connection = HTTPConnection(self.upstream, timeout=60)
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP}
            connection.request(self.command, self.path, body=body, headers=headers)
            answer = connection.getresponse()
            content = answer.read()
            self.keeper.answered(asked, body, answer.status)
            if not answers:
                self._reset()
                return
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in _HOP:
                    self.send_header(name, value)
            length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(content))
            self.send_header("Content-Length", length or "0")
            self.end_headers()
            self.wfile.write(content)
        finally:
            connection.close()

    def _body(self) -> bytes:
        read, self._read = self._read, b""
        if read:
            return read
        if not self._is_chunked():
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while chunk := self._chunk():
            parts.append(chunk)
        return b"".join(parts)

    def _is_chunked(self) -> bool:
        return self.headers.get("Transfer-Encoding", "").lower() == "chunked"

    def _chunk(self) -> bytes:
        """The next chunk with what ends it; empty after the last."""
        chunk = self.rfile.read(int(self.rfile.readline().split(b";")[0], 16))
        self.rfile.readline()
        return chunk

    def _reset(self) -> None:
        """Close so that the other side sees a reset, not an orderly end."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.connection.close()
        self.rfile.close()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the name that the base class has)
        """Say nothing."""


def once_public_tag(then: Callable[[], Verdict], *, number: int = 1) -> Judge:
    """Lets everything pass until the given public tag is to be put; from then on `then` decides."""
    seen = 0

    def judge(request: str) -> Verdict:
        nonlocal seen
        seen += PUBLIC_TAG.fullmatch(request) is not None
        return then() if seen >= number else Verdict.HAND_ON

    return judge
