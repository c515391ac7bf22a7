"""What the client tries again, how often, and after which pause."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from orchestrator.errors import RegistryError
from orchestrator.oci.digest import digest_bytes
from orchestrator.registry import open_stores
from orchestrator.registry.failure import RequestError
from orchestrator.registry.patience import Patience
from orchestrator.testing.registry import AnswerWith, Bearer, Cut, FakeRegistry, Hold, LoseAnswer, Reset
from tests.contract.registry_sample import (
    describe,
    make_sample,
    opened,
    put_sample,
    read_blob,
    repository_of,
    source_of,
)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_status_that_passes(status: int) -> None:
    """A status of trouble is tried again."""
    with FakeRegistry() as registry, opened() as stores:
        digest = registry.put_manifest("acme/api", "1.0", make_sample().manifest)
        registry.fail("HEAD", ".*", AnswerWith(status=status), times=2)
        assert digest == stores.repository(repository_of(registry)).find("1.0")
        assert registry.count("HEAD", ".*") == 3


@pytest.mark.parametrize("status", [400, 401, 403, 416, 422, 501])
def test_status_that_stays(status: int) -> None:
    """A refusal is not asked for twice."""
    with FakeRegistry() as registry, opened() as stores:
        registry.fail("GET", ".*", AnswerWith(status=status), times=0)
        with pytest.raises(RequestError, match=f"answered {status}"):
            stores.repository(repository_of(registry)).fetch_manifest("1.0")
        assert registry.count("GET", ".*") == 1


def test_end_of_patience() -> None:
    """After the last attempt the error tells how many there were."""
    with FakeRegistry() as registry, opened(attempts=4) as stores:
        registry.fail("HEAD", ".*", AnswerWith(status=503), times=0)
        with pytest.raises(RequestError, match=r"answered 503, tried 4 times"):
            stores.repository(repository_of(registry)).find("1.0")
        assert registry.count("HEAD", ".*") == 4


def test_reset() -> None:
    """A connection that is reset is tried again."""
    with FakeRegistry() as registry, opened() as stores:
        digest = registry.put_manifest("acme/api", "1.0", make_sample().manifest)
        registry.fail("HEAD", ".*", Reset(), times=2)
        assert digest == stores.repository(repository_of(registry)).find("1.0")


def test_manifest_cut() -> None:
    """A manifest that breaks off is fetched again."""
    with FakeRegistry() as registry, opened() as stores:
        manifest = make_sample().manifest
        registry.put_manifest("acme/api", "1.0", manifest)
        registry.fail("GET", ".*", Cut(after=10))
        assert manifest == stores.repository(repository_of(registry)).fetch_manifest("1.0")


def test_lost_answer_of_a_put() -> None:
    """A manifest whose answer was lost is put again, which changes nothing."""
    with FakeRegistry() as registry, opened() as stores:
        store = stores.repository(repository_of(registry))
        index = put_sample(store, make_sample())
        registry.fail("PUT", ".*/manifests/1.0", LoseAnswer())
        store.put_manifest("1.0", index)
        assert {"1.0": index.digest} == registry.tags("acme/api")


def test_lost_answer_of_an_upload() -> None:
    """A blob whose answer was lost is found to be there, and not sent twice."""
    with FakeRegistry() as registry, opened() as stores:
        registry.fail("PUT", ".*/uploads/.*", LoseAnswer())
        stores.repository(repository_of(registry)).put_blob(describe(b"blob"), source_of(b"blob"))
        assert registry.count("PUT", ".*") == 1
        assert {digest_bytes(b"blob"): b"blob"} == registry.blobs("acme/api")


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT"])
@pytest.mark.parametrize("action", [Reset(), AnswerWith(status=503)], ids=["reset", "503"])
def test_broken_upload(method: str, action: Reset | AnswerWith) -> None:
    """An upload that breaks anywhere begins anew, with the source opened again."""
    content = b"layer" * 100_000
    with FakeRegistry() as registry, opened() as stores:
        registry.fail(method, ".*", action)
        stores.repository(repository_of(registry)).put_blob(describe(content), source_of(content))
        assert {digest_bytes(content): content} == registry.blobs("acme/api")


def test_uploads_have_one_patience() -> None:
    """Tries within an upload and tries of the upload are not multiplied."""
    with FakeRegistry() as registry, opened(attempts=3) as stores:
        registry.fail("POST", ".*", AnswerWith(status=503), times=0)
        with pytest.raises(RegistryError):
            stores.repository(repository_of(registry)).put_blob(describe(b"x"), source_of(b"x"))
        assert registry.count("POST", ".*") == 3


def test_download_goes_on_where_it_broke() -> None:
    """A blob that breaks off again and again is taken up by range, and no byte is lost or doubled."""
    content = bytes(range(256)) * 4000
    with FakeRegistry() as registry, opened() as stores:
        registry.put_blob("acme/api", content)
        registry.fail("GET", ".*", Cut(after=300_000), times=3)
        assert content == read_blob(stores.repository(repository_of(registry)), describe(content))
        ranges = [logged.headers.get("range", "") for logged in registry.requests]
    assert len(ranges) == 4
    assert all(text.startswith("bytes=") for text in ranges[1:])


def test_download_without_ranges() -> None:
    """A registry that sends everything again is read over."""
    content = bytes(range(256)) * 4000
    with FakeRegistry() as registry, opened() as stores:
        registry.put_blob("acme/api", content)
        registry.fail("GET", ".*", Cut(after=300_000))
        registry.fail("GET", ".*", AnswerWith(status=200, body=content))
        assert content == read_blob(stores.repository(repository_of(registry)), describe(content))


def test_download_of_another_range() -> None:
    """A range that was not asked for is refused."""
    content = b"x" * 1_000_000
    with FakeRegistry() as registry, opened() as stores:
        registry.put_blob("acme/api", content)
        registry.fail("GET", ".*", Cut(after=300_000))
        registry.fail("GET", ".*", AnswerWith(status=206, headers={"Content-Range": "bytes 5-9/10"}, body=b"x"))
        with pytest.raises(RegistryError, match="another range"):
            read_blob(stores.repository(repository_of(registry)), describe(content))


def test_token_is_tried_again() -> None:
    """A token server in trouble does not fail the run."""
    with FakeRegistry(access=Bearer(anonymous=frozenset({"pull"}))) as registry, opened() as stores:
        digest = registry.put_manifest("acme/api", "1.0", make_sample().manifest)
        registry.fail("GET", "/token.*", AnswerWith(status=503))
        registry.fail("GET", "/token.*", Reset())
        assert digest == stores.repository(repository_of(registry)).find("1.0")


@pytest.mark.parametrize(("asked", "least", "most"), [("7", 7.0, 7.7), ("120", 120.0, 132.0), ("soon", 0.1, 0.3)])
def test_retry_after(asked: str, least: float, most: float) -> None:
    """The registry's own pause is kept, also where ours would be shorter; an illegible one is not."""
    pauses: list[float] = []
    with (
        FakeRegistry() as registry,
        open_stores({}, pause=pauses.append, patience=Patience(first_delay=0.3, longest_delay=60.0)) as stores,
    ):
        registry.fail("HEAD", ".*", AnswerWith(status=429, headers={"Retry-After": asked}))
        assert stores.repository(repository_of(registry)).find("1.0") is None
    assert len(pauses) == 1
    assert least <= pauses[0] <= most


