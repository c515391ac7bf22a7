"""The reference says what the code does: every name in it exists, and every name that exists is in it."""

from __future__ import annotations

import inspect
import re
from datetime import UTC, datetime
from pathlib import Path
from types import UnionType
from typing import Union, get_args, get_origin, get_type_hints

import msgspec
import pytest

from docs.generate import generated_pages
from orchestrator import errors
from orchestrator.cli.plan import _CHANGES
from orchestrator.plan import compile as compiling
from orchestrator.plan import document, volatile
from orchestrator.plan import reasons as comparing
from orchestrator.plan import wire as wiring
from orchestrator.probe import history
from orchestrator.state.summary import ImageResult, RunResult, StepFailure
from orchestrator.tags.filters import FILTERS, TESTS
from orchestrator.tags.record import Record
from orchestrator.tags.render import Renderer
from orchestrator.tags.values import NAMES, Values
from tests.docs.blocks import DOCS, ROOT, shown
from tests.docs.codes import codes_in_sources

REFERENCE = DOCS / "reference"
_ROW = re.compile(r"^\| (`[^|]*`[^|]*) \|", re.MULTILINE)
_WORD = re.compile(r"`([^`]+)`")


def first_cells(page: str, section: str = "") -> list[str]:
    """The words in backticks of the first cells of tables; of one section, or of the part before the first."""
    text = (REFERENCE / page).read_text(encoding="utf-8")
    parts = re.split(r"^## ", text, flags=re.MULTILINE)
    part = next((part for part in parts if part.startswith(f"{section}\n")), "") if section else parts[0]
    return [word for row in _ROW.findall(part) for word in _WORD.findall(row)]


@pytest.mark.parametrize("page", generated_pages(), ids=shown)
def test_generated_page_is_current(page: Path) -> None:
    """What is made from the code was made from this code: `python docs/generate.py` writes it."""
    assert generated_pages()[page] == page.read_text(encoding="utf-8")


def test_every_diagnostic_is_documented() -> None:
    """Each code has one row, and each row a code that the sources can give."""
    rows = re.findall(
        r"^\| `([a-z0-9-]+)` \|", (REFERENCE / "diagnostics.md").read_text(encoding="utf-8"), re.MULTILINE
    )

    assert sorted(codes_in_sources()) == sorted(rows)


def test_names_of_templates_are_documented() -> None:
    """Each name that a template may use has a row."""
    assert sorted(NAMES) == sorted(first_cells("templates.md", "Names"))


def test_fields_of_templates_are_documented() -> None:
    """Every field of `git`, `version` and `platform` is named."""
    text = (REFERENCE / "templates.md").read_text(encoding="utf-8")
    source = inspect.getsource(inspect.getmodule(Values) or Values)
    fields = set(re.findall(r'^        "([a-z_]+)":', source, re.MULTILINE))

    assert fields
    assert [] == [field for field in sorted(fields) if f"`.{field}`" not in text]


def test_filters_are_documented() -> None:
    """Each filter has a place, and so has `default`."""
    assert sorted((*FILTERS, "default")) == sorted(_firsts("Filters"))


def test_tests_of_templates_are_documented() -> None:
    """Each test has a place, and so has `defined`."""
    assert sorted((*TESTS, "defined")) == sorted(_firsts("Tests"))


def _firsts(section: str) -> list[str]:
    rows = _rows(section)
    return [word for row in rows for word in _WORD.findall(row[0])]


def _rows(section: str) -> list[list[str]]:
    text = (REFERENCE / "templates.md").read_text(encoding="utf-8")
    part = re.split(r"^## ", text, flags=re.MULTILINE)
    table = next(one for one in part if one.startswith(f"{section}\n"))
    lines = [line for line in table.splitlines() if line.startswith("| `")]
    return [[cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


@pytest.mark.parametrize("row", [*_rows("Filters"), *_rows("Tests")], ids=lambda row: row[2])
def test_example_of_template_gives_its_result(row: list[str]) -> None:
    """What the table says an expression gives is what it gives."""
    values = Values(now=datetime(2026, 11, 23, tzinfo=UTC), vars=Record("vars", {}, names="open"))

    assert row[3].strip("`") == Renderer().render(row[2].strip("`"), values)


@pytest.mark.parametrize(
    ("section", "table"),
    [
        ("", document.PlanDocument),
        ("`images`", document.ImageDocument),
        ("`builds`", document.BuildDocument),
        ("`steps`", document.StepDocument),
        ("`diagnostics`", document.DiagnosticDocument),
        ("`summary`", document.SummaryDocument),
    ],
)
def test_keys_of_plan_are_documented(section: str, table: type[msgspec.Struct]) -> None:
    """Each key of the JSON has a row."""
    assert sorted(table.__struct_fields__) == sorted(first_cells("plan.md", section))


def test_reasons_are_documented() -> None:
    """The list of codes that a platform build can have is the one in the code."""
    sources = "".join(map(inspect.getsource, (compiling, comparing, history, volatile, wiring)))
    given = set(re.findall(r'Reason\(code="([a-z_]+)"', sources))

    assert sorted(given) == sorted(first_cells("plan.md", "Reasons"))


@pytest.mark.parametrize(
    ("section", "table"), [("", RunResult), ("`images`", ImageResult), ("`failures`", StepFailure)]
)
def test_keys_of_result_are_documented(section: str, table: type[msgspec.Struct]) -> None:
    """Each key of `result.json` has a row."""
    assert sorted(table.__struct_fields__) == sorted(first_cells("result.md", section))


@pytest.mark.parametrize(("page", "table"), [("plan.md", document.PlanDocument), ("result.md", RunResult)])
def test_inner_keys_are_documented(page: str, table: type[msgspec.Struct]) -> None:
    """Keys of tables within tables are named as well."""
    text = (REFERENCE / page).read_text(encoding="utf-8")
    keys = {field for one in _within(table) for field in one.__struct_fields__}

    assert [] == [key for key in sorted(keys) if f"`{key}`" not in text]


def _within(table: type[msgspec.Struct]) -> set[type[msgspec.Struct]]:
    found = {table}
    for annotation in get_type_hints(table).values():
        for inner in _structs(annotation):
            found |= _within(inner)
    return found


def _structs(annotation: object) -> list[type[msgspec.Struct]]:
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return [annotation]
    if get_origin(annotation) in {tuple, Union, UnionType}:
        return [inner for member in get_args(annotation) for inner in _structs(member)]
    return []


def test_exit_codes_are_documented() -> None:
    """Each class of errors, success, a bug and `--detailed-exitcode` have a row."""
    text = (REFERENCE / "exit-codes.md").read_text(encoding="utf-8")
    classes = [
        one for _, one in inspect.getmembers(errors, inspect.isclass) if issubclass(one, errors.OrchestratorError)
    ]

    assert sorted({0, _CHANGES, *(one.exit_code for one in classes)}) == sorted(
        int(code) for code in re.findall(r"^\| ([0-9]+) \|", text, re.MULTILINE)
    )


def test_environment_variables_are_documented() -> None:
    """Each variable of ours that the sources name has a row, and each row a variable."""
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "orchestrator").rglob("*.py")]
    used = {name.rstrip("_") for text in sources for name in re.findall(r"\bORCHESTRATE_[A-Z_]+", text)}
    described = {name for name in first_cells("environment.md") if name.startswith("ORCHESTRATE_")}

    assert {name for name in used if not name.startswith("ORCHESTRATE_VAR")} | {"ORCHESTRATE_VAR_NAME"} == described
