"""A TCP port that speaks TLS, asks for a client's certificate, and hands on what it gets: a BuildKit behind mTLS."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

_REQUEST = """\
[req]
distinguished_name = name
x509_extensions = authority
[name]
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
"""
_LEAF = (
    "basicConstraints = critical, CA:FALSE\nsubjectAltName = IP:127.0.0.1\nextendedKeyUsage = serverAuth, clientAuth\n"
)


def create_certificates(openssl: str, folder: Path) -> None:
    """`ca.pem`, and a certificate with its key for the server and for a client, by a new authority."""
    folder.mkdir(parents=True)
    (folder / "request.cnf").write_text(_REQUEST)
    (folder / "leaf.cnf").write_text(_LEAF)
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-config", "request.cnf")
    commands: list[tuple[str, ...]] = [
        ("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=authority", "-days", "3")
    ]
    for name in ("server", "client"):
        signing = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "leaf.cnf", "-days", "3")
        commands += [
            ("req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}"),
            ("x509", "-req", "-in", f"{name}.csr", *signing, "-out", f"{name}.pem"),
        ]
    for command in commands:
        subprocess.run([openssl, *command], cwd=folder, capture_output=True, check=True)


@contextmanager
def guarded(port: int, certificates: Path) -> Iterator[int]:
    """A port that leads to another one, for clients with a certificate of the authority."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(certificates / "ca.pem"))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        threading.Thread(target=_serve, args=(server, context, port), daemon=True).start()
        try:
            yield server.getsockname()[1]
        finally:
            with suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)


def _serve(server: socket.socket, context: ssl.SSLContext, port: int) -> None:
    while True:
        try:
            client, _ = server.accept()
        except OSError:
            return
        threading.Thread(target=_connect, args=(client, context, port), daemon=True).start()


def _connect(client: socket.socket, context: ssl.SSLContext, port: int) -> None:
    """One connection. An `SSLSocket` is not to be read and written by two threads at once, so a pipe of memory is."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_side=True)
    lock = threading.Lock()
    with closing(client), suppress(OSError, ssl.SSLError):
        while not _shaken(tls):
            client.sendall(outgoing.read())
            incoming.write(_some(client))
        client.sendall(outgoing.read())
        with socket.create_connection(("127.0.0.1", port)) as upstream:
            threading.Thread(target=_back, args=(upstream, client, tls, outgoing, lock), daemon=True).start()
            while True:
                with lock:
                    data = _read(tls)
                if data:
                    upstream.sendall(data)
                else:
                    incoming.write(_some(client))


def _shaken(tls: ssl.SSLObject) -> bool:
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True


def _read(tls: ssl.SSLObject) -> bytes:
    try:
        return tls.read(65536)
    except ssl.SSLWantReadError:
        return b""


def _some(client: socket.socket) -> bytes:
    data = client.recv(65536)
    if not data:
        msg = "closed"
        raise ConnectionError(msg)
    return data


def _back(
    upstream: socket.socket, client: socket.socket, tls: ssl.SSLObject, outgoing: ssl.MemoryBIO, lock: threading.Lock
) -> None:
    with suppress(OSError, ssl.SSLError):
        while data := upstream.recv(65536):
            with lock:
                tls.write(data)
                ready = outgoing.read()
            client.sendall(ready)
        client.shutdown(socket.SHUT_RDWR)
