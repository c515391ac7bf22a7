"""From bytes to a plain tree: what the TOML parser says, put where the mistake is and in words that help."""

from __future__ import annotations

import re
from typing import Final, TypeAlias

import tomli

from orchestrator.config.locate import Lines
from orchestrator.config.scan import Found, Mention, Offsets, Scan, scan
from orchestrator.config.traps import line_hints, missing_value_hints
from orchestrator.diagnostics import Diagnostic, Place, Span

Tree: TypeAlias = dict[str, object]

MAX_LENGTH: Final = 8 * 1024 * 1024
CODE: Final = "toml-syntax"
_BYTE_ORDER_MARK: Final = "\ufeff"
_UTF16_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")
_LONG_NUMBER: Final = re.compile(r"[0-9_]{4000,}")
_HEADER: Final = re.compile(r"""[ \t]*\[{1,2}[A-Za-z0-9_."'/* -]{1,200}\]{1,2}[ \t]*(?:#.*)?\r?$""")
_STATEMENT: Final = re.compile(_HEADER.pattern + r"""|[A-Za-z0-9_."' -]{1,200}=""")
_DUPLICATES: Final = (
    "Cannot overwrite", "Cannot declare", "Cannot mutate", "Cannot redefine", "Duplicate inline table key",
)  # fmt: skip
_Phrase: TypeAlias = tuple[str, str, str]
# What the parser's message starts with, our words for it, and a hint for where the line itself suggests none.
_PHRASES: Final[tuple[_Phrase, ...]] = (
    (
        "Expected newline or end",
        "expected the end of the line after the value",
        "a string needs quotes, a list `[` `]`",
    ),
    ("Expected ']' at the end", "expected `]` at the end of the table's name", "write `[name]`"),
    ("Expected ']]' at the end", "expected `]]` at the end of the table's name", "write `[name]`"),
    ("Expected '=' after a key", "expected `=` after the key", "write `key = value`"),
    ("Invalid initial character for a key", "expected a key", "write `key = value`"),
    ("Invalid statement", "expected `key = value` or `[table]`", "a comment starts with `#`"),
    ("Invalid date", "no such date or time", "put it in quotes if it is a string"),
    ("Invalid hex value", "expected hexadecimal digits after `\\u` or `\\x`", "write `\\\\` for a `\\`"),
    ("Escaped character is not", "an escape that stands for no character", "write `\\\\` for a `\\`"),
    ("Invalid value", "not a value", "a string needs quotes around it"),
)
_STRINGS: Final[tuple[_Phrase, ...]] = (
    (
        "Unescaped '\\'",
        "a `\\` in a string that starts no escape",
        "write `\\\\`, or put the string in single quotes, where `\\` means itself",
    ),
    (
        "Illegal character '\\n'",
        "a string that is not closed on its line",
        "close the string with the quote that it was opened with",
    ),
)
_UNCLOSED_STRINGS: Final = ("Expected '\"", "Expected \"'", "Unterminated string")
_TRIPLE: Final = frozenset({'"""', "'''"})


def decode_bytes(content: bytes, file: str) -> tuple[str | None, tuple[Diagnostic, ...]]:
    """The text of a file: UTF-8, of a size that somebody may have written; a byte order mark is left in."""
    if len(content) > MAX_LENGTH:
        return None, (_too_large(len(content), file),)
    try:
        return content.decode("utf-8"), ()
    except UnicodeDecodeError as error:
        before = content[: error.start]
        line_start = before.rfind(b"\n") + 1
        column = len(before[line_start:].decode("utf-8", "replace")) + 1
        place = Span(file=file, line=before.count(b"\n") + 1, column=column)
        message = f"not UTF-8: byte 0x{content[error.start]:02x}"
        hint = "save the file as UTF-8"
        if content.startswith(_UTF16_MARKS):
            message, hint = "not UTF-8: the file is UTF-16", "save the file as UTF-8, not as `Unicode` or UTF-16"
        return None, (Diagnostic(code="not-utf8", message=message, hints=(hint,), place=place),)


