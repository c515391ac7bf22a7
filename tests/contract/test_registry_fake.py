"""The fake registry itself, by plain HTTP: what the client of this package never does but others do."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from orchestrator.oci.digest import digest_bytes
from orchestrator.testing.registry import Cut, FakeRegistry, Hold
from tests.contract.registry_sample import make_sample


@contextmanager
def connected(registry: FakeRegistry) -> Iterator[http.client.HTTPConnection]:
    """One connection."""
    with closing(http.client.HTTPConnection(registry.host)) as connection:
        yield connection


def ask(connection: http.client.HTTPConnection, method: str, path: str) -> tuple[int, dict[str, str], bytes]:
    """One request without a body."""
    connection.request(method, path)
    with connection.getresponse() as response:
        return response.status, dict(response.getheaders()), response.read()


def test_chunked_upload() -> None:
    """An upload in chunks of unknown length, as Docker does it, becomes a blob."""
    content = b"layer" * 1000
    with FakeRegistry() as registry, connected(registry) as connection:
        _, headers, _ = ask(connection, "POST", "/v2/acme/api/blobs/uploads/")
        connection.request("PATCH", headers["Location"], iter([content[:999], content[999:]]), encode_chunked=True)
        with connection.getresponse() as response:
            response.read()
            location, extent = response.headers["Location"], response.headers["Range"]
        status, _, _ = ask(connection, "PUT", f"{location}&digest={digest_bytes(content)}")
        assert (201, "0-4999", {digest_bytes(content): content}) == (status, extent, registry.blobs("acme/api"))


def test_delete() -> None:
    """A manifest that is deleted takes its tags with it; a blob can be deleted, too."""
    with FakeRegistry() as registry, connected(registry) as connection:
        digest = registry.put_manifest("acme/api", "1.0", make_sample().manifest)
        blob = registry.put_blob("acme/api", b"x")
        assert ask(connection, "DELETE", f"/v2/acme/api/manifests/{digest}")[0] == 202
        assert ask(connection, "DELETE", f"/v2/acme/api/blobs/{blob}")[0] == 202
        assert ({}, {}, {}) == (registry.tags("acme/api"), registry.manifests("acme/api"), registry.blobs("acme/api"))


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/", 404),
        ("GET", "/token", 404),
        ("GET", "/v2", 200),
        ("GET", "/v2/acme/api/tags/list", 404),
        ("PUT", "/v2/acme/api/blobs/uploads/gone?digest=x", 404),
        ("PUT", "/v2/acme/api/manifests/1.0", 400),
        ("GET", "/v2/acme/api/blobs/x", 404),
    ],
)
def test_statuses(method: str, path: str, expected: int) -> None:
    """What is not there is answered as the specification says."""
    with FakeRegistry() as registry, connected(registry) as connection:
        assert expected == ask(connection, method, path)[0]


def test_hold() -> None:
    """A held request waits for `release`, and is answered then."""
    with FakeRegistry() as registry, connected(registry) as connection:
        registry.fail("GET", "/v2/", Hold())
        statuses: list[int] = []
        thread = threading.Thread(target=lambda: statuses.append(ask(connection, "GET", "/v2/")[0]))
        thread.start()
        while not registry.requests:
            thread.join(0.001)
        assert [] == statuses
        registry.release()
        thread.join()
        assert [200] == statuses


def test_stop_ends_connections() -> None:
    """A registry that stops leaves nobody waiting, not even those it was answering."""
    with FakeRegistry() as registry, connected(registry) as connection:
        registry.put_manifest("acme/api", "1.0", make_sample().manifest)
        registry.fail("GET", ".*", Cut(after=5))
        with pytest.raises(http.client.IncompleteRead):
            ask(connection, "GET", "/v2/acme/api/manifests/1.0")
        connection.close()
        ask(connection, "GET", "/v2/")
        registry.stop()
        with pytest.raises((http.client.HTTPException, OSError)):
            ask(connection, "GET", "/v2/")
