"""The options of drivers, as buildx prints them: read as they are, or not at all."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.buildkit.builders import parse_builders, parse_inspection
from orchestrator.buildkit.driver_options import options_of, parse_options

NAMES = st.text(st.characters(codec="ascii", categories=("L", "N"), include_characters=".-"), min_size=1)
VALUES = st.text(st.characters(categories=("L", "N", "P", "S"), include_characters=" ", exclude_characters="\ufffd"))


@given(st.dictionaries(NAMES, VALUES.filter(str.isprintable), max_size=8))
def test_what_buildx_prints_is_read_back(options: dict[str, str]) -> None:
    """Whatever letters are in the values."""
    quoted = ('"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' for value in options.values())
    text = " ".join(f"{name}={value}" for name, value in zip(options, quoted, strict=True))
    assert tuple(sorted(options.items())) == parse_options(text) == options_of(options)


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    """There is no error."""
    parse_options(text)


@pytest.mark.parametrize(
    "text",
    [
        "a",
        'a="b',
        'a="b"c="d"',
        'a="b"  c="d"',
        'a="\\n"',
        'a="\\x00"',
        'a="b" a="c"',
        'a="\ufffd"',
        'a="\u202e"',
        " ".join(f'a{number}="b"' for number in range(101)),
        f'a="{"b" * 30_000}"',
    ],
)
def test_what_is_not_read_exactly_is_not_read(text: str) -> None:
    """No guess is made."""
    assert parse_options(text) is None


@pytest.mark.parametrize("tree", [[], "a", {"a": 1}, {"a": "b\n"}])
def test_options_of_another_shape_are_not_read(tree: object) -> None:
    """As little as text that is none."""
    assert options_of(tree) is None


def test_both_ways_of_asking_tell_the_same() -> None:
    """The text of `inspect` and the JSON of `ls`, of one builder."""
    options = b'Driver Options: key="/k" cacert="/a \\"b\\""\n'
    text = b"Name: b\nDriver: remote\n\nNodes:\nName: n\nEndpoint: tcp://h:1\n" + options
    listed = {"Name": "n", "Endpoint": "tcp://h:1", "DriverOpts": {"key": "/k", "cacert": '/a "b"'}}
    told = parse_builders(json.dumps({"Name": "b", "Driver": "remote", "Nodes": [listed]}).encode())
    assert (("cacert", '/a "b"'), ("key", "/k")) == parse_inspection(text).nodes[0].options == told[0].nodes[0].options


def test_a_name_that_is_not_shown_as_it_is_makes_the_rest_unknown() -> None:
    """What is shown on a terminal is not what buildx was told."""
    text = b"Name: b\nDriver: remote\n\nNodes:\nName: n\x07\nEndpoint: tcp://h:1\n\nName: m\nEndpoint: tcp://h:\x1b1\n"
    assert [None, None] == [node.options for node in parse_inspection(text).nodes]
    assert parse_builders(b'{"Name":"b","Nodes":[{"Name":["n"],"Endpoint":"e"}]}')[0].nodes[0].options is None