def parse(text: str, file: str) -> tuple[Tree | None, tuple[Diagnostic, ...]]:
    """The plain tree of a TOML text, or what keeps it from being one: the parser stops at its first error."""
    if len(text) > MAX_LENGTH:
        return None, (_too_large(len(text), file),)
    try:
        return tomli.loads(text.removeprefix(_BYTE_ORDER_MARK)), ()
    except tomli.TOMLDecodeError as error:
        return None, (_Report(text, file).syntax(error),)
    except RecursionError:
        return None, (_Report(text, file).too_deep(),)
    except ValueError:
        return None, (_Report(text, file).too_long_number(),)


def _too_large(size: int, file: str) -> Diagnostic:
    message = f"file of {size:,} bytes, at most {MAX_LENGTH:,} are read"
    hints = ("move images into further files and name them in `include`",)
    return Diagnostic(code="file-too-large", message=message, hints=hints, place=Span(file=file, line=1))


class _Report:
    """One syntax error, looked at with the scanner's help."""

    def __init__(self, text: str, file: str) -> None:
        self.text = text
        self.file = file
        self.lines = Lines.of(text)

    def syntax(self, error: tomli.TOMLDecodeError) -> Diagnostic:
        shift = 1 if error.lineno == 1 and self.text.startswith(_BYTE_ORDER_MARK) else 0
        stop = self.lines.offset(error.lineno, error.colno + shift)
        found: list[Found] = []
        ended = scan(self.text, found.append)
        if error.msg.startswith(_DUPLICATES):
            duplicate = self._duplicate(error.msg, stop, found)
            if duplicate is not None:
                return duplicate
        return self._unclosed(error.msg, stop, ended) or self._other(error.msg, stop)

    def too_deep(self) -> Diagnostic:
        found: list[Found] = []
        stops = scan(self.text, found.append).stops
        at = stops[0] if stops else 0
        return self._diagnostic("nested deeper than is read", (at, at + 1), hints=("flatten it",))

    def too_long_number(self) -> Diagnostic:
        match = _LONG_NUMBER.search(self.text)
        at = match.span() if match else (0, 1)
        return self._diagnostic("a number that is too long", at, hints=("put it in quotes if it is a string",))

    def _diagnostic(
        self,
        message: str,
        at: Offsets,
        *,
        code: str = CODE,
        hints: tuple[str, ...] = (),
        related: tuple[Place, ...] = (),
    ) -> Diagnostic:
        place = self.lines.span(self.file, at)
        return Diagnostic(code=code, message=message, place=place, hints=hints, related=related)

    def _duplicate(self, said: str, stop: int, found: list[Found]) -> Diagnostic | None:
        wanted = Mention.INLINE if said.startswith("Duplicate inline") else None
        ordered = sorted((one for one in found if one.key[0] <= stop), key=lambda one: one.key)
        seconds = [
            one
            for one in ordered
            if (one.mention is wanted if wanted else one.mention in {Mention.STATEMENT, Mention.HEADER})
        ]
        if not seconds:
            return None
        second = seconds[-1]
        first = _conflict(second, ordered)
        if first is None:
            return None
        name = str([key for key in second.keys if isinstance(key, str)][-1])
        hint = f"remove one of the two `{name}`, or rename it"
        if first.keys != second.keys or first.mention is not second.mention:
            hint = f"write all of `{name}` in one way: inline, or under a `[table]` of its own"
        elif second.mention is Mention.HEADER:
            hint = "put the keys of both under one header, or rename one of them"
        related = (self.lines.span(self.file, first.key),)
        message = f"`{name}` is there twice"
        return self._diagnostic(message, second.key, code="duplicate-key", hints=(hint,), related=related)

    def _unclosed(self, said: str, stop: int, ended: Scan) -> Diagnostic | None:
        """An error that shows itself lines behind the mistake: the mistake is where reading was still well."""
        if said.startswith(_UNCLOSED_STRINGS):
            at = ended.stops[0] if ended.stops else stop
            opening = self.text[at : at + 3] if self.text[at : at + 3] in _TRIPLE else self.text[at : at + 1]
            place, hint = (at, at + len(opening)), f"close it with `{opening}`"
            return self._diagnostic("a string that is never closed", place, hints=(hint,))
        if not said.startswith(("Unclosed", "Invalid value", "Invalid initial")):
            return None
        start = self._line_start(stop)
        line = self._line(start)
        fresh = not self.text[start:stop].strip() or bool(_HEADER.match(line))
        opened = [offset for offset in ended.opened if offset < (start if fresh else stop)]
        if not opened or not (fresh or said.startswith("Unclosed")):
            return None
        if fresh and self.text[opened[-1]] == "[" and _closes_more(line):
            message = "expected `{` before the keys of an inline table"
            return self._diagnostic(message, (stop, stop + 1), hints=("add `{`",))
        if said.startswith("Invalid value") and not _STATEMENT.match(line):
            return None
        return self._unclosed_bracket(opened[-1], start if fresh else stop)

    def _unclosed_bracket(self, opened: int, stop: int) -> Diagnostic:
        kind, closing = ("list", "]") if self.text[opened] == "[" else ("inline table", "}")
        before = _last_token(self.text, opened, stop)
        hint = f"close it with `{closing}`, or put a comma between its parts"
        message = f"expected `,` or `{closing}`: the {kind} is not closed"
        related = (self.lines.span(self.file, (opened, opened + 1)),)
        return self._diagnostic(message, (before, before + 1), hints=(hint,), related=related)

    def _line(self, start: int) -> str:
        end = self.text.find("\n", start)
        return self.text[start : end if end >= 0 else len(self.text)]

    def _line_start(self, offset: int) -> int:
        return self.text.rfind("\n", 0, offset) + 1

    def _other(self, said: str, stop: int) -> Diagnostic:
        start = self._line_start(stop)
        line = self._line(start)
        at, column = (stop, stop + 1), stop - start
        for phrase, words, hint in _STRINGS:
            if said.startswith(phrase):
                return self._diagnostic(words, at, hints=(hint,))
        rest = line[column:].lstrip()
        if said.startswith("Invalid value") and (not rest or rest.startswith("#")):
            return self._diagnostic("expected a value", at, hints=missing_value_hints(line))
        for phrase, words, hint in _PHRASES:
            if said.startswith(phrase):
                return self._diagnostic(words, at, hints=line_hints(line, column) or (hint,))
        if said.startswith(("Illegal character", "Found invalid character")):
            message = f"a character that TOML does not allow: U+{ord(self.text[stop : stop + 1] or ' '):04X}"
            return self._diagnostic(message, at, hints=("remove it",))
        message = said[:1].lower() + said[1:]
        return self._diagnostic(message, at, hints=line_hints(line, column) or ("write `key = value`",))


