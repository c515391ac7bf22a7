"""What every `ImageStore` promises, held against a registry over HTTP and a layout on disk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import BytesIO
from pathlib import Path

import pytest

from orchestrator.engine.ports import ImageStore
from orchestrator.errors import RegistryError
from orchestrator.oci.digest import digest_bytes
from orchestrator.state.layout import OciLayout
from orchestrator.testing.registry import FakeRegistry
from tests.contract.registry_sample import (
    describe,
    make_sample,
    opened,
    put_sample,
    read_blob,
    repository_of,
    source_of,
)


@pytest.fixture(params=["registry", "layout"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ImageStore]:
    """An empty store of either kind."""
    with ExitStack() as stack:
        if request.param == "layout":
            yield OciLayout(tmp_path / "layout")
        else:
            registry = stack.enter_context(FakeRegistry())
            yield stack.enter_context(opened()).repository(repository_of(registry))


def test_absent(store: ImageStore) -> None:
    """What is not there is None, False or empty, never an error."""
    digest = digest_bytes(b"")
    found = (store.find("1.0"), store.find(digest), store.fetch_manifest("1.0"), store.has_blob(digest))
    assert found == (None, None, None, False)
    assert list(store.tags()) == []


def test_manifest_by_digest(store: ImageStore) -> None:
    """A manifest that was put by digest is found and fetched, byte for byte."""
    index = put_sample(store, make_sample())
    assert index.digest == store.find(index.digest)
    assert index == store.fetch_manifest(index.digest)
    assert list(store.tags()) == []


def test_manifest_by_tag(store: ImageStore) -> None:
    """A tag leads to the manifest that was put under it last."""
    first, second = put_sample(store, make_sample()), put_sample(store, make_sample("linux/arm64"))
    store.put_manifest("1.0", first)
    store.put_manifest("1.0", second)
    store.put_manifest("latest", first)
    assert second.digest == store.find("1.0")
    assert second == store.fetch_manifest("1.0")
    assert sorted(store.tags()) == ["1.0", "latest"]


def test_blob_round_trip(store: ImageStore) -> None:
    """A blob comes back as it was put."""
    content = bytes(range(256)) * 5000
    store.put_blob(describe(content), source_of(content))
    assert content == read_blob(store, describe(content))


def test_empty_blob(store: ImageStore) -> None:
    """A blob may be empty."""
    store.put_blob(describe(b""), source_of(b""))
    assert read_blob(store, describe(b"")) == b""


def test_blob_is_put_once(store: ImageStore) -> None:
    """A blob that is there is not read from its source again."""
    opened_times = 0

    @contextmanager
    def source() -> Iterator[BytesIO]:
        nonlocal opened_times
        opened_times += 1
        yield BytesIO(b"once")

    store.put_blob(describe(b"once"), source)
    store.put_blob(describe(b"once"), source)
    assert opened_times == 1


@pytest.mark.parametrize("given", [b"short", b"longer than said", b"other"[::-1] + b"content"])
def test_wrong_source(store: ImageStore, given: bytes) -> None:
    """A source that gives other bytes than described never becomes a blob."""
    promised = describe(b"the content!")
    with pytest.raises(RegistryError):
        store.put_blob(promised, source_of(given))
    assert not store.has_blob(digest_bytes(b"the content!"))
    assert not store.has_blob(digest_bytes(given))


def test_wrong_descriptor(store: ImageStore) -> None:
    """Reading a blob with a descriptor of another size fails instead of giving too little or too much."""
    store.put_blob(describe(b"content"), source_of(b"content"))
    right = describe(b"content")
    for size in (6, 8):
        wrong = type(right)(media_type=right.media_type, digest=right.digest, size=size)
        with pytest.raises(RegistryError):
            read_blob(store, wrong)


def test_missing_blob(store: ImageStore) -> None:
    """Opening a blob that is not there is an error."""
    with pytest.raises(RegistryError, match="sha256:"):
        read_blob(store, describe(b"nowhere"))


@pytest.mark.parametrize("locator", ["", "..", "a/b", "sha256:abc", "x" * 129, "../../etc/passwd", "ta g"])
def test_illegal_locator(store: ImageStore, locator: str) -> None:
    """A locator that is neither tag nor digest reaches no path and no URL."""
    with pytest.raises(RegistryError):
        store.put_manifest(locator, make_sample().manifest)


def test_digest_of_another(store: ImageStore) -> None:
    """A manifest is not put under the digest of another."""
    with pytest.raises(RegistryError, match="is not the digest"):
        store.put_manifest(digest_bytes(b"another"), make_sample().manifest)
