"""The registry client against a registry that answers what it likes."""

from __future__ import annotations

import re

import pytest

from orchestrator.errors import RegistryError
from orchestrator.oci.digest import digest_bytes
from orchestrator.oci.manifest import DOCKER_MANIFEST, MAX_MANIFEST_BYTES, OCI_INDEX, OCI_MANIFEST, Manifest
from orchestrator.registry.failure import RequestError
from orchestrator.testing.registry import AnswerWith, FakeRegistry, Rewrite
from tests.contract.registry_sample import (
    describe,
    make_sample,
    opened,
    put_sample,
    read_blob,
    repository_of,
    source_of,
)

MANIFESTS = r"/v2/acme/api/manifests/.*"


def test_find_is_one_head() -> None:
    """A tag costs one HEAD that says which media types are taken."""
    with FakeRegistry() as registry, opened() as stores:
        digest = registry.put_manifest("acme/api", "1.0", make_sample().manifest)
        assert digest == stores.repository(repository_of(registry)).find("1.0")
        request = registry.requests[0]
    assert [logged.method for logged in registry.requests] == ["HEAD"]
    assert {OCI_INDEX, OCI_MANIFEST, DOCKER_MANIFEST} < set(request.headers["accept"].split(", "))


@pytest.mark.parametrize(
    "action", [Rewrite(headers={"Docker-Content-Digest": None}), AnswerWith(status=405)], ids=["no digest", "no HEAD"]
)
def test_find_by_get(action: Rewrite | AnswerWith) -> None:
    """A registry whose HEAD says nothing is asked by GET."""
    with FakeRegistry() as registry, opened() as stores:
        digest = registry.put_manifest("acme/api", "1.0", make_sample().manifest)
        registry.fail("HEAD", MANIFESTS, action)
        assert digest == stores.repository(repository_of(registry)).find("1.0")


@pytest.mark.parametrize("header", ["md5:1234", "sha256:../../x", digest_bytes(b"other"), "sha512:" + "0" * 128])
def test_digest_header_is_not_believed(header: str) -> None:
    """A digest in a header must be legal and must be that of the content."""
    with FakeRegistry() as registry, opened() as stores:
        digest = registry.put_manifest("acme/api", "1.0", make_sample().manifest)
        registry.fail(".*", MANIFESTS, Rewrite(headers={"Docker-Content-Digest": header}), times=0)
        store = stores.repository(repository_of(registry))
        with pytest.raises(RegistryError):
            store.fetch_manifest("1.0")
        with pytest.raises(RegistryError):
            store.find(digest)
        with pytest.raises(RegistryError):
            store.put_manifest("1.0", Manifest(media_type=OCI_INDEX, content=b'{"schemaVersion":2,"manifests":[]}'))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"\xff\xfe",
        b"[" * 200_000,
        b'{"schemaVersion":2}',
        b'{"schemaVersion":2,"manifests":[],"layers":[]}',
        b'{"schemaVersion":2,"mediaType":"text/plain","manifests":[]}',
        b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","manifests":[]}',
        b" " * (MAX_MANIFEST_BYTES + 1),
    ],
    ids=range(10),
)
def test_hostile_manifest(body: bytes) -> None:
    """A body that is no manifest, two at once, or without end is an error of the registry."""
    with FakeRegistry() as registry, opened() as stores:
        registry.put_manifest("acme/api", "1.0", make_sample().manifest)
        registry.fail("GET", MANIFESTS, Rewrite(body=body, headers={"Docker-Content-Digest": None}))
        with pytest.raises(RegistryError):
            stores.repository(repository_of(registry)).fetch_manifest("1.0")


def test_other_content_than_asked_for() -> None:
    """What is fetched by digest has that digest, or is refused."""
    with FakeRegistry() as registry, opened() as stores:
        digest = registry.put_manifest("acme/api", "", make_sample().manifest)
        other = make_sample("linux/arm64").manifest.content
        registry.fail("GET", MANIFESTS, Rewrite(body=other, headers={"Docker-Content-Digest": None}))
        with pytest.raises(RegistryError, match="has the digest"):
            stores.repository(repository_of(registry)).fetch_manifest(digest)


def test_other_blob_than_asked_for() -> None:
    """A blob with other bytes is refused before its end is given out."""
    with FakeRegistry() as registry, opened() as stores:
        registry.put_blob("acme/api", b"content")
        registry.fail("GET", ".*/blobs/.*", Rewrite(body=b"tnetnoc"))
        with pytest.raises(RegistryError, match="another digest"):
            read_blob(stores.repository(repository_of(registry)), describe(b"content"))


