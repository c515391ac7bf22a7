"""What the sources of a `COPY` take of a context, as BuildKit finds it (fsutil, copy/copy.go).

A source is split before its first part with a wildcard. What stands before is followed through links, what matches the
rest is looked for below without following any, and each match is followed again. Nothing leads out of the context.
"""

from __future__ import annotations

import posixpath
import re
from bisect import bisect_left
from collections.abc import Iterator
from typing import Final, TypeAlias

from orchestrator.dockerfile.automaton import Automaton, Item
from orchestrator.dockerfile.wildcard import WildcardError, has_wildcards, parse_wildcards

MAX_LINKS: Final = 255
"""How many links containerd's continuity follows in one path."""

_SLASH: Final = ord("/")
Span: TypeAlias = tuple[int, int]
"""Records from one number up to another."""


class CopySources:
    """Looks up sources in the records of a `Listing`; what one image takes need not be looked up for the next."""

    def __init__(self, records: tuple[bytes, ...]) -> None:
        self._records = records
        self._taken: dict[str, tuple[Span, ...]] = {}
        self._patterns: dict[str, Automaton] = {}

    def take(self, source: str) -> tuple[Span, ...]:
        """The records of one source, those of links on the way included."""
        cleaned = posixpath.normpath("/" + source).lstrip("/")
        found = self._taken.get(cleaned)
        if found is None:
            found = self._taken[cleaned] = tuple(self._find(cleaned))
        return found

    def _find(self, source: str) -> Iterator[Span]:
        parts = source.split("/")
        plain = next((at for at, part in enumerate(parts) if has_wildcards(part)), len(parts))
        base, links = self._follow(encode("/".join(parts[:plain])))
        yield from links
        if base is None:
            return
        for path in self._match(base, parts[plain:]):
            target, links = self._follow(path)
            yield from links
            if target is not None:
                yield from self._below(target)

    def _match(self, base: bytes, parts: list[str]) -> Iterator[bytes]:
        """The paths below `base` that match the remaining parts of a source."""
        if not parts:
            yield base
            return
        if any(map(_crosses_folders, parts)):
            yield from self._match_all(base, "/".join(parts))
            return
        automaton = self._automaton(parts[0])
        for path, is_folder in self._children(base, _plain_beginning(parts[0])):
            if not automaton.run(automaton.start, decode(path.rpartition(b"/")[2])).accepts:
                continue
            if len(parts) == 1:
                yield path
            elif is_folder:
                yield from self._match(path, parts[1:])

    def _match_all(self, base: bytes, pattern: str) -> Iterator[bytes]:
        """As `_match`, for the one pattern in which a class may be a slash: all that is below has to be tried."""
        automaton = self._automaton(pattern)
        prefix = base + b"/" if base else b""
        first, last = self._under(prefix)
        for each in self._records[first:last]:
            path = each.partition(b"\0")[0]
            if automaton.run(automaton.start, decode(path[len(prefix) :])).accepts:
                yield path

    def _automaton(self, pattern: str) -> Automaton:
        found = self._patterns.get(pattern)
        if found is None:
            found = self._patterns[pattern] = Automaton([(0, (parse_wildcards(pattern),))])
        return found

    def _children(self, folder: bytes, beginning: bytes) -> Iterator[tuple[bytes, bool]]:
        """What stands in a folder under names with this beginning, and whether it is a folder itself."""
        prefix = folder + b"/" if folder else b""
        at, last = self._under(prefix + beginning)
        while at < last:
            path, _, tail = self._records[at].partition(b"\0")
            name, _, deeper = path[len(prefix) :].partition(b"/")
            if deeper:  # in a folder that came before: `a`, then `a-b`, then `a/c`
                at = bisect_left(self._records, prefix + name + b"0", at, last)
                continue
            yield path, tail.startswith(b"d")
            at += 1

    def _below(self, path: bytes) -> Iterator[Span]:
        """An entry, and all that is in it."""
        if not path:
            yield 0, len(self._records)
            return
        at = self._place(path)
        if at is not None:
            yield at, at + 1
            yield self._under(path + b"/")

    def _under(self, prefix: bytes) -> Span:
        """The records whose path begins like this, which is nothing or does not end with the largest of bytes."""
        if not prefix:
            return 0, len(self._records)
        first = bisect_left(self._records, prefix)
        return first, bisect_left(self._records, _after(prefix), first)

    def _place(self, path: bytes) -> int | None:
        at = bisect_left(self._records, path + b"\0")
        return at if self._records[at : at + 1] and self._records[at].startswith(path + b"\0") else None

    def _follow(self, path: bytes) -> tuple[bytes | None, list[Span]]:
        """Where a path leads within the context, and the links on the way; None where it leads round and round."""
        resolved: list[bytes] = []
        left = path.split(b"/")[::-1]
        links: list[Span] = []
        while left:
            part = left.pop()
            if part in {b"", b"."}:
                continue
            if part == b"..":
                del resolved[-1:]
                continue
            at = self._place(b"/".join([*resolved, part]))
            target = None if at is None else _link_target(self._records[at])
            if at is None or target is None:
                resolved.append(part)
                continue
            if len(links) == MAX_LINKS:
                return None, links
            links.append((at, at + 1))
            if target.startswith(b"/"):
                resolved.clear()
            left += target.split(b"/")[::-1]
        return b"/".join(resolved), links


def _crosses_folders(part: str) -> bool:
    """Whether a class in the midst of it may be a slash, which `*` and `?` never are; or began or ends in another."""
    try:
        inner = parse_wildcards(part)[1:-1]
    except WildcardError:
        return True
    return any(isinstance(token, Item) and not token.loop and _may_be_slash(token) for token in inner)


def _may_be_slash(item: Item) -> bool:
    return item.charset.has(_SLASH)


def _plain_beginning(part: str) -> bytes:
    """The letters before the first wildcard."""
    return encode(re.split(r"[*?\[\\]", part, maxsplit=1)[0])


def _after(prefix: bytes) -> bytes:
    """The first text that is larger than all that begin with this."""
    stripped = prefix.rstrip(b"\xff")
    return stripped[:-1] + bytes([stripped[-1] + 1])


def _link_target(each: bytes) -> bytes | None:
    _, tail, target, _ = each.split(b"\0")
    return target if tail.startswith(b"l") else None


def encode(text: str) -> bytes:
    """A path as bytes; the surrogates of `decode` become the bytes that they stand for."""
    return text.encode("utf-8", "surrogateescape")


def decode(path: bytes) -> str:
    """A path as text, on every machine alike."""
    return path.decode("utf-8", "surrogateescape")
