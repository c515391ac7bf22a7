"""Why builds are built, or not, as people and programs read it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from orchestrator.config.credentials import hide_userinfo
from orchestrator.model import Model
from orchestrator.plan.document import ReasonDocument
from orchestrator.plan.model import Action
from orchestrator.plan.why import Change, Line, Why
from orchestrator.ui.excerpt import printable as escaped

_DIGEST: Final = re.compile(r"\b(sha256:[0-9a-f]{12})[0-9a-f]{52}\b")
_SIGNS: Final = {
    Change.SAME: " ",
    Change.ADDED: "+",
    Change.REMOVED: "-",
    Change.CHANGED: "~",
    Change.UNKNOWN: "?",
}
_VALUES: Final = frozenset({"platform", "build platform", "target", "arg", "label", "option", "format"})
"""Kinds whose values people wrote, so that the earlier one and the later one are lines of their own."""


class LineDocument(Model):
    """A line, as JSON."""

    change: str
    kind: str
    name: str
    before: str
    after: str
    note: str


class WhyDocument(Model):
    """A platform build, as JSON."""

    id: str
    image: str
    platform: str
    action: str
    reasons: tuple[ReasonDocument, ...]
    stands: str | None
    input: str | None
    last_input: str | None
    notes: tuple[str, ...]
    lines: tuple[LineDocument, ...]


def render_why(builds: Iterable[Why], *, everything: bool) -> str:
    """One paragraph for each build; what is the same is counted, or shown where `everything` is asked for."""
    return "\n".join(
        "".join(f"{escaped(hide_userinfo(line))}\n" for line in _paragraph(why, everything=everything))
        for why in builds
    )


def render_why_json(builds: Iterable[Why]) -> str:
    """All lines of all builds."""
    document = {"format_version": "1.0", "builds": tuple(map(_document, builds))}
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


def _document(why: Why) -> WhyDocument:
    return WhyDocument(
        id=why.build.id,
        image=why.build.image,
        platform=str(why.build.platform),
        action=why.build.action.value,
        reasons=tuple(ReasonDocument(code=each.code, message=each.message, items=each.items) for each in why.reasons),
        stands=why.stands,
        input=why.now,
        last_input=why.last,
        notes=tuple(map(hide_userinfo, why.notes)),
        lines=tuple(
            LineDocument(
                change=line.change.value, kind=line.kind, name=line.name, before=line.before, after=line.after,
                note=line.note,
            )
            for line in why.lines
        ),
    )  # fmt: skip


def _paragraph(why: Why, *, everything: bool) -> Iterator[str]:
    yield f"{why.build.id}: {_headline(why)}"
    yield from (f"  {_short(note)}" for note in why.notes)
    same = 0
    for line in why.lines:
        if line.change is Change.SAME and not everything:
            same += 1
        else:
            yield from _lines(line)
    if same:
        yield f"  {same} {'line is' if same == 1 else 'lines are'} the same (`--all` shows them)"


def _headline(why: Why) -> str:
    if why.build.action is Action.REUSE:
        return f"reuse, nothing changed since {_short(why.stands or '')}"
    return f"{why.build.action.value}, {'; '.join(reason.message for reason in why.reasons)}"


def _lines(line: Line) -> Iterator[str]:
    what = f"{line.kind} {line.name}".rstrip()
    note = f" ({line.note})" if line.note else ""
    before, after = _short(line.before), _short(line.after)
    sign = _SIGNS[line.change]
    if line.change is Change.UNKNOWN:
        yield f"  {sign} {what}: not known, {line.note}"
    elif line.change is Change.CHANGED and line.kind in _VALUES and not note:
        yield f"  - {what} = {before}"
        yield f"  + {what} = {after}"
    elif line.change is Change.CHANGED:
        yield f"  {sign} {what}: {before} -> {after}{note}" if before != after else f"  {sign} {what}: {before}{note}"
    else:
        value = before or after
        yield f"  {sign} {what} = {value}{note}" if value else f"  {sign} {what}"


def _short(text: str) -> str:
    return _DIGEST.sub(r"\1", text)
