from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator
from pathlib import Path

import pytest
import tomli
import tomlkit
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.config.keys import render_key
from orchestrator.config.locate import Lines, locate, resolve
from orchestrator.config.scan import Found, Keys, Mention, scan
from orchestrator.diagnostics import Diagnostic, KeyPlace, Place, Span

EXAMPLE = Path(__file__).parents[3] / "examples" / "acme.builds.toml"


def mentions(text: str) -> dict[Keys, Found]:
    """The best mention of every key path."""
    best: dict[Keys, Found] = {}

    def keep(found: Found) -> None:
        known = best.get(found.keys)
        if known is None or known.mention is Mention.PASSING:
            best[found.keys] = found

    scan(text, keep)
    return best


def paths(value: object, keys: Keys = ()) -> Iterator[tuple[Keys, object]]:
    """Every key path of a parsed document with its value."""
    if keys:
        yield keys, value
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from paths(inner, (*keys, key))
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            yield from paths(inner, (*keys, position))


def same(one: object, other: object) -> bool:
    """Equal, and a number that is none equals itself."""
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(inner, other[key]) for key, inner in one.items())
    return type(one) is type(other) and one == other


def check(text: str) -> None:
    """Every path that the parser finds is found, and the text of its value parses to its value."""
    best = mentions(text)
    for keys, value in paths(tomli.loads(text)):
        assert keys in best
        found = best[keys]
        if found.mention in {Mention.STATEMENT, Mention.INLINE, Mention.ELEMENT}:
            assert same(tomli.loads(f"x = {text[slice(*found.value)]}")["x"], value)
        if isinstance(keys[-1], str):
            key = text[slice(*found.key)]
            assert tomli.loads(f"{key} = 1") == {keys[-1]: 1}


def span(text: str, *keys: str | int, on_key: bool = False) -> tuple[int, int, int]:
    """Line, column and length of a place."""
    (found,) = locate([KeyPlace(file="f", keys=keys, on_key=on_key)], text)
    return found.line, found.column, found.length