def _conflict(second: Found, ordered: list[Found]) -> Found | None:
    """The earlier mention that a later one contradicts: of the same keys, of keys below it or of one above it."""
    earlier = [one for one in ordered if one.key[0] < second.key[0]]
    same = [one for one in earlier if one.keys == second.keys]
    below = [one for one in earlier if one.keys[: len(second.keys)] == second.keys]
    above = [
        one
        for one in reversed(earlier)
        if one.mention is not Mention.PASSING and one.mention is not Mention.HEADER
        if len(one.keys) < len(second.keys) and second.keys[: len(one.keys)] == one.keys
    ]
    explicit = [one for one in same if one.mention is not Mention.PASSING]
    return next(iter((*explicit, *above, *same, *below)), None)


def _last_token(text: str, start: int, stop: int) -> int:
    """The offset of the last character before `stop` that is neither blank nor part of a comment; `start` is one."""
    position = stop
    while True:
        line_start = max(text.rfind("\n", start, position) + 1, start)
        line = _without_comment(text[line_start:position])
        if line.strip():
            return line_start + len(line.rstrip()) - 1
        position = line_start - 1


def _closes_more(line: str) -> bool:
    code = _without_comment(line)
    return code.count("}") > code.count("{")


_COMMENT: Final = re.compile(r"""(?:"(?:[^"\\]|\\.)*"|'[^']*'|[^"'#]++)*""")


def _without_comment(line: str) -> str:
    match = _COMMENT.match(line)
    return line[: match.end()] if match else line