def test_error_says_what_the_registry_said() -> None:
    """An error names the request, the status and the registry's codes, and says what to do."""
    body = b'{"errors":[{"code":"DENIED","message":"not \\u001b[31mallowed\\nhere"}]}'
    with FakeRegistry() as registry, opened() as stores:
        registry.fail("PUT", MANIFESTS, AnswerWith(status=403, body=body))
        with pytest.raises(RequestError) as caught:
            stores.repository(repository_of(registry)).put_manifest("1.0", make_sample().manifest)
    error = caught.value
    expected = f"`PUT {registry.url}/v2/acme/api/manifests/1.0`: answered 403 (DENIED: not [31mallowed here)"
    assert expected == error.message
    assert (error.failure.codes, error.failure.status) == (("DENIED",), 403)
    assert any(f"docker login {registry.host}" in hint for hint in error.hints)


@pytest.mark.parametrize("body", [b"", b"x" * 100_000, b'{"errors":7}', b'{"errors":[{}]}', b"[" * 50_000])
def test_hostile_error_body(body: bytes) -> None:
    """An error body of any shape and size gives a short error."""
    with FakeRegistry() as registry, opened() as stores:
        registry.fail("GET", MANIFESTS, AnswerWith(status=400, body=body))
        with pytest.raises(RequestError) as caught:
            stores.repository(repository_of(registry)).fetch_manifest("1.0")
    assert len(caught.value.message) < 1000


@pytest.mark.parametrize(
    ("status", "body", "hint"),
    [
        (404, b'{"errors":[{"code":"NAME_UNKNOWN"}]}', "create the repository"),
        (400, b"Client sent an HTTP request to an HTTPS server.\n", "speaks TLS: put its authority at"),
        (413, b"<html>too large</html>", "size limit"),
        (429, b'{"errors":[{"code":"TOOMANYREQUESTS"}]}', "limits requests"),
        (503, b"", "run the same command again"),
    ],
)
def test_hints(status: int, body: bytes, hint: str) -> None:
    """What went wrong decides what to do."""
    with FakeRegistry() as registry, opened(attempts=1) as stores:
        registry.fail("POST", ".*", AnswerWith(status=status, body=body))
        with pytest.raises(RequestError) as caught:
            stores.repository(repository_of(registry)).put_blob(describe(b"x"), source_of(b"x"))
    assert any(hint in text for text in caught.value.hints)


@pytest.mark.parametrize("status", [200, 202, 204])
def test_put_that_stores_nothing(status: int) -> None:
    """A manifest is put when the registry says that it was created, or at least that it knows its digest."""
    with FakeRegistry() as registry, opened() as stores:
        registry.fail("PUT", ".*", AnswerWith(status=status, headers={"Docker-Content-Digest": "sha256:0"}))
        with pytest.raises(RegistryError, match=r"answered 202|illegal digest"):
            stores.repository(repository_of(registry)).put_manifest("1.0", make_sample().manifest)


def test_nothing_listens() -> None:
    """A registry that is gone is named, with what to check; without a traceback of the library."""
    with FakeRegistry() as registry:
        repository = repository_of(registry)
    with opened() as stores, pytest.raises(RequestError) as caught:
        stores.repository(repository).find("1.0")
    assert re.search(rf"cannot connect to `{re.escape(registry.host)}`: connection refused", caught.value.message)
    assert any(registry.host in hint for hint in caught.value.hints)


def test_tags_over_pages() -> None:
    """All tags come, however many pages they take."""
    with FakeRegistry() as registry, opened() as stores:
        manifest = make_sample().manifest
        expected = [f"1.{number:03}" for number in range(250)]
        for tag in expected:
            registry.put_manifest("acme/api", tag, manifest)
        assert expected == list(stores.repository(repository_of(registry)).tags())
        assert registry.count("GET", ".*/tags/list.*") == 3


@pytest.mark.parametrize(
    "link",
    [
        "<https://evil.example/v2/acme/api/tags/list?n=1>",
        "</v2/other/tags/list?n=1>",
        "<ftp://x>",
        "<\x7f>",
        "</v2/acme/api/tags/list?n=1000>",
    ],
)
def test_link_elsewhere(link: str) -> None:
    """Tags are followed within the same list only, and not in a circle of one."""
    with FakeRegistry() as registry, opened() as stores:
        registry.put_manifest("acme/api", "1.0", make_sample().manifest)
        registry.fail("GET", ".*/tags/list.*", Rewrite(headers={"Link": f'{link}; rel="next"'}), times=0)
        with pytest.raises(RegistryError, match="links to"):
            list(stores.repository(repository_of(registry)).tags())


