from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.dockerfile.substitute import MAX_LENGTH, Expansion, SubstitutionError, expand

ENVIRONMENT = {"X": "value", "EMPTY": "", "PATH": "a/b/c.tar.gz", "N1": "one"}


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("plain", "plain"),
        ("$X", "value"),
        ("${X}", "value"),
        ("a${X}b$X-", "avalueb" + "value-"),
        ("$MISSING|${MISSING}", "|"),
        ("${X:-d}|${EMPTY:-d}|${MISSING:-d}", "value|d|d"),
        ("${X-d}|${EMPTY-d}|${MISSING-d}", "value||d"),
        ("${X:+d}|${EMPTY:+d}|${MISSING:+d}", "d||"),
        ("${X+d}|${EMPTY+d}|${MISSING+d}", "d|d|"),
        ("${X:?no}|${X?no}|${EMPTY?no}", "value|value|"),
        ("${MISSING:-${EMPTY:-$X}}", "value"),
        ("${PATH#*/}|${PATH##*/}", "b/c.tar.gz|c.tar.gz"),
        ("${PATH%.*}|${PATH%%.*}", "a/b/c.tar|a/b/c"),
        ("${PATH/a/x}|${PATH//?/-}", "x/b/c.tar.gz|------------"),
        (r"${PATH//\//-}", "a-b-c.tar.gz"),
        ("'$X'", "$X"),
        ('"$X"', "value"),
        ("\"'$X'\"", "'value'"),
        (r"\$X", "$X"),
        (r'"\$X \" \a"', r'$X " \a'),
        (r"a\ b\\", "a b\\"),
        ("a\\", "a"),
        ("$", "$"),
        ("$/x", "$/x"),
        ("$N1x|$1x", "|x"),
        ("${N1}x", "onex"),
        ("$@|$?", "|"),
        ("ä$X", "ävalue"),
    ],
)
def test_a_word_expands_as_in_buildkit(word: str, expected: str) -> None:
    """Variables, modifiers, quotes and escapes mean what they mean in BuildKit's `shell/lex.go`."""
    assert expected == expand(word, ENVIRONMENT).text


@pytest.mark.parametrize(
    "word",
    [
        "${", "${}", "${:x}", "${{X}", "${X", "${X:-a", "${X!a}", "${X:/a/b}", "'a", '"a', '"a\\',
        "${MISSING:?it is needed}",
        "${EMPTY:?}", "${MISSING?}", "${X/a}", r"${X#\a}", r"${X/\a/b}", "${X:", "${a:-" * 40 + "}" * 40,
    ],
)  # fmt: skip
def test_what_buildkit_refuses_is_an_error(word: str) -> None:
    """A bad substitution says why, and deep nesting is one."""
    with pytest.raises(SubstitutionError):
        expand(word, ENVIRONMENT)


def test_the_message_of_a_required_variable_is_shown() -> None:
    """`${X:?message}` fails with the message."""
    with pytest.raises(SubstitutionError, match="`MISSING`: give it"):
        expand("${MISSING:?give it}", ENVIRONMENT)


def test_the_escape_character_may_be_another() -> None:
    """With `# escape=` a backslash is an ordinary character."""
    assert expand(r"C:\a`$X", ENVIRONMENT, escape="`").text == r"C:\a$X"


def test_variables_are_told_apart_by_whether_they_are_set() -> None:
    """The caller learns which variables were asked for."""
    expected = Expansion(text="value", used=frozenset({"X", "EMPTY"}), missing=frozenset({"Y"}))

    assert expected == expand("$X$EMPTY$Y", ENVIRONMENT)


def test_an_expansion_has_an_end() -> None:
    """A text that doubles and doubles is refused before it fills the memory."""
    with pytest.raises(SubstitutionError, match="longer than"):
        expand("$X$X", {"X": "x" * MAX_LENGTH})


@given(st.text("ab${}:-+?#%/*'\"\\ @1", max_size=40), st.dictionaries(st.sampled_from("ab"), st.text(max_size=9)))
def test_nothing_but_a_substitution_error_is_raised(word: str, environment: dict[str, str]) -> None:
    """Whatever a Dockerfile says, a word expands or is refused with a reason."""
    with contextlib.suppress(SubstitutionError):
        expand(word, environment)
