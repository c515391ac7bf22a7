"""The reference of events: each kind of line with an example that is one."""

from __future__ import annotations

import json
import re
from typing import get_args

import jsonschema
import msgspec
import pytest

from docs.event_examples import EXAMPLES
from orchestrator.api.events import Event
from orchestrator.ui.jsonl import StreamLine, render_line
from tests.docs.blocks import DOCS

PAGE = (DOCS / "reference/events.md").read_text(encoding="utf-8")
SCHEMA = msgspec.json.schema(StreamLine)
_SECTION = re.compile(r"^## `([a-z-]+)`\n(.*?)(?=^## )", re.MULTILINE | re.DOTALL)
SECTIONS = dict(_SECTION.findall(PAGE))


def tag_of(model: type[msgspec.Struct]) -> str:
    """Its word in `type`."""
    return str(model.__struct_config__.tag)


def test_every_kind_of_line_has_a_section() -> None:
    """And every event is a kind of line."""
    kinds = get_args(StreamLine)
    assert set(get_args(Event)) < set(kinds)
    assert sorted(map(tag_of, kinds)) == sorted(SECTIONS) == sorted(tag_of(type(example)) for example in EXAMPLES)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: tag_of(type(example)))
def test_an_example_is_what_is_written(example: StreamLine) -> None:
    """It fits the schema, is read back as the same value, and its section names each of its keys."""
    section = SECTIONS[tag_of(type(example))]
    (block,) = re.findall(r"```json\n(.*?)```", section, re.DOTALL)
    jsonschema.validate(json.loads(block), SCHEMA)
    assert example == msgspec.json.decode(block, type=StreamLine)
    assert json.loads(block) == json.loads(render_line(example))
    keys = {"type", *re.findall(r"^\| `([a-z_]+)` \|", section, re.MULTILINE)}
    assert set(json.loads(block)) == keys
