from __future__ import annotations

import socket

import pytest
from urllib3.connection import HTTPConnection
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NameResolutionError, ProtocolError, ProxyError

from orchestrator.registry.transport import Request, translate
from orchestrator.registry.url import parse_url

REQUEST = Request(method="GET", url=parse_url("https://registry.example/v2/acme/api/blobs/x?signature=s3cret"))
CONNECTION = HTTPConnection("registry.example")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (NameResolutionError("s3cret", CONNECTION, socket.gaierror(-2, "s3cret")), "cannot be resolved"),
        (ConnectTimeoutError(CONNECTION, "s3cret"), "cannot be reached in time"),
        (ProxyError("s3cret", OSError("s3cret")), "the proxy"),
        (ProtocolError("s3cret", ConnectionResetError(104, "Connection reset by peer")), "connection reset by peer"),
        (HTTPError("s3cret"), "the connection broke"),
    ],
)
def test_broken_connections(error: HTTPError, expected: str) -> None:
    """What the library says is put in our words, since its own hold whole URLs; all of it may pass."""
    translated = translate(error, REQUEST)
    assert expected in translated.message
    assert translated.failure.is_transient
    assert "s3cret" not in f"{translated} {translated.hints} {translated.failure}"
