from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.diagnostics import Diagnostic, KeyPlace, Severity, Span
from orchestrator.ui.diagnostics import WIDTH, ordered, render
from orchestrator.ui.excerpt import cut, printable
from orchestrator.ui.mask import mask

FILE = "builds.toml"


def finding(line: int, column: int = 1, length: int = 1, **more: str) -> Diagnostic:
    """An error at a place."""
    place = Span(file=FILE, line=line, column=column, length=length)
    return Diagnostic(code=more.get("code", "some-code"), message=more.get("message", "what is wrong"), place=place)


def shown_line(text: str, column: int, length: int = 1) -> tuple[str, str]:
    """The line as it is shown, and the underlining of it."""
    lines = render([finding(1, column, length)], {FILE: text}).splitlines()
    return lines[3].removeprefix("1 | "), lines[4].removeprefix("  | ")


def test_one_diagnostic() -> None:
    """Code, message, place, line, underlining, hint, count."""
    text = 'format = 1\n[images.api]\nplatfroms = ["linux/amd64"]\n'
    diagnostic = Diagnostic(
        code="unknown-key",
        message="unknown key `platfroms` in image `api`",
        place=KeyPlace(file=FILE, keys=("images", "api", "platfroms"), on_key=True),
        subject="api",
        hints=("did you mean `platforms`?",),
    )
    assert (
        render([diagnostic], {FILE: text})
        == """\
error[unknown-key]: unknown key `platfroms` in image `api`
 --> builds.toml:3:1
  |
3 | platfroms = ["linux/amd64"]
  | ^^^^^^^^^
  hint: did you mean `platforms`?

1 error
"""
    )


def test_related_places_and_subject() -> None:
    """Further places have their lines as well; the gutter is as wide as the longest number."""
    diagnostic = Diagnostic(
        code="duplicate-tag",
        message="two images have one tag",
        severity=Severity.WARNING,
        place=Span(file=FILE, line=10, column=1, length=1),
        subject="api@linux/arm64",
        related=(Span(file="other.toml", line=2, column=1, length=1),),
    )
    assert (
        render([diagnostic], {FILE: "a\n" * 10, "other.toml": "x\ny"})
        == """\
warning[duplicate-tag]: two images have one tag
  --> builds.toml:10:1
   |
10 | a
   | ^
  and other.toml:2:1
   |
 2 | y
   | ^
  in: api@linux/arm64

1 warning
"""
    )


def test_nothing_is_nothing() -> None:
    """Without findings there is no text, not even a count."""
    assert render([], {}) == ""


def test_without_a_place() -> None:
    """A finding about no file has a message and hints."""
    assert render([Diagnostic(code="c", message="m", hints=("h",))], {}) == "error[c]: m\n  hint: h\n\n1 error\n"


def test_a_place_in_an_unknown_file_or_behind_its_end() -> None:
    """The place is named without a line."""
    assert render([finding(1)], {}).count("\n") == 4
    assert render([finding(99)], {FILE: "a\n"}).count("\n") == 4


def test_only_a_related_place() -> None:
    """A related place does not pose as the main one."""
    diagnostic = Diagnostic(code="c", message="m", related=(Span(file=FILE, line=1),))
    assert " and builds.toml:1:1" in render([diagnostic], {FILE: "a\n"})


def test_order() -> None:
    """Errors first, then warnings; each by file, line and column; what has no place leads."""
    warning = Diagnostic(code="w", message="m", severity=Severity.WARNING, place=Span(file="a", line=1))
    bare = Diagnostic(code="b", message="m")
    unsorted = [warning, finding(2), finding(1, 5), finding(1, 2), bare]
    assert ordered(unsorted) == (bare, finding(1, 2), finding(1, 5), finding(2), warning)


def test_the_count_names_both_kinds() -> None:
    """The last line says how many, with thousands separated."""
    warning = Diagnostic(code="w", message="m", severity=Severity.WARNING)
    last = render([finding(1)] * 1_200 + [warning], {FILE: "a"}).splitlines()[-1]
    assert last == "1,200 errors and 1 warning"


def test_all_of_hundreds_are_shown() -> None:
    """Nobody has to run a command twice to see the rest."""
    text = render([finding(line, code=f"c{line}") for line in range(1, 701)], {FILE: "x\n" * 700})
    assert len(re.findall(r"^error\[c\d+\]", text, re.MULTILINE)) == 700


def test_colour_adds_nothing_but_colour() -> None:
    """The meaning is in the words."""
    plain = render([finding(1)], {FILE: "abc"})
    coloured = render([finding(1)], {FILE: "abc"}, colour="always")
    assert coloured != plain
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain


