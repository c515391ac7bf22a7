"""What a build can see of a folder: its entries, and one digest over them.

Two checkouts of one commit have the same digest, wherever they stand, whoever made them and when. Owners, times and
extended attributes do not count because they do not reach an image: `COPY` gives everything to root, and layers keep
no attributes (tried: `security.capability` is lost on the way). Of permissions, the write bits of group and others
are left out, since they are the umask of whoever cloned.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from enum import Enum
from functools import cached_property
from itertools import pairwise
from typing import Final

from orchestrator.model import Model
from orchestrator.oci.digest import Digest
from orchestrator.plan.copy_sources import CopySources, Span, decode, encode

COUNTED_BITS: Final = 0o7755
"""The permission bits that count."""
EMPTY: Final = hashlib.sha256(b"").hexdigest()
"""The content of an empty file."""

_HEADER: Final = b"orchestrator context 1\n"
_FIELDS: Final = 3


class Kind(Enum):
    """What an entry is, by the letter that stands for it.

    The engine makes an empty file of a socket, and a character device of a block device.
    """

    FOLDER = "d"
    FILE = "f"
    LINK = "l"
    FIFO = "p"
    DEVICE = "c"


class Entry(Model):
    """A file, a folder or something else of a context.

    Args:
        path: relative to the context, with slashes; bytes that are not UTF-8 are surrogates, as `os.fsdecode` has it.
        kind: what it is.
        mode: permission bits that count; 0 for links, which have none of their own.
        content: sha256 of a file in hex, target of a link, `major:minor` of a device; empty for what has none.
    """

    path: str
    kind: Kind
    mode: int = 0
    content: str = ""


class Listing(Model, dict=True):
    """The entries of a context, ordered by the bytes of their paths.

    `records` are the entries as bytes: the path, the letter of the kind with four octal digits of mode, the content,
    each ended by a NUL byte, which none of them can contain. The digest is the sha256 of the line
    `orchestrator context 1` and of the records one after the other. So the text can be read in one way only, and since
    NUL is smaller than anything, records order as paths do and can be looked up by halving.
    """

    records: tuple[bytes, ...] = ()

    @cached_property
    def text(self) -> bytes:
        """What the digest is made of; `parse_listing` reads it."""
        return _HEADER + b"".join(self.records)

    @cached_property
    def digest(self) -> Digest:
        """The sha256 of the text."""
        return Digest("sha256:" + hashlib.sha256(self.text).hexdigest())

    @property
    def entries(self) -> Iterator[Entry]:
        """The entries, made when they are asked for: there may be 100,000 of them."""
        return map(_entry, self.records)

    def only(self, sources: Iterable[str]) -> Listing:
        """What `COPY source…` takes: wildcards as in Go's `filepath.Match`, a folder with all that is in it.

        Links are followed where `COPY` follows them, that is to and in a source, not below it; they are part of the
        result together with what they lead to. A source that is not there gives nothing, and folders on the way to one
        are left out, because what they are like does not reach the image.

        Raises:
            WildcardError: a source cannot be read as a pattern.
        """
        spans: list[Span] = []
        for source in sources:
            spans += self._sources.take(source)
        return self if (0, len(self.records)) in spans else Listing(records=self._cut(spans))

    @cached_property
    def _sources(self) -> CopySources:
        return CopySources(self.records)

    def _cut(self, spans: list[Span]) -> tuple[bytes, ...]:
        found: list[bytes] = []
        done = 0
        for first, last in sorted(spans):
            found += self.records[max(first, done) : last]
            done = max(done, last)
        return tuple(found)


def record(entry: Entry) -> bytes:
    """An entry as bytes."""
    return encode(entry.path) + record_tail(entry.kind, entry.mode, encode(entry.content))


def record_tail(kind: Kind, mode: int, content: bytes = b"") -> bytes:
    """What follows the path in a record."""
    bits = 0 if kind is Kind.LINK else mode & COUNTED_BITS
    return b"\0%s%04o\0%s\0" % (kind.value.encode(), bits, content)


def parse_listing(text: bytes) -> Listing:
    """Read the text of a listing that was kept, and believe nothing.

    Raises:
        ValueError: it is none.
    """
    if not text.startswith(_HEADER):
        msg = "not a listing of a context"
        raise ValueError(msg)
    fields = text[len(_HEADER) :].split(b"\0")
    last = fields.pop()
    paths, kinds, contents = fields[::_FIELDS], fields[1::_FIELDS], fields[2::_FIELDS]
    if last or len(fields) % _FIELDS:
        msg = "the listing of a context is cut off"
        raise ValueError(msg)
    records = tuple(b"%s\0%s\0%s\0" % each for each in zip(paths, kinds, contents, strict=True))
    wrong = next((each for each in records if not _RECORD.match(each)), None)
    if wrong is not None or any(one >= other for one, other in pairwise(paths)):
        msg = f"the listing of a context has an entry that cannot be: {wrong or b'one out of order'!r:.200}"
        raise ValueError(msg)
    return Listing(records=records)


def changed_paths(before: Listing, after: Listing) -> tuple[str, ...]:
    """The paths of entries that came, went or are another one, in order."""
    records = set(before.records) ^ set(after.records)
    return tuple(map(decode, sorted({each.partition(b"\0")[0] for each in records})))


_RECORD: Final = re.compile(
    rb"(?!(?:[^\0]*/)?\.{0,2}(?:/|\0))[^\0]+\0"
    rb"(?:f[0-7]{4}\0[0-9a-f]{64}|[dp][0-7]{4}\0|l0000\0[^\0]+|c[0-7]{4}\0[0-9]+:[0-9]+)\0\Z"
)
"""No path is absolute, empty, or has empty parts, `.` or `..`."""


def _entry(each: bytes) -> Entry:
    path, tail, content, _ = each.split(b"\0")
    return Entry(path=decode(path), kind=Kind(chr(tail[0])), mode=int(tail[1:], 8), content=decode(content))
