"""Tar archives: what common tools write, and what only strangers do."""

from __future__ import annotations

import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.oci.tar import Kind, Member, read_members
from orchestrator.oci.unpack import Budget, LayerError, UnpackedBytes
from tests.unit.oci.parts import Entry, folder, hard_link, symlink, tar

END = bytes(1024)


def read(content: bytes) -> list[Member]:
    """All members."""
    return list(read_members(UnpackedBytes(io.BytesIO(content), Budget(), ())))


def header(name: bytes, *, flag: bytes = b"0", size: bytes = b"0", magic: bytes = b"", sparse: bytes = b"") -> bytes:
    """A header with a right checksum, whatever it says."""
    block = bytearray(512)
    block[: len(name)] = name
    block[124 : 124 + len(size)] = size
    block[148:156] = b" " * 8
    block[156:157] = flag
    block[257 : 257 + len(magic)] = magic
    block[386 : 386 + len(sparse)] = sparse
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def extended(flag: bytes, content: bytes) -> bytes:
    """An extended header."""
    return header(b"x", flag=flag, size=b"%o" % len(content)) + content + bytes(-len(content) % 512)


def paths(content: bytes) -> list[str]:
    """The paths of all members."""
    return [member.path for member in read(content)]


TEXT = st.text(alphabet="ab/é. ", min_size=1, max_size=150).filter(lambda text: text.strip("/") != "")
ENTRIES = st.lists(
    st.builds(Entry, path=TEXT, content=st.binary(max_size=1200))
    | st.builds(symlink, TEXT, TEXT)
    | st.builds(hard_link, TEXT, TEXT)
    | st.builds(folder, TEXT),
    max_size=5,
)
KINDS = {tarfile.SYMTYPE: Kind.SYMLINK, tarfile.LNKTYPE: Kind.HARD_LINK, tarfile.DIRTYPE: Kind.FOLDER}


@given(ENTRIES, st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]))
def test_reads_what_was_written(entries: list[Entry], form: int) -> None:
    """Whatever `tarfile` writes is read as it was meant."""
    expected = [
        (each.path.strip("/"), KINDS.get(each.kind, Kind.FILE), each.target, each.content[:256]) for each in entries
    ]
    members = read(tar(*entries, form=form))
    assert expected == [(each.path.strip("/"), each.kind, each.target, each.prefix) for each in members]


def test_old_archives() -> None:
    """A v7 archive says a folder by a slash, and an unknown kind of member is a file."""
    content = header(b"d/", flag=b"\0") + header(b"f", flag=b"\0") + header(b"u", flag=b"Z") + END
    assert [member.kind for member in read(content)] == [Kind.FOLDER, Kind.FILE, Kind.FILE]


def test_global_headers() -> None:
    """A global header names no file and changes none."""
    assert paths(extended(b"g", b"11 path=no\n") + header(b"a") + END) == ["a"]


def test_size_of_extended_headers() -> None:
    """The size of an extended header counts, as for files that are too big for the other; an empty one does not."""
    for record, size in ((b"9 size=3\n", b"0"), (b"8 size=\n", b"3")):
        content = extended(b"x", record) + header(b"a", size=size) + b"abc" + bytes(509) + header(b"b") + END
        assert [member.prefix for member in read(content)] == [b"abc", b""]


def test_big_numbers() -> None:
    """Sizes may be binary, but not negative."""
    content = header(b"a", size=b"\x80" + bytes(10) + b"\x03") + b"abc" + bytes(509) + END
    assert [member.prefix for member in read(content)] == [b"abc"]
    with pytest.raises(LayerError, match="negative number"):
        read(header(b"a", size=b"\xff" * 12) + END)


def test_signed_checksums() -> None:
    """Archives of old tools sum up bytes as signed ones."""
    block = bytearray(header(b"caf\xe9"))
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % (sum(block) - 256)
    assert paths(bytes(block) + END) == ["caf\udce9"]


def test_no_end_mark() -> None:
    """An archive may just end, or have half of the mark."""
    assert paths(header(b"a")) == paths(header(b"a") + bytes(512)) == ["a"]


@pytest.mark.parametrize(
    "content",
    [
        header(b"a") + bytes(512) + header(b"b"),
        header(b"a", size=b"9"),
        header(b"a", size=b"1", flag=b"x"),
        header(b"a", size=b"1")[:-1],
        extended(b"x", b"99 path=a\n") + header(b"a"),
        extended(b"x", b"3 a\n") + header(b"a"),
        extended(b"x", b"path=a\n") + header(b"a"),
        extended(b"x", b"10 size=-3\n"[:10] + b"\n") + header(b"a"),
        extended(b"x", b"0 path=a\n") + header(b"a"),
        extended(b"x", b"x9 path=a\n") + header(b"a"),
        header(b"a", flag=b"S", sparse=bytes(96) + b"\x01"),
        extended(b"x", b"22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n")
        + header(b"a", size=b"1000")
        + b"9\n"
        + bytes(510),
    ],
)
def test_malformed(content: bytes) -> None:
    """What is no archive, is cut off or contradicts itself, is refused."""
    with pytest.raises(LayerError):
        read(content)


def test_long_sparse_map() -> None:
    """The map of a sparse file may go on in further blocks."""
    first = b"%011o\0%011o\0" % (0, 2) + b"%011o\0%011o\0" % (4, 2)
    block = bytearray(512)
    block[:24] = b"%011o\0%011o\0" % (300, 1)
    content = header(b"a", flag=b"S", size=b"5", sparse=first + bytes(48) + b"\x01") + bytes(block)
    content += b"abcde" + bytes(507) + header(b"b") + END
    (sparse, _) = read(content)
    assert sparse.prefix.rstrip(b"\0") == b"ab\0\0cd"
