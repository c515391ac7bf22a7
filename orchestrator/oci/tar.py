"""The members of a tar archive, read once from a stream (POSIX pax, GNU tar's own format, and v7).

Not `tarfile`: layers come from strangers, and before 3.11.14 it can be made to loop for ever, and at any version to
hold an extended header of any size in memory. This reads what Go's archive/tar reads, which is what unpacks images.
Global pax headers are passed over, as there.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Final

from orchestrator.model import Model
from orchestrator.oci.elf import PREFIX_BYTES
from orchestrator.oci.unpack import LayerError, UnpackedBytes, other_compression

_BLOCK: Final = 512
_MAX_HEADER_BYTES: Final = 1024 * 1024
"""Of one extended header or sparse map, as in archive/tar."""
_MAX_DIGITS: Final = 19
_SPARSE_ENTRY: Final = 24
_Segments = tuple[tuple[int, int], ...]


class Kind(Enum):
    """What a member makes."""

    FILE = "file"
    FOLDER = "folder"
    SYMLINK = "symlink"
    HARD_LINK = "hard link"
    OTHER = "other"
    """A device or a fifo: nothing to look at, but it takes its path."""


_KINDS: Final = {
    b"1": Kind.HARD_LINK, b"2": Kind.SYMLINK, b"3": Kind.OTHER, b"4": Kind.OTHER, b"5": Kind.FOLDER, b"6": Kind.OTHER,
}  # fmt: skip


class Member(Model):
    """One entry: its path as written, the target of a link, and the first bytes of a file."""

    path: str
    kind: Kind
    target: str = ""
    prefix: bytes = b""


class _Extended:
    """What the extended headers before a member say about it."""

    def __init__(self) -> None:
        self.path = ""
        self.sparse_path = ""
        self.target = ""
        self.size: int | None = None
        self.sparse_version: tuple[str, str] = ("", "")
        self.sparse_numbers: list[int] = []


def read_members(source: UnpackedBytes) -> Iterator[Member]:
    """All members in order; what follows the end mark is left unread.

    Raises:
        LayerError: it is no tar archive, is cut off, or has a header larger than 1 MiB.
    """
    extended = _Extended()
    while (header := _next_header(source)) is not None:
        flag, size = header[156:157], _number(header[124:136])
        if flag == b"x":
            _apply_pax(extended, _payload(source, size))
        elif flag == b"L":
            extended.path = _text(_payload(source, size))
        elif flag == b"K":
            extended.target = _text(_payload(source, size))
        elif flag == b"g":
            _payload(source, size)
        else:
            yield _member(source, header, extended)
            extended = _Extended()


def _next_header(source: UnpackedBytes) -> bytes | None:
    block = source.read(_BLOCK)
    if not block:
        return None
    if len(block) < _BLOCK:
        _refuse(block, "it ends in the middle of a header")
    if not any(block):
        if any(source.read(_BLOCK)):
            _refuse(block, "something follows an empty header")
        return None
    unsigned = sum(block) - sum(block[148:156]) + 8 * ord(" ")
    try:
        written = _number(block[148:156])
    except LayerError:
        written = -1
    if written != unsigned and written != unsigned - 256 * _high_bytes(block):
        _refuse(block, "the checksum of a header is wrong")
    return block


def _high_bytes(block: bytes) -> int:
    """How many bytes old tars take for negative in a checksum."""
    return len((block[:148] + block[156:]).translate(None, bytes(range(128))))


def _refuse(block: bytes, why: str) -> None:
    compression = other_compression(block)
    msg = (
        f"the layer is compressed with {compression}: only gzip and zstd are layers of an image"
        if compression
        else f"the layer is no tar archive: {why}"
    )
    raise LayerError(msg)


def _member(source: UnpackedBytes, header: bytes, extended: _Extended) -> Member:
    flag = header[156:157]
    path = extended.sparse_path or extended.path or _written_path(header)
    target = extended.target or _text(header[157:257])
    kind = _KINDS.get(flag, Kind.FILE)
    if flag == b"\0" and path.endswith("/"):
        kind = Kind.FOLDER
    if kind is not Kind.FILE:
        return Member(path=path, kind=kind, target=target if kind in {Kind.SYMLINK, Kind.HARD_LINK} else "")
    size = _number(header[124:136]) if extended.size is None else extended.size
    segments, map_bytes = _sparse_map(source, header, extended, size)
    prefix = _read_data(source, size - map_bytes, size)
    return Member(path=path, kind=kind, prefix=prefix if segments is None else _spread(prefix, segments))


def _written_path(header: bytes) -> str:
    name = _text(header[:100])
    folder = _text(header[345:500]) if header[257:263] == b"ustar\0" else ""
    return f"{folder}/{name}" if folder else name


def _read_data(source: UnpackedBytes, left: int, size: int) -> bytes:
    """The start of a member's data, and past its end; `size` is that of all of its blocks."""
    prefix = source.read(min(left, PREFIX_BYTES))
    rest = left - len(prefix) + -size % _BLOCK
    if source.skip(rest) < rest:
        msg = "the layer is cut off in the middle of a file"
        raise LayerError(msg)
    return prefix


