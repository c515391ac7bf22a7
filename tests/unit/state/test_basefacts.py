"""What is kept about external images is read back, and believed only where it can be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.oci.digest import digest_bytes
from orchestrator.oci.platform import parse_platform
from orchestrator.plan.bases import BaseFacts
from orchestrator.state.basefacts import FILE, MAX_BYTES, MAX_IMAGES, read_base_facts, write_base_facts

ONE = digest_bytes(b"one")
AMD64, ARM64 = parse_platform("linux/amd64"), parse_platform("linux/arm64")
FACTS = BaseFacts(digest=ONE, platforms=(AMD64, ARM64), triggers={AMD64: (), ARM64: ("COPY . /src",)})


def test_facts_are_read_back(tmp_path: Path) -> None:
    """As they were written; git does not see them."""
    write_base_facts(tmp_path, {ONE: FACTS})
    assert {ONE: FACTS} == read_base_facts(tmp_path)
    assert "*\n" == (tmp_path / ".orchestrate/.gitignore").read_text()


def test_only_the_latest_are_kept(tmp_path: Path) -> None:
    """A project that follows a moving tag for years does not fill its disk."""
    digests = [digest_bytes(str(number).encode()) for number in range(MAX_IMAGES + 1)]
    write_base_facts(tmp_path, {digest: BaseFacts(digest=digest) for digest in digests})
    assert digests[1:] == list(read_base_facts(tmp_path))


def test_what_is_too_large_is_not_kept(tmp_path: Path) -> None:
    """The file stays as it was."""
    write_base_facts(tmp_path, {ONE: FACTS})
    write_base_facts(tmp_path, {ONE: BaseFacts(digest=ONE, triggers={AMD64: ("x" * MAX_BYTES,)})})
    assert {ONE: FACTS} == read_base_facts(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\xff",
        b"[" * 100_000,
        b'{"version": 2, "images": {}}',
        b'{"version": 1, "images": {"sha256:1": {"platforms": [], "triggers": {}}}}',
        b'{"version": 1, "images": {"%s": {"platforms": ["x"], "triggers": {}}}}' % ONE.encode(),
        b'{"version": 1, "images": {"%s": {"platforms": [], "triggers": {"x": []}}}}' % ONE.encode(),
        b'{"version": 1, "images": {"%s": {"platforms": [], "triggers": []}}}' % ONE.encode(),
        b" " * (MAX_BYTES + 1),
    ],
)
def test_what_cannot_be_read_is_as_if_it_were_not_there(tmp_path: Path, text: bytes) -> None:
    """It may have come with a repository."""
    (tmp_path / ".orchestrate").mkdir()
    (tmp_path / ".orchestrate" / FILE).write_bytes(text)
    assert {} == read_base_facts(tmp_path)


def test_links_are_not_followed(tmp_path: Path) -> None:
    """Neither for reading nor for writing."""
    write_base_facts(tmp_path / "other", {ONE: FACTS})
    (tmp_path / "here").mkdir()
    (tmp_path / "here/.orchestrate").symlink_to(tmp_path / "other/.orchestrate")
    assert {} == read_base_facts(tmp_path / "here")
    write_base_facts(tmp_path / "here", {})
    assert {ONE: FACTS} == read_base_facts(tmp_path / "other")
