"""Workflow commands of GitHub Actions: how ours are written, and how those of others are made harmless.

The runner takes commands from whatever a step prints: a line that begins with `::`, and `##[` anywhere in a line
(actions/runner, `ActionCommand.cs`). Builds print what they like.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

VARIABLE: Final = "GITHUB_ACTIONS"
_LEADING: Final = re.compile(r"(^|[\r\n])([^\S\r\n]*)::")


def is_workflow(environment: Mapping[str, str]) -> bool:
    """Whether a runner reads what is printed."""
    return environment.get(VARIABLE) == "true"


def inert(text: str) -> str:
    """The text, with a blank in all that could be a command."""
    if "##[" in text:
        text = text.replace("##[", "## [")
    return _LEADING.sub(r"\1\2: :", text) if "::" in text else text


def inert_json(text: str) -> str:
    """The same JSON, without what could be a command: `##[` stands in strings alone, and no line begins with `::`."""
    return text.replace("##[", "#\\u0023[")


def workflow_command(name: str, message: str, properties: Mapping[str, str] | None = None) -> str:
    """A command of ours; empty properties are left out."""
    given = ",".join(f"{key}={_property(value)}" for key, value in (properties or {}).items() if value)
    return f"::{name}{' ' if given else ''}{given}::{_data(message)}"


def _data(text: str) -> str:
    return inert(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
