"""What steps do to stores that are not as they should be."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.cli.wiring import RealChildren, RealStores
from orchestrator.engine.actions import Actions
from orchestrator.engine.copy import copy_tree
from orchestrator.engine.invoke import Invoker
from orchestrator.engine.load import Loader
from orchestrator.engine.results import Results, StepResult
from orchestrator.errors import RegistryError, VerificationError
from orchestrator.oci.digest import Digest, digest_bytes
from orchestrator.oci.manifest import OCI_INDEX, OCI_MANIFEST, Manifest
from orchestrator.plan.model import AssembleStep, LayoutHome, LoadStep, RecordKey, RecordStep, VerifyStep
from orchestrator.state.layout import OciLayout
from tests.contract.registry_sample import describe, make_index, make_sample, put_sample, source_of
from tests.unit.engine.fakes import stores_of
from tests.unit.plan.samples import AMD64, ARM64

HOME = LayoutHome(path="out")
GONE = digest_bytes(b"nobody has this")
KEY = RecordKey(scope="main", inputs=GONE, manifest="", listings=(), parents=())


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[RealStores]:
    """Stores of this machine."""
    with stores_of(tmp_path) as opened:
        yield opened


def actions(folder: Path, stores: RealStores, **results: StepResult) -> Actions:
    """Actions after some steps."""
    known = Results()
    for step, result in results.items():
        known.put(step, result)
    return Actions(root=folder, stores=stores, results=known, listings={}, emulated={})


def test_a_part_that_is_gone_is_told(tmp_path: Path, stores: RealStores) -> None:
    """Something cleaned up while the run was under way."""
    step = AssembleStep(id="assemble:x", image="x", needs=(), parts=("record",), home=HOME)
    with pytest.raises(RegistryError, match="is gone"):
        actions(tmp_path, stores, record=StepResult(digest=GONE)).assemble(step)


def test_an_index_that_lacks_a_platform_is_not_verified(tmp_path: Path, stores: RealStores) -> None:
    """It gets no name."""
    store = stores.layout(tmp_path / "out")
    index = put_sample(store, make_sample("linux/amd64"))
    step = VerifyStep(
        id="verify:x", image="x", needs=(), index="assemble", parts=(), parents=(), platforms=(AMD64, ARM64), home=HOME
    )  # fmt: skip
    with pytest.raises(VerificationError, match="is not what was declared") as caught:
        actions(tmp_path, stores, assemble=StepResult(digest=index.digest)).verify(step)
    assert "orchestrate verify" in caught.value.hints[0]
    assert [] == list(store.tags())


def test_a_config_without_end_is_not_read(tmp_path: Path, stores: RealStores) -> None:
    """A lone manifest names its platform in its config, which may claim any size."""
    sample = make_sample()
    content = sample.manifest.content.replace(
        str(len(sample.blobs[0])).encode(), str(64 * 1024 * 1024).encode(), 1
    )  # fmt: skip
    layout = stores.layout(tmp_path / "solved")
    layout.put_manifest(digest_bytes(content), Manifest(media_type=OCI_MANIFEST, content=content))
    solve = StepResult(digest=digest_bytes(content), path=str(tmp_path / "solved"))
    step = RecordStep(id="record:x", image="x", needs=(), solve="solve", platform=AMD64, home=HOME, key=KEY)
    with pytest.raises(VerificationError, match="image config of 67108864 bytes"):
        actions(tmp_path, stores, solve=solve).record(step)


def test_a_copy_of_something_that_is_gone_is_told(tmp_path: Path) -> None:
    """With what to do."""
    with pytest.raises(RegistryError, match="no manifest") as caught:
        copy_tree(OciLayout(tmp_path / "a"), OciLayout(tmp_path / "b"), GONE)
    assert caught.value.hints


def test_a_copy_of_something_malformed_is_told(tmp_path: Path) -> None:
    """It is nobody's traceback."""
    source = OciLayout(tmp_path / "a")
    broken = Manifest(media_type=OCI_INDEX, content=b'{"manifests": 5}')
    source.put_manifest(broken.digest, broken)
    with pytest.raises(RegistryError, match="cannot copy"):
        copy_tree(source, OciLayout(tmp_path / "b"), broken.digest)


def test_indexes_within_indexes_are_not_followed_for_ever(tmp_path: Path) -> None:
    """BuildKit nests none."""
    source = OciLayout(tmp_path / "a")
    inner = put_sample(source, make_sample())
    for _ in range(6):
        described = describe(inner.content, OCI_INDEX)
        content = (
            b'{"schemaVersion":2,"mediaType":"' + OCI_INDEX.encode() + b'","manifests":[{"mediaType":"'
            + OCI_INDEX.encode() + b'","digest":"' + described.digest.encode() + b'","size":'
            + str(described.size).encode() + b"}]}"
        )  # fmt: skip
        inner = Manifest(media_type=OCI_INDEX, content=content)
        source.put_manifest(inner.digest, inner)
    with pytest.raises(RegistryError, match="more than 4 deep"):
        copy_tree(source, OciLayout(tmp_path / "b"), inner.digest)


def test_what_is_there_is_not_copied_again(tmp_path: Path) -> None:
    """Neither an image nor a blob."""
    source, target = OciLayout(tmp_path / "a"), OciLayout(tmp_path / "b")
    sample = make_sample("linux/amd64")
    index = put_sample(source, sample, make_sample("linux/arm64"))
    put_sample(target, sample)
    copy_tree(source, target, index.digest)
    copy_tree(source, target, index.digest)
    assert index == target.fetch_manifest(index.digest)


def load(folder: Path, platform: str, digest: Digest | None = None) -> str:
    """Load an image that cannot be loaded; what is said."""
    store = OciLayout(folder / "out")
    index = put_sample(store, make_sample(platform))
    step = LoadStep(id="load:x", image="x", needs=(), index="assemble", platform=AMD64, home=HOME, names=("x:1",))
    children = RealChildren({}, root=folder)
    invoker = Invoker(root=folder, environment={}, children=children, results=Results(), emit=print)
    loader = Loader(invoker, limit=1)
    work = loader.load(step, store=store, digest=digest or index.digest, folder=folder / "run")
    with pytest.raises(VerificationError) as caught:
        asyncio.run(work)
    return caught.value.message


def test_an_image_that_is_not_there_is_not_loaded(tmp_path: Path) -> None:
    """Nor one without this machine's platform."""
    assert "no `linux/amd64`" in load(tmp_path / "a", "linux/arm64")
    assert "is not in" in load(tmp_path / "b", "linux/amd64", GONE)


def test_a_blob_is_taken_over_or_copied(tmp_path: Path) -> None:
    """Between a layout and something else there are no links."""
    sample = make_sample()
    layout = OciLayout(tmp_path / "a")
    for blob in sample.blobs:
        layout.put_blob(describe(blob), source_of(blob))
    assert not layout.mount_blob(describe(b"other"), object())
    assert make_index(sample).is_index
