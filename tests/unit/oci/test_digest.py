from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.oci.digest import digest_bytes, parse_digest, short


@given(st.binary())
def test_digest_of_bytes(content: bytes) -> None:
    """The digest of bytes is their sha256, and parses."""
    digest = digest_bytes(content)
    assert f"sha256:{hashlib.sha256(content).hexdigest()}" == digest
    assert digest == parse_digest(digest)


@given(st.text() | st.from_regex(r"sha(256|512):[0-9a-fA-F]{60,70}\n?"))
def test_any_text(text: str) -> None:
    """Any text is a digest of the right shape or a ValueError."""
    try:
        parsed = parse_digest(text)
    except ValueError:
        return
    assert len(parsed) == 71
    assert set(parsed.removeprefix("sha256:")) <= set("0123456789abcdef")


@pytest.mark.parametrize("text", ["", "sha256:", "sha256:" + "A" * 64, "sha256:" + "0" * 64 + "\n", "0" * 64])
def test_not_a_digest(text: str) -> None:
    """Upper case, a trailing line feed and a missing algorithm are no digest."""
    with pytest.raises(ValueError, match="not a sha256 digest"):
        parse_digest(text)


def test_short() -> None:
    """Tables show twelve digits."""
    assert short(digest_bytes(b"")) == "e3b0c44298fc"
