from __future__ import annotations

from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import RegistryError
from orchestrator.oci.checked import checked
from orchestrator.oci.digest import digest_bytes
from orchestrator.oci.manifest import Descriptor


def describe(content: bytes) -> Descriptor:
    """The descriptor of some bytes."""
    return Descriptor(media_type="x", digest=digest_bytes(content), size=len(content))


@given(st.binary(max_size=2000), st.integers(1, 500))
def test_right_content(content: bytes, size: int) -> None:
    """What is as described comes through, in pieces of any size."""
    with checked(BytesIO(content), describe(content), name="x") as stream:
        assert content == b"".join(iter(lambda: stream.read(size), b""))


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_other_content(expected: bytes, given_content: bytes) -> None:
    """What is not as described is never read to its end, by whoever asks for just as much as was promised."""
    if expected == given_content:
        return
    stream = checked(BytesIO(given_content), describe(expected), name="store")
    with stream, pytest.raises(RegistryError, match="`store`"):
        stream.read(max(1, len(expected)))


def test_source_stays_open() -> None:
    """The source belongs to whoever opened it."""
    source = BytesIO(b"x")
    with checked(source, describe(b"x"), name="x") as stream:
        stream.read()
    assert not source.closed
