"""From the keys of a place to its line and column."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Final

from orchestrator.config.scan import Found, Keys, Mention, Offsets, scan
from orchestrator.diagnostics import Diagnostic, KeyPlace, Place, Span
from orchestrator.model import Model

_BYTE_ORDER_MARK: Final = "\ufeff"


def locate(places: Iterable[KeyPlace], text: str) -> tuple[Span, ...]:
    """The spans of places of one text, in their order; the text is scanned once, however many there are."""
    asked = tuple(places)
    wanted = {place.keys[:length] for place in asked for length in range(1, len(place.keys) + 1)}
    best: dict[Keys, Found] = {}

    def keep(found: Found) -> None:
        if found.keys in wanted:
            known = best.get(found.keys)
            if known is None or (known.mention is Mention.PASSING and found.mention is not Mention.PASSING):
                best[found.keys] = found

    scan(text, keep)
    lines = Lines.of(text)
    return tuple(lines.span(place.file, _offsets(place, best)) for place in asked)


def resolve(diagnostics: Iterable[Diagnostic], texts: Mapping[str, str]) -> tuple[Diagnostic, ...]:
    """The same diagnostics with a `Span` for every `KeyPlace`; each file is scanned at most once."""
    given = tuple(diagnostics)
    by_file: dict[str, dict[KeyPlace, None]] = {}
    for place in chain.from_iterable((finding.place, *finding.related) for finding in given):
        if isinstance(place, KeyPlace):
            by_file.setdefault(place.file, {})[place] = None
    spans: dict[KeyPlace, Span] = {}
    for file, places in by_file.items():
        spans.update(zip(places, locate(places, texts.get(file, "")), strict=True))

    def located(place: Place) -> Place:
        return spans[place] if isinstance(place, KeyPlace) else place

    return tuple(
        Diagnostic(
            code=finding.code,
            message=finding.message,
            severity=finding.severity,
            place=finding.place and located(finding.place),
            subject=finding.subject,
            hints=finding.hints,
            related=tuple(map(located, finding.related)),
        )
        for finding in given
    )


def _offsets(place: KeyPlace, best: Mapping[Keys, Found]) -> Offsets:
    for length in range(len(place.keys), 0, -1):
        found = best.get(place.keys[:length])
        if found is not None:
            exact = length == len(place.keys)
            return found.value if exact and not place.on_key else found.key
    return (0, 0)


class Lines(Model):
    """A text by lines, for turning offsets into lines and columns; a byte order mark has no column."""

    text: str
    starts: tuple[int, ...]

    @classmethod
    def of(cls, text: str) -> Lines:
        """The lines of a text; only a line feed ends one, as in TOML."""
        starts = [0]
        position = text.find("\n")
        while position >= 0:
            starts.append(position + 1)
            position = text.find("\n", position + 1)
        return cls(text=text, starts=tuple(starts))

    def span(self, file: str, at: Offsets) -> Span:
        """The span of a range; of one that goes over several lines, its part of the first."""
        start, end = at
        line = bisect_right(self.starts, start)
        first = self.starts[line - 1]
        last = self.starts[line] if line < len(self.starts) else len(self.text)
        length = len(self.text[start : min(end, last)].rstrip())
        mark = 1 if line == 1 and self.text.startswith(_BYTE_ORDER_MARK) else 0
        return Span(file=file, line=line, column=max(1, start - first + 1 - mark), length=max(1, length))

    def offset(self, line: int, column: int) -> int:
        """The offset of a 1-based line and column; the end of the text for one behind it."""
        return min(self.starts[min(line, len(self.starts)) - 1] + column - 1, len(self.text))
