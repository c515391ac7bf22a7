"""Commands to the runner of GitHub Actions: ours arrive, those of others do not."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.ui.workflow import inert, inert_json, workflow_command

HOSTILE = ("::add-mask::x", "  ::stop-commands::t", "a\n::error::x", "a\r\t::debug::x", "x ##[add-mask]y", "\v::x::")


def is_command(text: str) -> bool:
    """Whether the runner takes any of these lines for a command (actions/runner, `ActionCommand.cs`)."""
    return any(line.lstrip().startswith("::") or "##[" in line for line in re.split(r"\r\n|\r|\n", text))


@pytest.mark.parametrize("text", HOSTILE)
def test_what_could_be_a_command_is_none(text: str) -> None:
    """And can still be read."""
    assert is_command(text)
    assert not is_command(inert(text))
    assert text.replace(" ", "") == inert(text).replace(" ", "")


@given(st.text(alphabet=":#[ \t\r\nax%", max_size=30))
def test_no_text_becomes_a_command(text: str) -> None:
    """Whatever it is made of; what is none already stays as it is."""
    assert not is_command(inert(text))
    assert is_command(text) or text == inert(text)


@given(st.text(alphabet='#[:\\"ax', max_size=20))
def test_json_means_the_same(text: str) -> None:
    """Only its spelling changes."""
    found = inert_json(json.dumps({"text": text}))
    assert {"text": text} == json.loads(found)
    assert not is_command(found)


@given(st.text(alphabet=":#[ \r\n,=%axé", max_size=30), st.text(alphabet=":#[ \r\n,=%ax", max_size=30))
def test_a_command_is_one_line_with_what_was_meant(message: str, title: str) -> None:
    """As the runner reads it back."""
    line = workflow_command("error", message, {"title": title})
    assert "\n" not in line
    assert "\r" not in line
    head, _, data = line.removeprefix("::").partition("::")
    found = data.replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%")
    assert inert(message) == found
    name, _, properties = head.partition(" title=")
    assert "error" == name
    assert not set(properties) & set(":,")
    unescaped = properties.replace("%3A", ":").replace("%2C", ",").replace("%0D", "\r").replace("%0A", "\n")
    assert inert(title) == unescaped.replace("%25", "%")
