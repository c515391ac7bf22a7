"""Makes an engine a BuildKit node: a TCP port whose connections become gRPC connections to the embedded BuildKit.

The engine speaks gRPC after `POST /grpc` with `Upgrade: h2c`; buildx's `remote` driver wants a plain address.
"""

from __future__ import annotations

import socket
import sys
import threading
from pathlib import Path

_UPGRADE = b"POST /grpc HTTP/1.1\r\nHost: engine\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"


def serve(engine: Path, announce: Path) -> None:
    """Take connections for ever; the port is written to `announce` once it is open."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as server:
        unfinished = announce.with_suffix(".unfinished")
        unfinished.write_text(str(server.getsockname()[1]))
        unfinished.rename(announce)
        while True:
            client, _ = server.accept()
            threading.Thread(target=_connect, args=(client, engine), daemon=True).start()


def _connect(client: socket.socket, engine: Path) -> None:
    upstream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with client, upstream:
        try:
            upstream.connect(str(engine))
            upstream.sendall(_UPGRADE)
            rest = _skip_answer(upstream)
            client.sendall(rest)
        except OSError:
            return
        back = threading.Thread(target=_copy, args=(upstream, client), daemon=True)
        back.start()
        _copy(client, upstream)
        back.join()


def _skip_answer(upstream: socket.socket) -> bytes:
    """Read the `101` answer; returns what came after it."""
    received = b""
    while b"\r\n\r\n" not in received:
        part = upstream.recv(4096)
        if not part:
            msg = "the engine closed the connection"
            raise ConnectionError(msg)
        received += part
    head, _, rest = received.partition(b"\r\n\r\n")
    if b" 101 " not in head.split(b"\r\n")[0]:
        msg = f"the engine answered {head.decode(errors='replace')}"
        raise ConnectionError(msg)
    return rest


def _copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        for end in (source, target):
            _shut(end)


def _shut(end: socket.socket) -> None:
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


if __name__ == "__main__":
    serve(Path(sys.argv[1]), Path(sys.argv[2]))
