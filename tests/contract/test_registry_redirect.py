"""Redirects and TLS: what is followed, what is sent on, what is shown."""

from __future__ import annotations

import shutil
import socket
import threading
from pathlib import Path

import pytest

from orchestrator.errors import RegistryError
from orchestrator.oci.reference import parse_repository
from orchestrator.registry import open_stores
from orchestrator.registry.failure import RequestError
from orchestrator.testing.registry import AnswerWith, Basic, FakeRegistry
from tests.contract.registry_sample import (
    TLS,
    USERS,
    describe,
    encode,
    login_to,
    make_sample,
    opened,
    put_sample,
    read_blob,
    repository_of,
    source_of,
)

BLOBS = ".*/blobs/.*"


def redirect(location: str, status: int = 307) -> AnswerWith:
    """A redirect."""
    return AnswerWith(status=status, headers={"Location": location})


def trust(registry: FakeRegistry, folder: Path) -> None:
    """Install an authority and a client certificate for a registry where Docker looks for them."""
    certificates = folder / ".docker" / "certs.d" / registry.host
    certificates.mkdir(parents=True)
    for name in ("ca.crt", "client.cert", "client.key"):
        shutil.copy(TLS, certificates / name)


def hang_up(server: socket.socket, times: int) -> None:
    """Take connections and close them."""
    for _ in range(times):
        server.accept()[0].close()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_blob_from_another_host(status: int, tmp_path: Path) -> None:
    """A blob may come from another host, which gets no `Authorization`."""
    with FakeRegistry(access=Basic(users=USERS)) as registry, FakeRegistry() as cdn:
        digest = cdn.put_blob("store/x", b"layer")
        registry.fail("GET", BLOBS, redirect(f"{cdn.url}/v2/store/x/blobs/{digest}?signature=s3cret", status))
        with opened(login_to(registry, tmp_path)) as stores:
            assert read_blob(stores.repository(repository_of(registry)), describe(b"layer")) == b"layer"
        assert [("GET", f"/v2/store/x/blobs/{digest}?signature=s3cret")] == [
            (logged.method, logged.path) for logged in cdn.requests
        ]
        assert not any("authorization" in logged.headers for logged in cdn.requests)


def test_password_is_not_given_to_who_asks(tmp_path: Path) -> None:
    """A host that a redirect leads to and that asks for a login gets none."""
    with FakeRegistry(access=Basic(users=USERS)) as registry, FakeRegistry(access=Basic(users=USERS)) as evil:
        with opened(login_to(registry, tmp_path)) as stores:
            store = stores.repository(repository_of(registry))
            store.find("1.0")
            registry.fail("GET", BLOBS, redirect(f"{evil.url}/v2/x/x/blobs/y"))
            with pytest.raises(RequestError, match="401"):
                read_blob(store, describe(b"layer"))
        assert not any("authorization" in logged.headers for logged in evil.requests)


def test_redirect_within_the_registry(tmp_path: Path) -> None:
    """A redirect to the same host keeps the login."""
    with FakeRegistry(access=Basic(users=USERS)) as registry, opened(login_to(registry, tmp_path)) as stores:
        digest = registry.put_blob("acme/other", b"layer")
        registry.fail("GET", ".*/acme/api/blobs/.*", redirect(f"/v2/acme/other/blobs/{digest}"), times=2)
        assert read_blob(stores.repository(repository_of(registry)), describe(b"layer")) == b"layer"


def test_redirects_without_end() -> None:
    """After five redirects it is enough."""
    with FakeRegistry() as registry, opened() as stores:
        registry.fail("GET", BLOBS, redirect("?again"), times=0)
        with pytest.raises(RegistryError, match="not followed"):
            read_blob(stores.repository(repository_of(registry)), describe(b"layer"))
        assert registry.count("GET", ".*") == 6


def test_writes_are_not_redirected() -> None:
    """A manifest goes where it was meant to go, or nowhere."""
    with FakeRegistry() as registry, FakeRegistry() as other, opened() as stores:
        registry.fail("PUT", ".*", redirect(f"{other.url}/v2/acme/api/manifests/1.0"))
        with pytest.raises(RegistryError, match="not followed"):
            stores.repository(repository_of(registry)).put_manifest("1.0", make_sample().manifest)
        assert other.requests == ()


@pytest.mark.parametrize(
    "location", ["", "http://192.0.2.1/x", "file:///etc/passwd", "http://u:p@127.0.0.1/", "https://[x]/", "gopher:x"]
)
def test_illegal_redirect(location: str) -> None:
    """A redirect leads to a legal place that is no less safe, or is refused."""
    with FakeRegistry() as registry, opened() as stores:
        registry.fail("GET", BLOBS, redirect(location))
        with pytest.raises(RegistryError):
            read_blob(stores.repository(repository_of(registry)), describe(b"layer"))


def test_signed_urls_are_not_shown() -> None:
    """Where a signed address fails, the error shows its host and nothing of what is signed."""
    with FakeRegistry() as registry, FakeRegistry() as cdn, opened(attempts=1) as stores:
        registry.fail("GET", BLOBS, redirect(f"{cdn.url}/bucket/s3cret-path?X-Signature=s3cret"), times=0)
        cdn.fail("GET", ".*", AnswerWith(status=403, body=b"<Error>s3cret</Error>"))
        with pytest.raises(RequestError) as caught:
            read_blob(stores.repository(repository_of(registry)), describe(b"layer"))
    assert f"`GET {cdn.url}/…`: answered 403" == caught.value.message
    assert "s3cret" not in f"{caught.value.hints} {caught.value.failure}"