def _payload(source: UnpackedBytes, size: int) -> bytes:
    if size > _MAX_HEADER_BYTES:
        msg = f"the layer has an extended header of {size} bytes, at most {_MAX_HEADER_BYTES} are read"
        raise LayerError(msg)
    padded = size + -size % _BLOCK
    content = source.read(padded)
    if len(content) < padded:
        msg = "the layer is cut off in the middle of an extended header"
        raise LayerError(msg)
    return content[:size]


def _apply_pax(extended: _Extended, records: bytes) -> None:
    """Records are `length key=value`, the length that of the whole record with its line feed."""
    position = 0
    while position < len(records):
        space = records.find(b" ", position, position + _MAX_DIGITS + 1)
        length = _decimal(records[position:space]) if space > 0 else 0
        end = position + length
        record = records[space + 1 : end]
        key, equals, value = record.partition(b"=")
        if end > len(records) or not equals or not record.endswith(b"\n"):
            msg = "the layer has a malformed pax header"
            raise LayerError(msg)
        position = end
        _apply_record(extended, key, value[:-1])


def _apply_record(extended: _Extended, key: bytes, value: bytes) -> None:
    match key:
        case b"path":
            extended.path = _text(value)
        case b"GNU.sparse.name":
            extended.sparse_path = _text(value)
        case b"linkpath":
            extended.target = _text(value)
        case b"size":
            extended.size = _decimal(value) if value else None
        case b"GNU.sparse.major":
            extended.sparse_version = (_text(value), extended.sparse_version[1])
        case b"GNU.sparse.minor":
            extended.sparse_version = (extended.sparse_version[0], _text(value))
        case b"GNU.sparse.offset" | b"GNU.sparse.numbytes":
            extended.sparse_numbers.append(_decimal(value))
        case b"GNU.sparse.map":
            extended.sparse_numbers = [_decimal(number) for number in value.split(b",")]
        case _:
            pass


def _sparse_map(source: UnpackedBytes, header: bytes, extended: _Extended, size: int) -> tuple[_Segments | None, int]:
    """Where the data of a sparse file belongs (None: it is not sparse), and how much of the data the map took."""
    if header[156:157] == b"S":
        return _old_gnu_map(source, header), 0
    if extended.sparse_version == ("1", "0"):
        return _leading_map(source, size)
    if extended.sparse_numbers:
        return _pairs(extended.sparse_numbers), 0
    return None, 0


def _old_gnu_map(source: UnpackedBytes, header: bytes) -> _Segments:
    numbers = _numbers(header[386:482])
    more = header[482]
    while more:
        block = source.read(_BLOCK)
        if len(block) < _BLOCK or len(numbers) > _MAX_HEADER_BYTES // _SPARSE_ENTRY:
            msg = "the layer has a malformed sparse file"
            raise LayerError(msg)
        numbers += _numbers(block[:504])
        more = block[504]
    return _pairs(numbers)


def _numbers(fields: bytes) -> list[int]:
    return [_number(fields[start : start + 12]) for start in range(0, len(fields), 12)]


def _leading_map(source: UnpackedBytes, size: int) -> tuple[_Segments, int]:
    """Version 1.0: decimal lines before the data, their count first, filled up to whole blocks."""
    lines: list[bytes] = []
    rest = b""
    taken = 0
    while not lines or len(lines) <= 2 * _decimal(lines[0]):
        if taken + _BLOCK > min(size, _MAX_HEADER_BYTES):
            msg = "the layer has a malformed sparse file"
            raise LayerError(msg)
        *whole, rest = (rest + source.read(_BLOCK)).split(b"\n")
        lines += whole
        taken += _BLOCK
    return _pairs([_decimal(line) for line in lines[1 : 1 + 2 * _decimal(lines[0])]]), taken


def _pairs(numbers: list[int]) -> _Segments:
    return tuple(zip(numbers[::2], numbers[1::2], strict=False))


def _spread(content: bytes, segments: _Segments) -> bytes:
    """The first bytes of a sparse file: the data moved to where it belongs, holes as zeros."""
    spread = bytearray(PREFIX_BYTES)
    position = 0
    for offset, length in segments:
        if offset >= PREFIX_BYTES or position >= len(content):
            break
        part = content[position : position + length][: PREFIX_BYTES - offset]
        spread[offset : offset + len(part)] = part
        position += length
    return bytes(spread)


def _number(field: bytes) -> int:
    """Octal digits, or a big-endian number where the first bit is set (GNU, star)."""
    if field[0] & 0x80:
        number = int.from_bytes(field, "big") - (0x80 << 8 * (len(field) - 1))
        if field[0] & 0x40:
            msg = "the layer has a negative number in a header"
            raise LayerError(msg)
        return number
    digits = field.strip(b" \0").partition(b"\0")[0] or b"0"
    if digits.strip(b"01234567"):
        msg = "the layer has a malformed number in a header"
        raise LayerError(msg)
    return int(digits, 8)


def _decimal(digits: bytes) -> int:
    if not digits.isdigit() or len(digits) > _MAX_DIGITS:
        msg = "the layer has a malformed number in an extended header"
        raise LayerError(msg)
    return int(digits)


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "surrogateescape")
