"""What was read in Dockerfiles is kept for exactly these bytes, and only where this machine kept it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from orchestrator.dockerfile.model import Dockerfile
from orchestrator.dockerfile.parse import FORMAT, parse
from orchestrator.oci.digest import Digest, digest_bytes
from orchestrator.state.cache import write_own
from orchestrator.state.parsed import FILE, read_parsed, write_parsed
from orchestrator.state.workspace import CACHE, NAME

TEXTS: Mapping[str, str] = {
    "api/Dockerfile": """\
# syntax=docker/dockerfile:1
ARG GO=1.23
FROM --platform=$BUILDPLATFORM golang:${GO} AS build
ARG TARGETARCH
ENV CGO_ENABLED=0 GOARCH=$TARGETARCH
COPY --chmod=755 go.mod go.sum ./
ADD https://example.org/x /x
RUN --mount=type=bind,source=tools,target=/tools --mount=type=cache,target=/c,from=cache go build
ONBUILD COPY --from=assets . /assets
FROM scratch
COPY --from=build /out /api
""",
    "web/Dockerfile": "FROM base\nCOPY <<EOF /index.html\nhello\nEOF\n",
}


def digests_of(texts: Mapping[str, str]) -> dict[str, Digest]:
    """The digests of these Dockerfiles."""
    return {path: digest_bytes(text.encode()) for path, text in texts.items()}


def parsed(texts: Mapping[str, str]) -> dict[str, Dockerfile]:
    """What parsing gives."""
    found = {path: parse(text, path)[0] for path, text in texts.items()}
    return {path: dockerfile for path, dockerfile in found.items() if dockerfile}


PARSED, DIGESTS = parsed(TEXTS), digests_of(TEXTS)


def path_of(root: Path) -> Path:
    """The file of the cache."""
    return root / NAME / CACHE / FILE


def test_what_is_kept_is_what_parsing_gives(tmp_path: Path) -> None:
    """All of it."""
    write_parsed(tmp_path, DIGESTS, PARSED)
    assert (2, PARSED) == (len(PARSED), read_parsed(tmp_path, DIGESTS))


def test_it_counts_for_the_same_bytes_alone(tmp_path: Path) -> None:
    """A Dockerfile that was changed is parsed again, and one that is gone is nobody's."""
    write_parsed(tmp_path, DIGESTS, PARSED)
    now = {"api/Dockerfile": DIGESTS["api/Dockerfile"], "web/Dockerfile": digest_bytes(b"FROM other\n")}
    assert {"api/Dockerfile"} == set(read_parsed(tmp_path, now))
    assert {} == read_parsed(tmp_path, {})


def test_another_maker_counts_for_nothing(tmp_path: Path) -> None:
    """Another version of the parser, or of what we make of it, may read the same otherwise."""
    write_parsed(tmp_path, DIGESTS, PARSED)
    text = path_of(tmp_path).read_bytes().partition(b"\n")[2]
    content = msgspec.msgpack.decode(text)
    assert str(FORMAT) == content["made_by"].split()[0]
    write_own(tmp_path, FILE, msgspec.msgpack.encode({**content, "made_by": "0 0"}))
    assert {} == read_parsed(tmp_path, DIGESTS)
    write_own(tmp_path, FILE, text)
    assert PARSED == read_parsed(tmp_path, DIGESTS)


def test_a_file_from_elsewhere_is_not_believed(tmp_path: Path) -> None:
    """A repository, or an archive that keeps times, may bring one."""
    write_parsed(tmp_path, DIGESTS, PARSED)
    copied = tmp_path / "copied"
    shutil.copytree(tmp_path / NAME, copied / NAME, copy_function=shutil.copy2)
    assert {} == read_parsed(copied, DIGESTS)


def test_a_file_that_was_written_to_is_not_believed(tmp_path: Path) -> None:
    """It has the inode, and another time."""
    write_parsed(tmp_path, DIGESTS, PARSED)
    status = path_of(tmp_path).stat()
    content = path_of(tmp_path).read_bytes()
    path_of(tmp_path).write_bytes(content)
    os.utime(path_of(tmp_path), ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert {} == read_parsed(tmp_path, DIGESTS)


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff", b"\x91" * 100_000, msgspec.msgpack.encode({"made_by": "x", "files": {"a": 1}})],
    ids=range(4),
)
def test_what_cannot_be_read_is_as_if_it_were_not_there(tmp_path: Path, content: bytes) -> None:
    """And is written anew."""
    write_own(tmp_path, FILE, content)
    assert {} == read_parsed(tmp_path, DIGESTS)
    write_parsed(tmp_path, DIGESTS, PARSED)
    assert PARSED == read_parsed(tmp_path, DIGESTS)


@pytest.mark.parametrize("linked", [NAME, f"{NAME}/{CACHE}", f"{NAME}/{CACHE}/{FILE}"])
def test_links_are_not_followed(tmp_path: Path, linked: str) -> None:
    """Neither for reading nor for writing."""
    other, here = tmp_path / "other", tmp_path / "here"
    write_parsed(other, DIGESTS, PARSED)
    (here / linked).parent.mkdir(parents=True)
    (here / linked).symlink_to(other / linked)
    assert {} == read_parsed(here, DIGESTS)
    write_parsed(here, DIGESTS, {})
    assert PARSED == read_parsed(other, DIGESTS)


def test_a_change_of_what_parsing_gives_has_a_format_of_its_own() -> None:
    """Or runs would take what an older version of this program has kept: raise `FORMAT`, then change this digest."""
    given = msgspec.json.encode([PARSED[path] for path in TEXTS])
    assert (1, "sha256:6488b4dcef158a93e394142ddacce9c608f5c6761c114cd284c48225ab6b751b") == (
        FORMAT,
        digest_bytes(given),
    )
