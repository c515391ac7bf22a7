"""Broken variants of a `builds.toml`, and a measure of how well a checker points at what was broken.

`mutants` changes one thing at a time: a key is renamed, a value gets another type, is emptied or dropped, a statement
is dropped or repeated, a mark of TOML's syntax is lost. `survey` runs any checker over them: the decode stage alone, or
the whole way to a plan.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from orchestrator.config.locate import Lines
from orchestrator.config.scan import Found, Mention, scan
from orchestrator.diagnostics import Diagnostic, Span
from orchestrator.model import Model

OTHER_VALUES = ("5", "true", '"text"', '["text"]', "{ text = 1 }", "1979-05-27", "nan", '""', "[]", "[[]]")
MARKS = re.compile(r"""["'=\[\]{},.]""")
WORD = re.compile(r"[A-Za-z][A-Za-z0-9_-]{2,}")
COMMENT = re.compile(r"""(?:"[^"\n]*"|'[^'\n]*'|[^"'#\n])*""")


class Mutant(Model):
    """A variant of a text; `line` is the line that was changed.

    That of a statement that was left out is the line where its table starts, for nothing else of it is there.
    """

    text: str
    line: int
    description: str


class Survey(Model):
    """What a checker made of some mutants."""

    rejected: tuple[Mutant, ...]
    misplaced: tuple[tuple[Mutant, Diagnostic], ...]
    accepted: tuple[Mutant, ...]

    @property
    def accuracy(self) -> float:
        """The share of the rejected ones whose first diagnostic stands on the changed line."""
        return 1 - len(self.misplaced) / len(self.rejected)


def survey(mutants: Iterable[Mutant], check: Callable[[str], tuple[Diagnostic, ...]]) -> Survey:
    """Run a checker that gives the diagnostics of a text, located and in the order in which they are shown."""
    rejected: list[Mutant] = []
    misplaced: list[tuple[Mutant, Diagnostic]] = []
    accepted: list[Mutant] = []
    for mutant in mutants:
        found = check(mutant.text)
        if not found:
            accepted.append(mutant)
            continue
        rejected.append(mutant)
        place = found[0].place
        if not isinstance(place, Span) or place.line != mutant.line:
            misplaced.append((mutant, found[0]))
    return Survey(rejected=tuple(rejected), misplaced=tuple(misplaced), accepted=tuple(accepted))


def mutants(text: str) -> Iterator[Mutant]:
    """All variants, in the order of the text; none is the text itself."""
    mentions: list[Found] = []
    scan(text, mentions.append)
    mentions.sort(key=lambda found: found.key)
    for found in mentions:
        for mutant in (*_renamed(text, found), *_revalued(text, found), *_repeated(text, found)):
            if mutant.text != text:
                yield mutant
    yield from _dropped(text, mentions)
    yield from _unmarked(text)


def _change(text: str, at: tuple[int, int], new: str, description: str) -> Mutant:
    start, end = at
    line = text.count("\n", 0, start) + 1
    return Mutant(text=text[:start] + new + text[end:], line=line, description=f"line {line}: {description}")


def _renamed(text: str, found: Found) -> Iterator[Mutant]:
    if found.mention is Mention.ELEMENT:
        return
    name = text[slice(*found.key)]
    for new in _misspelled(name):
        yield _change(text, found.key, new, f"`{name}` renamed to `{new}`")


def _misspelled(word: str) -> Iterator[str]:
    match = WORD.search(word)
    if match is None:
        return
    start, inner, end = word[: match.start()], match.group(), word[match.end() :]
    middle = len(inner) // 2
    yield start + inner[: middle - 1] + inner[middle] + inner[middle - 1] + inner[middle + 1 :] + end
    yield start + inner[:-1] + end
    yield start + inner + "x" + end
    yield start + inner.upper() + end
    yield start + inner.replace("-", "_") + end


def _revalued(text: str, found: Found) -> Iterator[Mutant]:
    if found.mention in {Mention.HEADER, Mention.PASSING}:
        return
    old = text[slice(*found.value)]
    for new in (*OTHER_VALUES, *_misspelled(old)):
        yield _change(text, found.value, new, f"`{old[:40]}` replaced by `{new[:40]}`")
    if found.mention is not Mention.ELEMENT:
        yield _change(text, found.value, "", f"value of `{found.keys[-1]}` dropped")


def _repeated(text: str, found: Found) -> Iterator[Mutant]:
    if found.mention not in {Mention.STATEMENT, Mention.HEADER}:
        return
    start = text.rfind("\n", 0, found.key[0]) + 1
    end = text.find("\n", found.value[1])
    statement = text[start:end]
    if "\n" not in statement:
        yield _change(text, (end + 1, end + 1), statement + "\n", f"`{statement[:40]}` repeated")


def _dropped(text: str, mentions: list[Found]) -> Iterator[Mutant]:
    lines = Lines.of(text)
    header = 1
    for found in mentions:
        if found.mention is Mention.HEADER:
            header = lines.span("", found.key).line
        if found.mention is Mention.STATEMENT:
            start = text.rfind("\n", 0, found.key[0]) + 1
            end = text.find("\n", found.value[1]) + 1
            left = text[:start] + text[end:]
            yield Mutant(text=left, line=header, description=f"`{text[start:end].strip()[:40]}` dropped")


def _unmarked(text: str) -> Iterator[Mutant]:
    position = 0
    for line in text.splitlines(keepends=True):
        code = COMMENT.match(line)
        for mark in MARKS.finditer(code.group() if code else ""):
            at = (position + mark.start(), position + mark.end())
            yield _change(text, at, "", f"`{mark.group()}` lost at column {mark.start() + 1}")
        position += len(line)
