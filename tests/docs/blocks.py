"""The parts of a page of documentation that are more than words: files, commands with their output, fragments."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

ROOT: Final = Path(__file__).resolve().parents[2]
DOCS: Final = ROOT / "docs"
README: Final = ROOT / "README.md"

_FENCE: Final = re.compile(r"(?P<fence>`{3,})\s*(?P<info>.*)\Z")
_DIRECTIVE: Final = re.compile(r"\{code-block\}\s*(?P<language>[\w-]*)\Z")
_OPTION: Final = re.compile(r":(?P<name>[a-z]+):\s*(?P<value>.*)\Z")
_COMMAND: Final = "$ "
_HIDDEN: Final = "<!-- run"
_FILE: Final = re.compile(r"<!-- file (?P<path>\S+) -->\Z")


class File(NamedTuple):
    """A block with a caption, or below a comment `file PATH`: the whole text of that file."""

    line: int
    path: str
    language: str
    text: str


class Command(NamedTuple):
    """A command of a `console` block, and the lines that are shown below it."""

    line: int
    text: str
    output: tuple[str, ...]


class Hidden(NamedTuple):
    """What a page needs and does not show: shell commands in a comment that starts with `run`."""

    line: int
    text: str


class Fragment(NamedTuple):
    """A block that is neither: a piece of a file, or commands that a test cannot run."""

    line: int
    language: str
    text: str


Block: TypeAlias = File | Command | Hidden | Fragment


def pages() -> tuple[Path, ...]:
    """The README and every page of the documentation."""
    return (README, *(path for path in sorted(DOCS.rglob("*.md")) if "_build" not in path.parts))


def shown(page: Path) -> str:
    """A page's name: its path in the repository."""
    return page.relative_to(ROOT).as_posix()


def read_blocks(page: Path) -> tuple[Block, ...]:
    """All blocks of a page, in its order."""
    return tuple(_blocks(page.read_text(encoding="utf-8").splitlines()))


def is_executed(page: Path) -> bool:
    """Whether the page has commands with output."""
    return any(isinstance(block, Command) for block in read_blocks(page))


def _blocks(lines: list[str]) -> Iterator[Block]:
    position, path = 0, ""
    while position < len(lines):
        start, line = position, lines[position]
        position += 1
        fence = _FENCE.match(line)
        if fence or line == _HIDDEN:
            end = next(at for at in range(position, len(lines)) if lines[at] == (fence["fence"] if fence else "-->"))
            body = lines[position:end]
            position = end + 1
            yield from _fenced(start + 1, fence["info"], body, path) if fence else (Hidden(start + 1, "\n".join(body)),)
        comment = _FILE.match(line)
        path = comment["path"] if comment else ""


def _fenced(line: int, info: str, body: list[str], caption: str) -> Iterator[Block]:
    directive = _DIRECTIVE.match(info)
    language = directive["language"] if directive else info
    while directive and body and (option := _OPTION.match(body[0])):
        caption = option["value"] if option["name"] == "caption" else caption
        body, line = body[1:], line + 1
    if directive and body and not body[0]:
        body, line = body[1:], line + 1
    text = "\n".join(body) + "\n"
    if language == "console":
        yield from _commands(line, body)
    elif caption:
        yield File(line + 1, caption, language, text)
    elif not info.startswith("{") or directive:
        yield Fragment(line + 1, language, text)


def _commands(line: int, body: list[str]) -> Iterator[Command]:
    starts = [at for at, text in enumerate(body) if text.startswith(_COMMAND)]
    for start, end in zip(starts, (*starts[1:], len(body)), strict=True):
        first_output = start + 1
        while body[first_output - 1].endswith("\\"):
            first_output += 1
        text = "\n".join(body[start:first_output]).removeprefix(_COMMAND)
        yield Command(line + start + 1, text, tuple(body[first_output:end]))
