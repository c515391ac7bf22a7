r"""`FakeRegistry`: an OCI registry on the loopback interface, for tests of what talks to one.

It keeps everything in memory, speaks real HTTP (or TLS) through real sockets, and does wrong what it is told to:

    with FakeRegistry() as registry:
        registry.fail("PUT", r"/v2/acme/api/manifests/.*", AnswerWith(status=503), times=2)
        push(f"{registry.host}/acme/api:1.0")
        assert registry.tags("acme/api") == {"1.0": digest}
        assert registry.count("PUT", r".*/manifests/1\.0") == 3
"""

from __future__ import annotations

import re
import socket
import ssl
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Final, Self, assert_never, cast

from orchestrator.model import Model
from orchestrator.oci.digest import Digest, digest_bytes
from orchestrator.oci.manifest import Manifest
from orchestrator.testing.registry_access import Access, Basic, Bearer, Gate, Open
from orchestrator.testing.registry_content import Asked, Content, Deletes, Said
from orchestrator.testing.registry_faults import (
    Action,
    AnswerWith,
    Cut,
    Fault,
    Faults,
    Hold,
    LoseAnswer,
    Reset,
    Rewrite,
)

__all__ = [
    "AnswerWith",
    "Basic",
    "Bearer",
    "Cut",
    "Deletes",
    "FakeRegistry",
    "Hold",
    "Logged",
    "LoseAnswer",
    "Open",
    "Reset",
    "Rewrite",
]

_LOOPBACK: Final = "127.0.0.1"


class Logged(Model):
    """A request as it came: `path` with its query, header names in lower case."""

    method: str
    path: str
    headers: dict[str, str]