@pytest.mark.parametrize(
    ("text", "column", "length", "expected"),
    [
        ("\ta = 1", 2, 1, ("    a = 1", "    ^")),
        ("日本 = 1", 6, 1, ("日本 = 1", "       ^")),
        ("日本 = 1", 1, 2, ("日本 = 1", "^^^^")),
        ("e\u0301x", 3, 1, ("e\u0301x", " ^")),
        ("a\x1b[31mb", 7, 1, ("a\\x1b[31mb", "         ^")),
        ("a\u202eb", 3, 1, ("a\\u202eb", "       ^")),
        ("abc\r", 4, 1, ("abc", "   ^")),
        ("\ufeffabc", 1, 3, ("abc", "^^^")),
        ("", 1, 1, ("1 |", "^")),
    ],
)
def test_lines_in_cells(text: str, column: int, length: int, expected: tuple[str, str]) -> None:
    """Tabs, wide and combining characters, control characters: the underlining stands below what it means."""
    assert expected == shown_line(text, column, length)


def test_a_long_line_is_cut_around_its_place() -> None:
    """The place is always in what is shown."""
    text = "a" * 5_000 + "HERE" + "b" * 5_000
    line, carets = shown_line(text, 5_001, 4)
    assert (line[0], line[-1], line[carets.index("^") : len(carets)]) == ("…", "…", "HERE")
    assert len(line) <= WIDTH


def test_the_start_of_a_long_line_is_kept_where_it_can_be() -> None:
    """A key at the start of its line is read with it."""
    line, _ = shown_line("key = " + "a" * 5_000, 7, 5_000)
    assert line.startswith("key = aaa")


@settings(max_examples=200, deadline=None)
@given(
    line=st.text(max_size=200).map(lambda text: text.replace("\n", "")),
    column=st.integers(min_value=1, max_value=250),
    length=st.integers(min_value=1, max_value=250),
    width=st.integers(min_value=60, max_value=140),
)
def test_no_line_breaks_the_frame(line: str, column: int, length: int, width: int) -> None:
    """Whatever the line, it is printable, fits, and has something underlined."""
    excerpt = cut(line, Span(file="f", line=1, column=column, length=length), width)
    assert excerpt.text.isprintable()
    assert len(excerpt.text) <= 2 * width
    assert excerpt.under >= 1


def test_messages_and_file_names_are_escaped() -> None:
    """Nothing that a file holds or is called reaches the terminal as a control sequence."""
    diagnostic = Diagnostic(
        code="c", message="a\x1b[2Jb", place=Span(file="x\n.toml", line=1), hints=("h\x07",), subject="s\x00"
    )
    text = render([diagnostic], {})
    assert all(line.isprintable() for line in text.split("\n"))


def test_surrogates_are_escaped() -> None:
    """A file name that is not UTF-8 can be shown."""
    assert printable("a\udcff") == "a\\udcff"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('args = { NPM_TOKEN = "abc", A = "1" }', 'args = { NPM_TOKEN = "***", A = "1" }'),
        ('token = [\n "abc",\n]\nb = 1', 'token = [\n "***"*\n]\nb = 1'),
        ('[a.password]\nvalue = "abc"', '[a.password]\nvalue = "***"'),
        ('password = """\nabc\n"""', 'password = """\n***\n"""'),
        ('password = "abc', 'password = "***'),
        ("ARG NPM_TOKEN=abc", "ARG NPM_TOKEN=***"),
        ('{"api-key": "abc"}', '{"api-key": "***"}'),
        ('[images.token-service]\ncontext = "x"', '[images.token-service]\ncontext = "x"'),
        ('secrets = [{ id = "x", env = "X_TOKEN" }]', 'secrets = [{ id = "x", env = "X_TOKEN" }]'),
        ('context = "https://me:pw@h/x.git"', 'context = "https://*****@h/x.git"'),
        ('a = ["https://me:{p}w@h", "ssh://git@h"]', 'a = ["https://*******@h", "ssh://git@h"]'),
        ('base = "docker-image://b@sha256:01"', 'base = "docker-image://b@sha256:01"'),
    ],
)
def test_values_of_credentials_are_masked(text: str, expected: str) -> None:
    """By structure in TOML, by the line elsewhere and where the structure is broken."""
    assert expected == mask(text, FILE)


def test_a_file_of_another_kind_is_masked_by_its_lines() -> None:
    """A Dockerfile has no keys."""
    assert mask("ENV A_TOKEN=abc B=1", "Dockerfile") == "ENV A_TOKEN=*** B=1"
    assert mask("ADD https://me:pw@h/x /x", "Dockerfile") == "ADD https://*****@h/x /x"


def test_a_shown_line_has_no_credential() -> None:
    """The value of an arg that looks like a credential is not in the output."""
    text = 'args = { A_TOKEN = "hunter2" }'
    assert "hunter2" not in render([finding(1, 10, 7)], {FILE: text})


def test_a_message_has_no_user_information() -> None:
    """Nor has a hint, nor what is meant."""
    url = "https://me:hunter2@host/x"
    text = render([Diagnostic(code="c", message=f"no `{url}`", hints=(f"drop {url}",), subject=url)], {})
    assert "hunter2" not in text
    assert "error[c]: no `https://***@host/x`" in text
