from __future__ import annotations

import json

import jsonschema
import pytest
import tomli

from tests.cli.conftest import Program
from tests.unit.plan.test_acme import TEXT


@pytest.mark.parametrize("what", ["builds", "plan"])
def test_schemas_are_schemas(program: Program, what: str) -> None:
    """Of the draft that they name."""
    ran = program("schema", what)
    assert 0 == ran.code
    jsonschema.Draft202012Validator.check_schema(json.loads(ran.out))


def test_the_file_is_what_is_printed_unless_said(program: Program) -> None:
    """It is what editors are given."""
    assert program("schema").out == program("schema", "builds").out


def test_the_example_fits_the_schema(program: Program) -> None:
    """With the tables of all backends."""
    schema = json.loads(program("schema").out)
    jsonschema.Draft202012Validator(schema).validate(tomli.loads(TEXT))


@pytest.mark.parametrize(
    "broken",
    [
        TEXT.replace('builder = "default"', 'bulider = "default"'),
        TEXT.replace("slots = 4 },", "slots = 0 },", 1),
        TEXT.replace("[images.base]", "[images.base]\nplatfroms = []"),
    ],
)
def test_what_is_broken_does_not_fit(program: Program, broken: str) -> None:
    """In a backend's own table neither."""
    assert broken != TEXT
    schema = json.loads(program("schema").out)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema).validate(tomli.loads(broken))


def test_another_schema_is_not_there(program: Program) -> None:
    """It says which are."""
    ran = program("schema", "nothing")
    assert 2 == ran.code
    assert "'builds', 'plan'" in ran.err
