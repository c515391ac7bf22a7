"""`builds.lock` as text and as values."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.config.locate import resolve
from orchestrator.config.lock import (
    ChangeKind,
    Lock,
    LockedBase,
    canonical,
    compare_locks,
    decode_lock,
    render_lock,
)
from orchestrator.diagnostics import Diagnostic, Span
from orchestrator.oci.digest import Digest, digest_bytes
from orchestrator.oci.platform import parse_platform
from orchestrator.oci.reference import Reference, parse_reference

ONE, TWO = digest_bytes(b"one"), digest_bytes(b"two")
AMD64, ARM64 = parse_platform("linux/amd64"), parse_platform("linux/arm64")
TEXT = f"""\
# External images by digest. Written by `orchestrate lock`; `orchestrate lock --update` moves them on.
format = 1

[bases."docker.io/library/debian:bookworm"]
digest = "{ONE}"
platforms = ["linux/amd64", "linux/arm64"]

[bases."ghcr.io/acme/tools:1.2"]
digest = "{TWO}"
platforms = ["linux/amd64"]
"""
DEBIAN, TOOLS = parse_reference("docker.io/library/debian:bookworm"), parse_reference("ghcr.io/acme/tools:1.2")
LOCK = Lock(
    bases={TOOLS: LockedBase(digest=TWO, platforms=(AMD64,)), DEBIAN: LockedBase(digest=ONE, platforms=(ARM64, AMD64))}
)
PLATFORMS = ("linux/amd64", "linux/arm64", "linux/arm/v7", "linux/arm/v6", "windows/amd64", "linux/s390x")


def told(text: str) -> list[tuple[str, int, int]]:
    """Code, line and column of all findings about a text that is no lock."""
    lock, found = decode_lock(text, "builds.lock")
    assert lock is None
    assert all(finding.hints for finding in found)
    return [(finding.code, *_at(finding)) for finding in resolve(found, {"builds.lock": text})]


def _at(finding: Diagnostic) -> tuple[int, int]:
    assert isinstance(finding.place, Span)
    return finding.place.line, finding.place.column


def bases(*digests: Digest, platform: str = "linux/amd64") -> Lock:
    """A lock of `a`, `b`, … with these digests."""
    platforms = (parse_platform(platform),)
    return Lock(
        bases={
            canonical(parse_reference(name)): LockedBase(digest=digest, platforms=platforms)
            for name, digest in zip(string.ascii_lowercase, digests, strict=False)
        }
    )


def test_lock_is_rendered_in_one_way_only() -> None:
    """Entries and platforms are sorted, whatever order they were found in."""
    assert TEXT == render_lock(LOCK)


def test_lock_is_read_back() -> None:
    """What is written is what is read, with sorted platforms."""
    lock, found = decode_lock(TEXT, "builds.lock")
    assert () == found
    assert lock is not None
    assert (AMD64, ARM64) == lock.bases[DEBIAN].platforms
    assert TEXT == render_lock(lock)


def test_empty_lock_is_a_lock() -> None:
    """A project without external images can have one."""
    assert (Lock(), ()) == decode_lock(render_lock(Lock()), "builds.lock")


@given(
    st.dictionaries(
        st.from_regex(r"[a-z]{1,9}(/[a-z0-9]{1,9}){0,2}:[A-Za-z0-9_][A-Za-z0-9_.-]{0,9}", fullmatch=True),
        st.tuples(st.binary(max_size=4), st.sets(st.sampled_from(PLATFORMS), min_size=1)),
        max_size=5,
    )
)
def test_every_lock_survives_being_written(entries: dict[str, tuple[bytes, set[str]]]) -> None:
    """Reading is the inverse of writing."""
    lock = Lock(
        bases={
            canonical(parse_reference(name)): LockedBase(
                digest=digest_bytes(content), platforms=tuple(sorted(map(parse_platform, platforms)))
            )
            for name, (content, platforms) in entries.items()
        }
    )
    assert (lock, ()) == decode_lock(render_lock(lock), "builds.lock")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("format = 1", "format = 2", ("unknown-format", 2, 10)),
        ("format = 1", "format = true", ("unknown-format", 2, 10)),
        ("format = 1", "", ("missing-format", 1, 1)),
        ("# External", "<<<<<<< HEAD\n# External", ("toml-syntax", 1, 1)),
        ("docker.io/library/debian", "debian", ("bad-image-reference", 4, 8)),
        (":bookworm", "", ("bad-image-reference", 4, 8)),
        (":bookworm", f"@{ONE}", ("bad-image-reference", 4, 8)),
        (":bookworm", ":book worm", ("bad-image-reference", 4, 8)),
        (":bookworm", "\\u0000", ("bad-image-reference", 4, 8)),
        (ONE, ONE[:-1], ("illegal-value", 5, 10)),
        (ONE, f"{ONE}\\n", ("illegal-value", 5, 10)),
        (ONE, "", ("empty-value", 5, 10)),
        ("linux/arm64", "linux/vax", ("illegal-platform", 6, 29)),
        ('["linux/amd64", "linux/arm64"]', "[]", ("empty-value", 6, 13)),
        ('["linux/amd64", "linux/arm64"]', '"linux/amd64"', ("wrong-type", 6, 13)),
        ("\ndigest", "\ndigets", ("unknown-key", 5, 1)),
        ("[bases", "[images", ("unknown-key", 4, 2)),
        (f'digest = "{ONE}"\n', "", ("missing-key", 4, 8)),
    ],
)
def test_mistake_is_told_where_it_stands(old: str, new: str, expected: tuple[str, int, int]) -> None:
    """Hand-edited, merged or hostile: no lock, a place, and a way out."""
    assert expected == told(TEXT.replace(old, new, 1))[0]


def test_all_mistakes_are_told_at_once() -> None:
    """One wrong digest does not hide the next."""
    text = TEXT.replace(ONE, "sha256:1").replace(TWO, "sha256:2").replace("linux/arm64", "moon")
    assert [("illegal-value", 5, 10), ("illegal-value", 9, 10)] == told(text)


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "format = 1\nbases." + "a." * 5_000 + "a = 1", "format = " + "1" * 9_999]
)
def test_hostile_text_is_a_finding(text: str) -> None:
    """Depth and numbers without end bring no traceback."""
    assert told(text)


@given(st.text(max_size=200))
def test_no_text_is_too_strange(text: str) -> None:
    """Whatever comes behind a good head: a lock, or findings."""
    lock, found = decode_lock(f"format = 1\n{text}", "builds.lock")
    assert (lock is None) == bool(found)


def test_key_has_a_tag_and_no_digest() -> None:
    """An image without a tag is `latest`, as for everybody."""
    assert "docker.io/library/debian:latest" == str(canonical(parse_reference("debian")))
    assert "docker.io/library/debian:12" == str(canonical(parse_reference(f"debian:12@{ONE}")))


def test_changes_are_sorted_and_have_kinds() -> None:
    """Added, removed, moved; and corrected where the digest was right and what is beside it was not."""
    old, new = bases(ONE, ONE, ONE), bases(ONE, TWO)
    added = Reference(repository=parse_reference("z").repository, tag="latest")
    new = Lock(bases={added: LockedBase(digest=ONE, platforms=(AMD64,)), **new.bases})
    assert [(ChangeKind.MOVED, "b"), (ChangeKind.REMOVED, "c"), (ChangeKind.ADDED, "z")] == [
        (change.kind, change.reference.repository.path.removeprefix("library/")) for change in compare_locks(old, new)
    ]
    assert [ChangeKind.CORRECTED] == [
        change.kind for change in compare_locks(bases(ONE), bases(ONE, platform="linux/arm64"))
    ]
    assert () == compare_locks(old, old)