NAMES = st.text(alphabet=st.sampled_from("ab1-_ ./\"'\\é\t#=[]"), max_size=4)
TEXTS = st.text(alphabet=st.sampled_from("ab \"'\\\n\t#=[]{},é\U0001f600"), max_size=8)
ZONES: st.SearchStrategy[dt.tzinfo] = st.just(dt.timezone(dt.timedelta(hours=2)))
SCALARS = (
    st.booleans()
    | st.integers(min_value=-(2**63), max_value=2**63 - 1)
    | st.floats()
    | TEXTS
    | st.dates(min_value=dt.date(1000, 1, 1))
    | st.datetimes(min_value=dt.datetime(1000, 1, 1))  # noqa: DTZ001 - hypothesis wants a naive one
    | st.datetimes(min_value=dt.datetime(1000, 1, 1), timezones=ZONES)  # noqa: DTZ001 - as above
    | st.times()
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
DOCUMENTS = st.dictionaries(NAMES, VALUES, max_size=4)


class Writer:
    """Writes a document in every style that TOML has; `draw` chooses."""

    def __init__(self, draw: st.DataObject) -> None:
        self.draw = draw
        self.lines: list[str] = []

    def choose(self, *options: str) -> str:
        """One of some texts or styles."""
        return self.draw.draw(st.sampled_from(options))

    def table(self, table: dict[str, object], keys: tuple[str, ...] = ()) -> str:
        """A document, or a table under its header."""
        later: list[tuple[str, object]] = []
        for key, value in table.items():
            tables = isinstance(value, list) and value and all(isinstance(one, dict) for one in value)
            if tables or (isinstance(value, dict) and self.choose("inline", "header") == "header"):
                later.append((key, value))
            else:
                self.pair(key, value)
        for key, value in later:
            self.below(value, (*keys, key))
        return "\n".join(self.lines) + self.choose("", "\n")

    def below(self, value: object, keys: tuple[str, ...]) -> None:
        """A table, or an array of tables, with headers."""
        blank = self.choose("", " ", "\t")
        header = ".".join(f"{blank}{self.key(part)}{blank}" for part in keys)
        tables = value if isinstance(value, list) else [value]
        brackets = 2 if isinstance(value, list) else 1
        for one in tables:
            self.lines.append(f"{'[' * brackets}{header}{']' * brackets}{self.choose('', ' # ] end')}")
            assert isinstance(one, dict)
            self.table(one, keys)

    def pair(self, key: str, value: object) -> None:
        """A statement: with dotted keys where the value is a table that has something in it."""
        written = self.key(key)
        while isinstance(value, dict) and len(value) == 1 and self.choose("inline", "dotted") == "dotted":
            ((inner, value),) = value.items()
            written += self.choose(".", " . ") + self.key(inner)
        end = self.choose("", " # = 'comment'", "\t")
        self.lines.append(f"{self.choose('', '  ')}{written}{self.choose('=', ' = ')}{self.value(value)}{end}")

    def key(self, key: str) -> str:
        """A key: bare, literal or escaped."""
        if key and all(character in "ab1-_" for character in key) and self.choose("bare", "quoted") == "bare":
            return key
        if "'" not in key and self.choose("literal", "basic") == "literal":
            return f"'{key}'"
        return str(tomlkit.string(key).as_string())

    def value(self, value: object) -> str:
        """A value that stands behind `=`, in a list or in an inline table."""
        if isinstance(value, dict):
            return "{ " + ", ".join(f"{self.key(key)} = {self.value(inner)}" for key, inner in value.items()) + " }"
        if isinstance(value, list):
            glue = self.choose(", ", ",\n  # [ comment ]\n  ", " , ")
            ending = self.choose("", ",", "\n") if value else self.choose("", "\n")
            return "[" + glue.join(map(self.value, value)) + ending + "]"
        if isinstance(value, str):
            return self.text(value)
        return str(tomlkit.item(value).as_string())

    def text(self, value: str) -> str:
        """A string in one of the four forms."""
        basic = tomlkit.string(value).as_string()
        multiline = '"""\n' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t") + '"""'
        literal = f"'{value}'" if not set("'\n") & set(value) else basic
        literal_multiline = f"'''\n{value}'''" if "'" not in value else basic
        return self.choose(basic, multiline, literal, literal_multiline)


@settings(max_examples=200, deadline=None)
@given(document=DOCUMENTS, draw=st.data())
def test_every_path_of_every_style(document: dict[str, object], draw: st.DataObject) -> None:
    """The scanner finds what the parser finds, in all styles."""
    text = Writer(draw).table(document)
    assert same(tomli.loads(text), document)
    check(text)


@settings(max_examples=100, deadline=None)
@given(document=DOCUMENTS)
def test_every_path_of_another_writer(document: dict[str, object]) -> None:
    """The scanner finds what the parser finds in what tomlkit writes."""
    text = tomlkit.dumps(document)
    check(text)


@settings(max_examples=100, deadline=None)
@given(text=st.text(alphabet=st.sampled_from("a1=.\"'[]{},# \n\r\t-:é\ufeff"), max_size=80))
def test_no_text_stops_the_scanner(text: str) -> None:
    """What is no TOML gives what there is, with places inside the text."""
    found: list[Found] = []
    scan(text, found.append)
    assert all(0 <= one.key[0] <= one.key[1] <= len(text) and one.value[1] <= len(text) for one in found)


def test_the_example() -> None:
    """Every path of the specification by example is found."""
    check(EXAMPLE.read_text(encoding="utf-8"))


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_lines_and_columns(newline: str) -> None:
    """Columns count characters; a line ends with a line feed, whatever stands before it."""
    text = newline.join(["# é", "[images.api]", '  "é" = [1, "ö😀", {x = 5}]', "a.b.c = '''", "x'''", ""])
    assert span(text, "images") == (2, 2, 6)
    assert span(text, "images", "api") == (2, 1, 12)
    assert span(text, "images", "api", on_key=True) == (2, 9, 3)
    assert span(text, "images", "api", "é", on_key=True) == (3, 3, 3)
    assert span(text, "images", "api", "é", 1) == (3, 13, 4)
    assert span(text, "images", "api", "é", 2, "x") == (3, 24, 1)
    assert span(text, "images", "api", "a", "b", "c") == (4, 9, 3)


def test_arrays_of_tables() -> None:
    """An element of an array of tables is its header, and what follows belongs to the latest one."""
    text = "[[a]]\nx = 1\n[[a]]\nx = 2\n[a.b]\ny = 3\n[[a.c]]\nz = 4\n"
    assert [span(text, "a"), span(text, "a", 1), span(text, "a", 1, "x")] == [(1, 1, 5), (3, 1, 5), (4, 5, 1)]
    assert [span(text, "a", 1, "b", "y"), span(text, "a", 1, "c", 0, "z")] == [(6, 5, 1), (8, 5, 1)]


def test_a_header_wins_over_a_part_of_another_header() -> None:
    """A table is where it is declared, not where it is first named."""
    assert span("[a.b]\n[a]\n", "a") == (2, 1, 3)


def test_a_path_that_does_not_exist_is_its_nearest_ancestor() -> None:
    """A missing key is shown at its table, which is named by its key."""
    text = "x = 1\n[a]\nb = { c = 1 }\n"
    assert [span(text, "a", "b", "z", "y"), span(text, "z"), span(text)] == [(3, 1, 1), (1, 1, 1), (1, 1, 1)]


def test_a_byte_order_mark_has_no_column() -> None:
    """An editor does not show it either."""
    assert span("\ufeffa = 1\nb = 2", "a", on_key=True) == (1, 1, 1)


def test_a_broken_line_does_not_hide_the_others() -> None:
    """The scanner goes on with the next line."""
    text = "a = \nb = 2\n[x\nc d\n[y]\ne = 1\n= 1\nf = [1, {g = 2}\nh = 3\n[[i]\n"
    assert [span(text, "b"), span(text, "y", "e"), span(text, "y", "f", 0)] == [(2, 5, 1), (6, 5, 1), (8, 6, 1)]


def test_what_is_nested_too_deep_is_left_out() -> None:
    """The depth of paths is bounded; the line has a place nevertheless."""
    deep, long = "a = " + "[" * 50 + "]" * 50, ".".join("b" * 50) + " = 1"
    assert [span(f"{deep}\n{long}\nc = 1\n", key) for key in "abc"] == [(1, 5, 32), (2, 1, 1), (3, 5, 1)]


def test_a_key_with_a_wrong_escape_is_taken_as_it_is_written() -> None:
    """The parser has refused it already."""
    assert '"\\q"' in {keys[-1] for keys in mentions('"\\q" = 1\n')}


def test_resolve_turns_every_place_into_a_span() -> None:
    """Places and related places, in their own files; a file that is not there has a first line."""
    texts = {"a.toml": "x = 1\ny = 2\n", "b.toml": "z = 3\n"}
    places: tuple[Place, ...] = (
        KeyPlace(file="b.toml", keys=("z",)),
        KeyPlace(file="c.toml", keys=("z",)),
        Span(file="d", line=7),
    )
    finding = Diagnostic(code="c", message="m", place=KeyPlace(file="a.toml", keys=("y",)), related=places)
    (located, bare) = resolve([finding, Diagnostic(code="c", message="m")], texts)
    assert located.place == Span(file="a.toml", line=2, column=5)
    assert located.related == (Span(file="b.toml", line=1, column=5), Span(file="c.toml", line=1), places[2])
    assert bare.place is None


def test_offsets_of_lines_and_columns() -> None:
    """The way back, and no further than the end of the text."""
    lines = Lines.of("ab\ncd\n")
    assert [lines.offset(1, 2), lines.offset(2, 1), lines.offset(9, 9)] == [1, 3, 6]


@settings(max_examples=100, deadline=None)
@given(keys=st.lists(NAMES.filter(bool), min_size=1, max_size=4))
def test_written_keys_are_found(keys: list[str]) -> None:
    """A path that is written as TOML writes it is found as that path."""
    assert tuple(keys) in mentions(f"{render_key(tuple(keys))} = 1\n")