def test_own_authority(tmp_path: Path) -> None:
    """A registry on the loopback interface with a certificate in `certs.d` is spoken to by TLS."""
    with FakeRegistry(tls=TLS) as registry:
        trust(registry, tmp_path)
        with opened({"HOME": str(tmp_path)}) as stores:
            store = stores.repository(repository_of(registry))
            index = put_sample(store, make_sample())
            assert index.digest == store.find(index.digest)


def test_unknown_authority(tmp_path: Path) -> None:
    """A certificate of nobody we know is refused at once, and the hint says where to put the authority's."""
    with FakeRegistry(tls=TLS) as registry:
        (tmp_path / ".docker" / "certs.d" / registry.host).mkdir(parents=True)
        with opened({"HOME": str(tmp_path)}) as stores, pytest.raises(RequestError, match="certificate") as caught:
            stores.repository(repository_of(registry)).find("1.0")
        assert registry.requests == ()
    assert any(f"certs.d/{registry.host}/ca.crt" in hint for hint in caught.value.hints)


def test_broken_certificate(tmp_path: Path) -> None:
    """A file in `certs.d` that is no certificate is named."""
    with FakeRegistry(tls=TLS) as registry:
        trust(registry, tmp_path)
        folder = tmp_path / ".docker" / "certs.d" / registry.host
        (folder / "ca.crt").write_text("no certificate")
        with opened({"HOME": str(tmp_path)}) as stores, pytest.raises(RegistryError, match=r"certs\.d"):
            stores.repository(repository_of(registry)).find("1.0")


def test_no_tls_there(tmp_path: Path) -> None:
    """A host that does not speak TLS is not spoken to without; the hint says who may allow it."""
    with FakeRegistry() as registry:
        (tmp_path / ".docker" / "certs.d" / registry.host).mkdir(parents=True)
        with (
            opened({"HOME": str(tmp_path)}) as stores,
            pytest.raises(RequestError, match="does not speak TLS") as caught,
        ):
            stores.repository(repository_of(registry)).find("1.0")
    assert any("your own configuration" in hint for hint in caught.value.hints)


def test_never_back_to_plain_http(tmp_path: Path) -> None:
    """From TLS no redirect leads to plain HTTP, not even on this machine."""
    with FakeRegistry(tls=TLS) as registry, FakeRegistry() as plain:
        trust(registry, tmp_path)
        registry.fail("GET", BLOBS, redirect(f"{plain.url}/v2/x/x/blobs/y"))
        with opened({"HOME": str(tmp_path)}) as stores, pytest.raises(RegistryError, match="without TLS"):
            read_blob(stores.repository(repository_of(registry)), describe(b"layer"))
        assert plain.requests == ()


def test_tls_handshake_that_breaks(tmp_path: Path) -> None:
    """A TLS connection that ends in the handshake may be a matter of the moment, and is tried again."""
    with socket.create_server(("127.0.0.1", 0)) as server, opened({"HOME": str(tmp_path)}, attempts=2) as stores:
        host = f"127.0.0.1:{server.getsockname()[1]}"
        (tmp_path / ".docker" / "certs.d" / host).mkdir(parents=True)
        thread = threading.Thread(target=hang_up, args=(server, 2))
        thread.start()
        with pytest.raises(RequestError, match="tried 2 times"):
            stores.ping(host)
        thread.join()


def test_proxy_gets_its_own_password_only(tmp_path: Path) -> None:
    """A proxy gets its password from its address; the address is asked of it as a whole, and nothing else is."""
    with FakeRegistry() as proxy:
        environment = {"HTTP_PROXY": f"http://ann:s3cret@{proxy.host}", "HOME": str(tmp_path)}
        with open_stores(environment, insecure=("registry.example",)) as stores:
            assert stores.repository(parse_repository("registry.example/acme/api")).find("1.0") is None
        request = proxy.requests[0]
    assert request.path == "http://registry.example/v2/acme/api/manifests/1.0"
    assert f"Basic {encode('ann', 's3cret')}" == request.headers["proxy-authorization"]
    assert "authorization" not in request.headers


def test_proxy_that_is_none() -> None:
    """A proxy of a kind that we cannot use is refused without showing its address, which may hold a password."""
    environment = {"HTTP_PROXY": "socks5://ann:s3cret@127.0.0.1:1"}
    with (
        open_stores(environment, insecure=("registry.example",)) as stores,
        pytest.raises(RegistryError, match="cannot use the proxy") as caught,
    ):
        stores.repository(parse_repository("registry.example/acme/api")).find("1.0")
    assert "s3cret" not in f"{caught.value} {caught.value.hints}"


def test_upload_to_another_host(tmp_path: Path) -> None:
    """An upload that the registry wants elsewhere goes there without a login."""
    with FakeRegistry(access=Basic(users=USERS)) as registry, FakeRegistry() as store:
        place = redirect(f"{store.url}/v2/x/x/blobs/uploads/1", 202)
        with opened(login_to(registry, tmp_path)) as stores:
            stores.ping(registry.host)
            registry.fail("POST", ".*", place)
            store.fail("PUT", ".*", AnswerWith(status=201))
            stores.repository(repository_of(registry)).put_blob(describe(b"x"), source_of(b"x"))
        assert [False] == ["authorization" in logged.headers for logged in store.requests]
