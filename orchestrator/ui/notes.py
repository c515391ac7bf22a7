"""What stderr is: lines for people, or one JSON object a line where a program reads it (`--progress=json`)."""

from __future__ import annotations

import os
from typing import Final, Literal

from orchestrator.ui.workflow import inert, inert_json, is_workflow

NoteStyle = Literal["text", "json"]


class _Stderr:
    """How this process writes to stderr; one for all, as there is one stderr."""

    style: NoteStyle = "text"


_STDERR: Final = _Stderr()


def set_note_style(style: NoteStyle) -> None:
    """From now on notes and errors are written like this."""
    _STDERR.style = style


def note_style() -> NoteStyle:
    """How notes and errors are written."""
    return _STDERR.style


def shape_note(text: str) -> str:
    """A note as it is written: whole lines, none of them a command to whoever reads them."""
    if _STDERR.style == "json":
        return shape_object("note", text=text.strip("\n")) if text.strip() else ""
    text = text if text.endswith("\n") else text + "\n"
    return inert(text) if is_workflow(os.environ) else text


def shape_object(kind: str, **fields: str | int | tuple[str, ...]) -> str:
    """One line of JSON, in ASCII, whatever the encoding of the stream."""
    import json  # noqa: PLC0415 (people read text)

    def legal(value: str) -> str:
        return value.encode("utf-8", "backslashreplace").decode()

    told = {
        key: legal(value) if isinstance(value, str) else list(map(legal, value)) if isinstance(value, tuple) else value
        for key, value in fields.items()
    }
    return inert_json(json.dumps({"type": kind, **told})) + "\n"