class FakeRegistry:
    """A registry that lives as long as the `with` statement.

    Args:
        access: who is let in.
        tls: a PEM file with key and certificate; plain HTTP without it.
        deletes: what it deletes of manifests.
    """

    def __init__(
        self, *, access: Access | None = None, tls: Path | None = None, deletes: Deletes = Deletes.ALL
    ) -> None:
        self.content = Content(deletes)
        self._faults = Faults()
        self._log: list[Logged] = []
        self._released = threading.Event()
        self._server = _Server(self, tls)
        self.host = f"{_LOOPBACK}:{self._server.server_address[1]}"
        self.url = f"{'https' if tls else 'http'}://{self.host}"
        self._gate = Gate(access or Open(), self.url)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="fake registry")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop listening and close every connection; harmless if it has stopped."""
        self.release()
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
            self._server.close_connections()
            self._server.server_close()

    @property
    def requests(self) -> tuple[Logged, ...]:
        """Every request so far, in the order of their arrival."""
        return tuple(self._log)

    def count(self, method: str, path: str) -> int:
        """How many requests there were whose method and path (with query) these whole regular expressions fit."""
        return sum(
            bool(re.fullmatch(method, logged.method) and re.fullmatch(path, logged.path)) for logged in self._log
        )

    def fail(self, method: str, path: str, action: Action, *, times: int = 1) -> None:
        """Have something go wrong with the next requests that fit; `times` 0 means with all of them."""
        self._faults.add(Fault(method=method, path=path, action=action, times=times))

    def release(self) -> None:
        """Let requests go on that `Hold` stopped."""
        self._released.set()

    def expire_tokens(self) -> None:
        """End every token that was given out."""
        self._gate.expire()

    def put_blob(self, repository: str, content: bytes) -> Digest:
        """Have a blob in a repository."""
        digest = digest_bytes(content)
        self.content.blobs(repository)[digest] = content
        return digest

    def put_manifest(self, repository: str, tag: str, manifest: Manifest) -> Digest:
        """Have a manifest in a repository, under a tag if it is not empty; what it names need not be there."""
        self.content.manifests(repository)[manifest.digest] = manifest
        if tag:
            self.content.tags(repository)[tag] = manifest.digest
        return manifest.digest

    def tags(self, repository: str) -> dict[str, str]:
        """The tags of a repository, with the digests that they stand for."""
        return dict(self.content.tags(repository))

    def manifests(self, repository: str) -> dict[str, Manifest]:
        """The manifests and indexes of a repository by digest."""
        return dict(self.content.manifests(repository))

    def blobs(self, repository: str) -> dict[str, bytes]:
        """The blobs of a repository by digest."""
        return dict(self.content.blobs(repository))

    def answer(self, asked: Asked) -> tuple[Said, Action | None]:
        """What to say to a request, and how to say it wrong; for the handler."""
        path = f"{asked.path}{'?' if asked.query else ''}{asked.query}"
        self._log.append(Logged(method=asked.method, path=path, headers=dict(asked.headers)))
        action = self._faults.take(asked.method, path)
        match action:
            case AnswerWith():
                return Said(status=action.status, headers=dict(action.headers), body=action.body), None
            case Reset():
                return Said(status=0), action
            case Hold():
                self._released.wait()
            case LoseAnswer() | Cut() | Rewrite() | None:
                pass
            case _ as never:
                assert_never(never)
        return self._admit(asked), action

    def _admit(self, asked: Asked) -> Said:
        authorization = asked.headers.get("authorization", "")
        if asked.path == "/token":
            status, body = self._gate.make_token(asked.method, asked.query, authorization, asked.body)
            return Said(status=status, headers={"Content-Type": "application/json"}, body=body)
        challenge = self._gate.refuse(authorization, asked.needs)
        if challenge is not None:
            headers = {"WWW-Authenticate": challenge, "Content-Type": "application/json"}
            body = b'{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}'
            return Said(status=401, headers=headers, body=body)
        return self.content.answer(asked)


class _Server(ThreadingHTTPServer):
    daemon_threads = False

    def __init__(self, registry: FakeRegistry, tls: Path | None) -> None:
        self.registry = registry
        self._connections: list[socket.socket] = []
        self._context: ssl.SSLContext | None = None
        if tls is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(tls)
        super().__init__((_LOOPBACK, 0), _Handler)

    def finish_request(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        """Runs in a thread a connection; the TLS handshake belongs there, or one client stops all others."""
        connection = cast("socket.socket", request)  # typeshed allows for UDP
        self._connections.append(connection)
        if self._context is None:
            super().finish_request(connection, client_address)
            return
        with self._context.wrap_socket(connection, server_side=True) as encrypted:
            self._connections.append(encrypted)
            super().finish_request(encrypted, client_address)

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that go away are what tests are about; nothing is printed."""

    def close_connections(self) -> None:
        """End the connections that clients keep, or their threads would never end."""
        for connection in self._connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # closed already


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def _serve(self) -> None:
        server = cast("_Server", self.server)  # made by nobody else
        path, _, query = self.path.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(method=self.command, path=path, query=query, headers=headers, body=self._read_body())
        said, action = server.registry.answer(asked)
        match action:
            case Reset() | LoseAnswer():
                self._reset()
            case Rewrite():
                changed = {**said.headers, **action.headers}
                kept = {name: value for name, value in changed.items() if value is not None}
                body = said.body if action.body is None else action.body
                self._send(Said(status=said.status, headers=kept, body=body), len(body))
            case Cut():
                self._send(said, action.after)
                self.close_connection = True
            case _:
                self._send(said, len(said.body))

    def __getattr__(self, name: str) -> object:
        """`http.server` looks for a method `do_<verb>`; every verb is served alike."""
        if name.startswith("do_"):
            return self._serve
        raise AttributeError(name)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class calls it so
        """Requests are in `FakeRegistry.requests`."""

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        content = bytearray()
        while size := int(self.rfile.readline().split(b";")[0], 16):
            content += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return bytes(content)

    def _send(self, said: Said, sent: int) -> None:
        self.send_response(said.status)
        for name, value in said.headers.items():
            self.send_header(name, value)
        if "Content-Length" not in said.headers:
            self.send_header("Content-Length", str(len(said.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(said.body[:sent])

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()
