from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pytest
import tomli
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from msgspec import Meta

from orchestrator.config.decode import decode
from orchestrator.config.jsonschema import DIALECT, build_schema
from orchestrator.config.reference import reference
from orchestrator.config.schema import BuildFile, ImageTable
from orchestrator.config.shapes import fields
from orchestrator.model import Table
from tests.unit.config.mutation import Mutant, mutants

EXAMPLE = Path(__file__).parents[3] / "examples" / "acme.builds.toml"
TEXT = EXAMPLE.read_text(encoding="utf-8")
MUTANTS = tuple(mutants(TEXT))


class NodeTable(Table):
    """A node."""

    name: Annotated[str, Meta(description="Its name | or not.")]


class ThingConfig(Table):
    """Settings of a backend."""

    nodes: Annotated[list[NodeTable], Meta(description="The nodes.")] = []  # noqa: RUF012 - msgspec copies it
    timeout: Annotated[int, Meta(description="Not the timeout of images.")] = 5
    mode: str = "fast"
    strict: bool = True
    options: dict[str, NodeTable] = {}  # noqa: RUF012 - msgspec copies it


SCHEMA = build_schema({"thing": ThingConfig})
VALIDATOR = Draft202012Validator(SCHEMA)


def accepts(text: str) -> bool:
    """Whether the schema accepts a text."""
    return VALIDATOR.is_valid(tomli.loads("format = 1\n" + text))


def test_the_schema_is_one() -> None:
    """It is a schema of the draft that it names."""
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == DIALECT


def test_the_example_is_valid() -> None:
    """The specification by example has no errors in an editor."""
    assert [] == [error.message for error in VALIDATOR.iter_errors(tomli.loads(TEXT))]


def test_every_key_has_a_description() -> None:
    """An editor shows what each key means."""
    definitions = SCHEMA["$defs"]
    assert isinstance(definitions, dict)
    own = {name: one for name, one in definitions.items() if name not in {"ThingConfig", "NodeTable"}}
    keys = [(name, key, value) for name, one in own.items() for key, value in one["properties"].items()]
    without = [f"{name}.{key}" for name, key, value in keys if not value.get("description")]
    assert without == []


@pytest.mark.parametrize(
    "text",
    [
        "x = 1",
        "[images.UPPER]",
        "[images.x]\nplatfroms = []",
        "[images.x]\nplatforms = []",
        "[images.x]\nplatforms = ['arm64']",
        "[images.x]\ntimeout = '30'",
        "[images.x]\nretries = 11",
        "[images.x]\nshm-size = 'much'",
        "[images.x]\nulimits = ['x']",
        "[images.x]\non.arm64 = {}",
        "[images.x]\nmatrix = { a-b = [1] }",
        "[images.x]\ncache-from = [{ ref = 'x' }]",
        "[images.x]\nargs = { A = {} }",
        "[images.x]\nargs = { A = { value = 1, raw = '' } }",
        "[vars]\na-b = 1",
        "[platforms.arm64]",
        "[backends]\nother = 1",
        "[backends.thing]\nnods = []",
    ],
)
def test_mistakes_are_refused(text: str) -> None:
    """Unknown keys, wrong types, names and formats."""
    assert not accepts(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[backends.other]\nwhatever = 1979-05-27",
        "[backends.thing]\ntimeout = 5\nnodes = [{ name = 'a' }]",
        "[platforms.'*']\nemulation = 'warn'",
        "[images.x]\ntimeout = '1h30m'\ncache-from = ['ghcr.io/acme/cache', { type = 'gha' }]",
    ],
)
def test_what_is_right_is_accepted(text: str) -> None:
    """The table of a backend that is not known here may hold anything."""
    assert accepts(text)


@settings(max_examples=150, deadline=None)
@given(mutant=st.sampled_from(MUTANTS))
def test_the_schema_refuses_nothing_that_decodes(mutant: Mutant) -> None:
    """What the decoder accepts is never underlined."""
    file, _ = decode(mutant.text, "f")
    if file is not None:
        found = Draft202012Validator(build_schema({})).iter_errors(tomli.loads(mutant.text))
        assert [] == [error.message for error in found]


def test_the_reference_names_every_key() -> None:
    """Every key of every table has a row, those of backends included."""
    text = reference({"thing": ThingConfig})
    keys = [*fields(BuildFile), *fields(ImageTable), *fields(ThingConfig)]
    assert [] == [key for key in keys if f"\n| `{key}` | " not in text]


def test_the_reference_shows_types_and_defaults() -> None:
    """A row has type, default and meaning; a bar in a text ends no cell."""
    lines = reference({"thing": ThingConfig}).splitlines()
    assert '| `mode` | a string | `"fast"` |  |' in lines
    assert "| `strict` | a Boolean | `true` |  |" in lines
    assert "| `name` | a string | required | Its name \\| or not. |" in lines
    assert "| `timeout` | an integer | `5` | Not the timeout of images. |" in lines
    assert "## `nodes` of `[backends.thing]`" in lines
    assert "## `options` of `[backends.thing]`" in lines


def test_a_table_that_inherits_refers_to_what_it_inherits() -> None:
    """Keys are described once."""
    text = reference({})
    assert "All keys of `[templates.NAME]`, and:" in text
    assert text.count("\n| `shm-size` | ") == 2
