from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.config.edit import set_value

KEYS = ("backends", "qemu", "builder")


def test_sets_a_value_and_keeps_comments() -> None:
    """A value that is there is replaced; comments and the order of lines stay."""
    text = '# top\nformat = 1\n\n[backends.qemu]   # one builder\nbuilder = "default"  # the engine\'s own\nslots = 4\n'
    expected = '# top\nformat = 1\n\n[backends.qemu]   # one builder\nbuilder = "orc"  # the engine\'s own\nslots = 4\n'
    assert expected == set_value(text, KEYS, "orc")


def test_makes_the_tables_on_the_way() -> None:
    """Tables that are missing are made, without an empty header for the outer one."""
    assert 'format = 1\n\n[backends.qemu]\nbuilder = "orc"\n' == set_value("format = 1\n", KEYS, "orc")


def test_adds_to_a_table_beside_others() -> None:
    """A sibling table and a value beside it keep what they hold."""
    text = '[backends]\ndefault = "native"\n\n[backends.native]\nnodes = []\n'
    edited = tomllib.loads(set_value(text, KEYS, "orc"))
    assert {"default": "native", "native": {"nodes": []}, "qemu": {"builder": "orc"}} == edited["backends"]


@pytest.mark.parametrize("text", ['backends = "x"\n', "backends = [\n", "[backends]\nqemu = 3\n"])
def test_refuses_what_cannot_be_edited(text: str) -> None:
    """A value where a table is needed, and broken TOML, are errors."""
    with pytest.raises(ValueError, match=r"no table|cannot be edited"):
        set_value(text, KEYS, "orc")


@given(st.text(max_size=20))
def test_any_value_is_read_back(value: str) -> None:
    """Whatever the value is, a parser reads it back."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return
    assert value == tomllib.loads(set_value("format = 1\n", KEYS, value))["backends"]["qemu"]["builder"]


def test_an_inline_table_stays_one() -> None:
    """A table inside it is one too; TOML has no other way."""
    edited = set_value('backends = { default = "qemu" } # two\n', KEYS, "orc")
    assert {"default": "qemu", "qemu": {"builder": "orc"}} == tomllib.loads(edited)["backends"]
    assert edited.endswith(" # two\n")
    assert 1 == edited.count("\n")


def test_ends_of_lines_stay() -> None:
    """A new line ends as the others do."""
    text = "format = 1\r\n\r\n[backends.qemu]\r\nslots = 4\r\n"
    assert text + 'builder = "orc"\r\n' == set_value(text, KEYS, "orc")
