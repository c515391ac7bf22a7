from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.process.redact import redact

_SECRETS = st.lists(st.text(alphabet="ab.[\\n", min_size=1, max_size=5), max_size=4)


def test_every_occurrence_of_every_secret_is_hidden() -> None:
    """Not only the first one."""
    assert redact("u:alice p:pw pw", {"alice", "pw"}) == "u:*** p:*** ***"


def test_a_secret_that_holds_another_is_hidden_whole() -> None:
    """Nothing of the longer one is left beside the mask."""
    assert redact("abcdef", ["abc", "abcdef"]) == "***"


def test_the_lines_of_a_secret_of_several_lines_are_hidden() -> None:
    """A key file is shown line by line, so it has to be hidden line by line."""
    assert redact("first and second", ["first\nsecond"]) == "*** and ***"


def test_an_empty_secret_hides_nothing() -> None:
    """An unset variable does not turn text into stars."""
    assert redact("text", ["", "\n"]) == "text"


@given(st.text(alphabet="ab.[\\nxyz", max_size=40), _SECRETS)
def test_no_secret_is_left(text: str, secrets: list[str]) -> None:
    """Whatever letters it has, also those that mean something in a pattern."""
    shown = redact(text, secrets)
    assert not [secret for secret in secrets if secret.strip() and secret in shown.replace("***", "\x00")]
