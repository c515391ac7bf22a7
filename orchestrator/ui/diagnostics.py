"""Diagnostics as text: what is wrong, the line where it stands, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Final, Literal, TypeAlias

from orchestrator.config.credentials import hide_userinfo
from orchestrator.config.locate import resolve
from orchestrator.diagnostics import Diagnostic, Severity, Span
from orchestrator.ui.excerpt import Excerpt, cut, printable
from orchestrator.ui.mask import mask

Colour: TypeAlias = Literal["never", "always"]

WIDTH: Final = 120
_BOLD: Final = "1"
_BLUE: Final = "34"
_CYAN: Final = "36"
_SEVERITY: Final = {Severity.ERROR: "1;31", Severity.WARNING: "1;33"}
_NOUNS: Final = {Severity.ERROR: "error", Severity.WARNING: "warning"}


def ordered(diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """In the order in which they are shown: errors before warnings, then by place; what has none comes first."""

    def key(finding: Diagnostic) -> tuple[bool, str, int, int]:
        warning = finding.severity is Severity.WARNING
        if isinstance(finding.place, Span):
            return warning, finding.place.file, finding.place.line, finding.place.column
        return warning, "", 0, 0

    return tuple(sorted(diagnostics, key=key))


def render(
    diagnostics: Iterable[Diagnostic], texts: Mapping[str, str], *, colour: Colour = "never", width: int = WIDTH
) -> str:
    """All of them, and a last line that counts them; nothing for none.

    `texts` are the files that places are in; a place in another file is named without its line. Values of keys that
    look like credentials are masked in the lines shown, and user information of URLs everywhere.
    """
    found = ordered(resolve(diagnostics, texts))
    if not found:
        return ""
    spans = chain.from_iterable((finding.place, *finding.related) for finding in found)
    shown = {span.file for span in spans if isinstance(span, Span)}
    lines = {file: mask(text, file).split("\n") for file, text in texts.items() if file in shown}
    page = _Page(lines, colour, width)
    for finding in found:
        page.add(finding)
    page.count(found)
    return "\n".join(page.lines) + "\n"


class _Page:
    def __init__(self, texts: Mapping[str, list[str]], colour: Colour, width: int) -> None:
        self.texts = texts
        self.colour = colour
        self.width = width
        self.lines: list[str] = []

    def add(self, finding: Diagnostic) -> None:
        style = _SEVERITY[finding.severity]
        head = self._paint(f"{_NOUNS[finding.severity]}[{finding.code}]", style)
        self.lines.append(f"{head}: {self._paint(_said(finding.message), _BOLD)}")
        spans = [place for place in (finding.place, *finding.related) if isinstance(place, Span)]
        gutter = max((len(str(span.line)) for span in spans), default=1)
        for position, span in enumerate(spans):
            arrow = "-->" if position == 0 and finding.place is not None else "and"
            self.lines.append(f"{' ' * gutter}{self._paint(arrow, _BLUE)} {_location(span)}")
            self.lines.extend(self._excerpt(span, gutter, style if arrow == "-->" else _BLUE))
        if finding.subject and f"`{finding.subject}`" not in finding.message:
            self.lines.append(f"  in: {_said(finding.subject)}")
        self.lines.extend(f"  {self._paint('hint:', _CYAN)} {_said(hint)}" for hint in finding.hints)
        self.lines.append("")

    def count(self, found: tuple[Diagnostic, ...]) -> None:
        counts = [(noun, sum(one.severity is severity for one in found)) for severity, noun in _NOUNS.items()]
        said = [f"{count:,} {noun}{'' if count == 1 else 's'}" for noun, count in counts if count]
        self.lines.append(" and ".join(said))

    def _excerpt(self, span: Span, gutter: int, style: str) -> Iterator[str]:
        text = self.texts.get(span.file)
        if text is None or not 1 <= span.line <= len(text):
            return
        excerpt: Excerpt = cut(text[span.line - 1], span, self.width - gutter - len(" | "))
        bar = self._paint("|", _BLUE)
        carets = " " * excerpt.before + self._paint("^" * excerpt.under, style)
        yield f"{' ' * gutter} {bar}"
        yield f"{self._paint(str(span.line).rjust(gutter), _BLUE)} {bar} {excerpt.text}".rstrip()
        yield f"{' ' * gutter} {bar} {carets}"

    def _paint(self, text: str, style: str) -> str:
        return text if self.colour == "never" else f"\x1b[{style}m{text}\x1b[0m"


def _said(text: str) -> str:
    return printable(hide_userinfo(text))


def _location(span: Span) -> str:
    return printable(f"{span.file}:{span.line}:{span.column}")
