"""Progress for programs: one JSON object a line, the events as they are (docs/reference/events.md)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

import msgspec

from orchestrator.api.events import Event
from orchestrator.model import Model
from orchestrator.ui.workflow import inert_json

FORMAT: Final = "1.0"
"""The first number goes up when a reader of the last one would misunderstand, the second when something is added."""


class Head(Model, tag="events"):
    """The first line of a run."""

    format: str


class Note(Model, tag="note"):
    """What people would read before and after a run: findings of the plan, failures, where results are."""

    text: str


class Problem(Model, tag="error"):
    """Why the command failed: the last line. Without it the command succeeded."""

    message: str
    exit_code: int
    hints: tuple[str, ...] = ()


StreamLine: TypeAlias = Head | Event | Note | Problem
"""Whatever a line of stderr is."""

_ENCODER: Final = msgspec.json.Encoder()


class JsonProgress:
    """Writes events; nothing is left out and nothing is added."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._has_begun = False

    def __call__(self, event: Event) -> None:
        """Take an event."""
        if not self._has_begun:
            self._has_begun = True
            self._write(render_line(Head(format=FORMAT)))
        self._write(render_line(event))

    def tick(self) -> None:
        """Programs have clocks."""

    def close(self) -> None:
        """Everything is written."""


def render_line(line: StreamLine) -> str:
    """One line; text that is not Unicode, as names of files may be, is escaped."""
    try:
        text = _ENCODER.encode(line).decode()
    except UnicodeEncodeError:
        text = _ENCODER.encode(_legal(msgspec.to_builtins(line))).decode()
    return inert_json(text) + "\n"


def _legal(tree: object) -> object:
    match tree:
        case str():
            return tree.encode("utf-8", "backslashreplace").decode()
        case dict():
            return {key: _legal(value) for key, value in tree.items()}
        case list() | tuple():
            return [_legal(value) for value in tree]
        case _:
            return tree
