"""Assignments: `--set` and `ORCHESTRATE_SET`."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.config.assign import Assignment, applying, assignment_lines, check_patterns, parse_assignments
from orchestrator.config.keys import parse_key, render_key
from orchestrator.diagnostics import Diagnostic


def parsed(text: str) -> Assignment:
    """The assignment that a text is."""
    (assignment,), findings = parse_assignments((text,), "command line")
    assert findings == ()
    return assignment


def refused(text: str) -> Diagnostic:
    """What is wrong with a text that is none."""
    assignments, (finding,) = parse_assignments((text,), "command line")
    assert assignments == ()
    return finding


@pytest.mark.parametrize(
    ("text", "pattern", "tree"),
    [
        ('api*.platforms=["linux/amd64"]', "api*", {"platforms": ["linux/amd64"]}),
        ("api.args.GO_VERSION=1.24", "api", {"args": {"GO_VERSION": "1.24"}}),
        (" api . args . X = y = z ", "api", {"args": {"X": "y = z"}}),
        ('api.labels."org.acme.a"="x = y"', "api", {"labels": {"org.acme.a": "x = y"}}),
        ("api.on.'linux/arm64'.args.X=1", "api", {"on": {"linux/arm64": {"args": {"X": "1"}}}}),
        ("*.retries=3", "*", {"retries": 3}),
        ("*.no-cache=true", "*", {"no-cache": True}),
        ("*.secrets=[{id = 'x', env = 'X'}]", "*", {"secrets": [{"id": "x", "env": "X"}]}),
        ("python3.12.args.X=y", "python3.12", {"args": {"X": "y"}}),
        ("api.args={A = 1.5}", "api", {"args": {"A": 1.5}}),
        ("api.target=a\nb", "api", {"target": "a\nb"}),
    ],
)
def test_pattern_key_and_value_are_divided(text: str, pattern: str, tree: object) -> None:
    """The value is TOML where it is, and text elsewhere."""
    assignment = parsed(text)
    assert (pattern, tree) == (assignment.pattern, msgspec.to_builtins(assignment.table))


@pytest.mark.parametrize("value", ["1.10", "007", "true", "2024-01-01", "1_000", "inf", "9" * 5000])
def test_a_bare_value_is_text_where_text_is_allowed(value: str) -> None:
    """A version `1.10` is not the number 1.1."""
    assert {"args": {"X": value}} == msgspec.to_builtins(parsed(f"api.args.X={value}").table)


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("api.platfrms=[]", "unknown-key", "`--set api.platfrms`: `platfrms` is no attribute that can be set"),
        ("api.matrix.a=[1]", "unknown-key", "`--set api.matrix.a`: `matrix` is no attribute that can be set"),
        ("api.platforms=linux/amd64", "wrong-type", "`--set api.platforms`: expected `array`, got `str`"),
        ("api.pull=yes", "wrong-type", "`--set api.pull`: expected `bool`, got `str`"),
        ("api.retries=11", "wrong-type", "`--set api.retries`: expected `int` <= 10"),
        ("api.network=hots", "wrong-type", "`--set api.network`: invalid enum value 'hots'"),
        ("api.args.A.B.C=1", "wrong-type", None),
        ("api.args.A.B.C" + ".D" * 2_000 + "=1", "wrong-type", None),
        ("api.args.PASSWORD=hunter2", "secret-in-args", None),
        ("api.timeout=soon", "illegal-value", None),
        ("api.platforms=['linux/amd46']", "illegal-platform", None),
        ("api.platforms", "assignment-syntax", "`--set api.platforms`: expected `PATTERN.KEY=VALUE`"),
        ("platforms=[]", "assignment-syntax", None),
        (".tags=[]", "assignment-syntax", None),
        ("api.=1", "assignment-syntax", None),
        ("=", "assignment-syntax", None),
        ("api.'target=x", "assignment-syntax", None),
        ("api.needs=" + "[" * 30_000, "wrong-type", None),
        ("api.needs=" + "x" * 70_000, "assignment-syntax", None),
    ],
)
def test_what_is_no_assignment_is_an_error(text: str, code: str, message: str | None) -> None:
    """The text is quoted, but not its value, which may be a secret."""
    finding = refused(text)
    assert code == finding.code
    assert message in {None, finding.message}
    assert finding.hints
    assert finding.place is None
    assert "hunter2" not in str(finding)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("api.platfrms=[]", "did you mean `platforms`?"),
        ("api.on.'linux/arm64'.tags=[]", "`tags` is the same for all platforms: set it without `on`"),
        ("api.platforms=linux/amd64", """for a list write `'api.platforms=["linux/amd64"]'`"""),
        ('api.platforms=["x]', "it begins like a TOML value and is none: look at its quotes and brackets"),
        ("api.pull=yes", "the value is written as in `builds.toml`"),
    ],
)
def test_an_error_says_what_to_write(text: str, hint: str) -> None:
    """Where that can be guessed."""
    assert (hint,) == refused(text).hints


def test_credentials_may_be_allowed() -> None:
    """By the project."""
    assignments, findings = parse_assignments(("a.args.PASSWORD=x",), "environment", secrets_in_args="allow")
    assert (len(assignments), findings) == (1, ())


@given(st.text() | st.text(alphabet="a.=\"'[]{}*on1 \\\n"))
def test_no_text_makes_it_fail(text: str) -> None:
    """Every text is an assignment or a finding."""
    assignments, findings = parse_assignments((text, f"a.args.b={text}", f"a.{text}=1"), "environment")
    assert len(assignments) + len(findings) == 3


@given(st.lists(st.text(st.characters(codec="utf-8")), min_size=1, max_size=4))
def test_a_rendered_key_parses_to_the_same(keys: list[str]) -> None:
    """Whatever letters it has."""
    assert tuple(keys) == parse_key(render_key(tuple(keys)))


def test_a_position_is_rendered_in_brackets() -> None:
    """As people write it; what cannot be printed is escaped."""
    assert render_key(("tags", 2, "a b", "\x1b")) == r'tags[2]."a b"."\U0000001b"'


def test_the_environment_has_one_assignment_a_line() -> None:
    """Empty lines are none."""
    assert assignment_lines({"ORCHESTRATE_SET": "a.target=x\r\n\n  b.target=y\n"}) == ("a.target=x", "b.target=y")
    assert assignment_lines({}) == ()


def test_errors_in_the_environment_say_its_name() -> None:
    """There is no flag to look at."""
    _, (finding,) = parse_assignments(("a.x=1",), "environment")
    assert finding.message == "`ORCHESTRATE_SET a.x`: `x` is no attribute that can be set"


def test_a_pattern_that_matches_no_image_is_an_error() -> None:
    """A setting that has no effect is a mistake."""
    assignments = (parsed("api.target=x"), parsed("wroker.target=x"), parsed("x*.target=x"))
    findings = check_patterns(assignments, ("api", "worker"))
    assert [finding.message for finding in findings] == [
        "`--set wroker.target`: `wroker` matches no image",
        "`--set x*.target`: `x*` matches no image",
    ]
    assert findings[0].hints == ("did you mean `worker`?",)


def test_those_that_apply_are_in_the_order_in_which_they_were_given() -> None:
    """Any of the image's names will do; letter case counts."""
    assignments = tuple(parsed(f"{pattern}.target=x") for pattern in ("db", "*-1[56]", "DB", "d?", "db-17"))
    assert [one.pattern for one in applying(assignments, "db-16", "db")] == ["db", "*-1[56]", "d?"]


def test_a_long_assignment_is_masked_before_it_is_cut() -> None:
    """Half of a URL would not be known as one any more."""
    text = "a" * 40 + " https://user:hunter2-" + "x" * 60 + "@host/x"
    _, (finding,) = parse_assignments((text,), "command line")
    assert "hunter2" not in finding.message