@pytest.mark.parametrize("locator", ["1.0", "digest"])
def test_what_was_put_is_asked_for_until_it_is_found(locator: str) -> None:
    """A registry of many machines may not find at once what one of them has taken."""
    with FakeRegistry() as registry, opened() as stores:
        store = stores.repository(repository_of(registry))
        index = put_sample(store, make_sample())
        store.put_manifest("1.0", index)
        name = index.digest if locator == "digest" else locator
        for method in ("HEAD", "GET"):
            registry.fail(method, ".*/manifests/.*", AnswerWith(status=404), times=2)
        assert (index.digest, index) == (store.find(name), store.fetch_manifest(name))


def test_what_was_put_and_stays_away_is_not_there() -> None:
    """Somebody may have deleted it: that is no error of the registry."""
    with FakeRegistry() as registry, opened(attempts=3) as stores:
        store = stores.repository(repository_of(registry))
        index = put_sample(store, make_sample())
        registry.fail("GET", ".*/manifests/.*", AnswerWith(status=404), times=0)
        assert store.fetch_manifest(index.digest) is None
        assert registry.count("GET", ".*/manifests/.*") == 3


def test_what_was_never_put_is_asked_for_once() -> None:
    """Most of what is asked for is not there, and nobody waits for it."""
    with FakeRegistry() as registry, opened() as stores:
        store = stores.repository(repository_of(registry))
        assert (None, None) == (store.find("1.0"), store.fetch_manifest(digest_bytes(b"nothing")))
        assert len(registry.requests) == 2


def test_runs_wait_for_what_they_know_by_digest() -> None:
    """What BuildKit has pushed, manifests and blobs, may come as late as what we have put ourselves."""
    patience = Patience(awaits_digests=True)
    with FakeRegistry() as registry, open_stores({}, patience=patience, pause=lambda _: None) as stores:
        manifest = make_sample().manifest
        registry.put_manifest("acme/api", "1.0", manifest)
        registry.put_blob("acme/api", b"layer")
        registry.fail("GET", ".*", AnswerWith(status=404))
        store = stores.repository(repository_of(registry))
        assert manifest == store.fetch_manifest(manifest.digest)
        registry.fail("GET", ".*/blobs/.*", AnswerWith(status=404), times=2)
        assert read_blob(store, describe(b"layer")) == b"layer"


def test_retry_after_tomorrow() -> None:
    """A pause that nobody would sit through is told at once, and the registry is left alone."""
    pauses: list[float] = []
    with FakeRegistry() as registry, open_stores({}, pause=pauses.append) as stores:
        registry.fail("HEAD", ".*", AnswerWith(status=429, headers={"Retry-After": "86400"}), times=0)
        with pytest.raises(RequestError, match="answered 429, asks to wait 86400 s"):
            stores.repository(repository_of(registry)).find("1.0")
        assert ([], 1) == (pauses, registry.count("HEAD", ".*"))


def test_closing_ends_a_pause() -> None:
    """Whoever waits to try again is woken up when the stores are closed."""
    with FakeRegistry() as registry, ThreadPoolExecutor(1) as pool:
        registry.fail("HEAD", ".*", AnswerWith(status=503, headers={"Retry-After": "3600"}), times=0)
        patience = Patience(longest_asked=3600.0)
        with open_stores({}, patience=patience) as stores:
            waiting = pool.submit(stores.repository(repository_of(registry)).find, "1.0")
            while not registry.requests:
                threading.Event().wait(0.001)
        with pytest.raises(RegistryError, match="closed"):
            waiting.result()


def test_no_answer() -> None:
    """A registry that takes a request and says nothing is not waited for without end."""
    patience = Patience(attempts=1, read_timeout=0.05)
    with FakeRegistry() as registry, open_stores({}, patience=patience) as stores:
        registry.fail("HEAD", ".*", Hold())
        with pytest.raises(RequestError, match="no answer in time"):
            stores.repository(repository_of(registry)).find("1.0")