@pytest.mark.parametrize("body", [b'{"tags":["a b"]}', b'{"tags":[1]}', b"{}x", b'{"tags":["\\u001b"]}', b"\xff"])
def test_hostile_tags(body: bytes) -> None:
    """A tag that no reference could name is not passed on."""
    with FakeRegistry() as registry, opened() as stores:
        registry.put_manifest("acme/api", "1.0", make_sample().manifest)
        registry.fail("GET", ".*/tags/list.*", Rewrite(body=body))
        with pytest.raises(RegistryError, match="no list of tags"):
            list(stores.repository(repository_of(registry)).tags())


def test_upload_is_streamed_in_one_put() -> None:
    """A blob that is not there takes HEAD, POST and one PUT with its length and the upload's own query."""
    content = b"x" * 3_000_000
    with FakeRegistry() as registry, opened() as stores:
        stores.repository(repository_of(registry)).put_blob(describe(content), source_of(content))
        assert [logged.method for logged in registry.requests] == ["HEAD", "POST", "PUT"]
        put = registry.requests[2]
    assert str(len(content)) == put.headers["content-length"]
    assert "_state=" in put.path


@pytest.mark.parametrize("location", ["", "ftp://x/", "http://user:pass@127.0.0.1/", "\x7f", "http://192.0.2.1/upload"])
def test_hostile_upload_location(location: str) -> None:
    """An upload goes nowhere but to a legal place that is no less safe than the registry."""
    with FakeRegistry() as registry, opened() as stores:
        registry.fail("POST", ".*/uploads/", AnswerWith(status=202, headers={"Location": location}))
        with pytest.raises(RegistryError):
            stores.repository(repository_of(registry)).put_blob(describe(b"x"), source_of(b"x"))
        assert registry.count("PUT", ".*") == 0


def test_mount() -> None:
    """A blob of another repository of the registry is mounted without being sent."""
    with FakeRegistry() as registry, opened() as stores:
        registry.put_blob("acme/base", b"layer")
        target = stores.repository(repository_of(registry))
        assert target.mount_blob(describe(b"layer"), stores.repository(repository_of(registry, "acme/base")))
        assert {digest_bytes(b"layer"): b"layer"} == registry.blobs("acme/api")


def test_mount_not_possible() -> None:
    """Where the registry opens an upload instead of mounting, that is ended and False comes back."""
    with FakeRegistry() as registry, opened() as stores:
        target = stores.repository(repository_of(registry))
        assert not target.mount_blob(describe(b"layer"), stores.repository(repository_of(registry, "acme/base")))
        assert registry.count("DELETE", ".*/uploads/.*") == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405])
def test_mount_refused(status: int) -> None:
    """A refused mount is no failure: the upload that follows tells what is wrong."""
    with FakeRegistry() as registry, opened() as stores:
        registry.fail("POST", ".*mount=.*", AnswerWith(status=status), times=0)
        target = stores.repository(repository_of(registry))
        assert not target.mount_blob(describe(b"layer"), stores.repository(repository_of(registry, "acme/base")))


def test_no_mount_over_registries() -> None:
    """Nothing is mounted from another registry."""
    with FakeRegistry() as registry, FakeRegistry() as other, opened() as stores:
        target = stores.repository(repository_of(registry))
        assert not target.mount_blob(describe(b"layer"), stores.repository(repository_of(other)))
        assert registry.requests == ()


def test_ping() -> None:
    """A registry that answers is reachable; what is no registry is not."""
    with FakeRegistry() as registry, opened() as stores:
        stores.ping(registry.host)
        registry.fail("GET", "/v2/", AnswerWith(status=404))
        with pytest.raises(RegistryError, match="answered 404"):
            stores.ping(registry.host)


def test_missing_parts_are_refused_by_the_registry() -> None:
    """An index whose children are not there is the registry's to refuse, with its code in the error."""
    with FakeRegistry() as registry, opened() as stores:
        source = stores.repository(repository_of(registry, "acme/other"))
        index = put_sample(source, make_sample())
        with pytest.raises(RequestError, match="MANIFEST_BLOB_UNKNOWN"):
            stores.repository(repository_of(registry)).put_manifest("1.0", index)
        assert registry.tags("acme/api") == {}


def test_closed_stores() -> None:
    """Nothing is opened after the end."""
    with FakeRegistry() as registry:
        with opened() as stores:
            store = stores.repository(repository_of(registry))
        with pytest.raises(RegistryError, match="closed"):
            store.find("1.0")
