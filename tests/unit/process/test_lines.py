from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.process.lines import LineCutter

_PIECES = st.lists(st.binary(max_size=12).map(lambda piece: piece.replace(b"a", b"\n")), max_size=12)


def _cut(chunks: list[bytes], limit: int) -> list[str]:
    cutter = LineCutter(limit)
    lines = [line for chunk in chunks for line in cutter.feed(chunk)]
    return lines + list(cutter.finish())


@given(_PIECES)
def test_lines_do_not_depend_on_how_the_bytes_arrive(chunks: list[bytes]) -> None:
    """Any portions of the same bytes give the same lines."""
    whole = b"".join(chunks)
    expected = whole.decode(errors="replace").split("\n") if b"\r" not in whole else _cut([whole], 1000)
    if expected and expected[-1] == "":
        expected = expected[:-1]
    assert _cut([whole], 1000) == _cut(chunks, 1000)
    if whole.isascii():
        assert expected == _cut(chunks, 1000)


def test_a_line_longer_than_the_limit_is_cut_and_the_next_one_is_whole() -> None:
    """The rest of a long line is dropped, wherever the portions end."""
    assert _cut([b"abc", b"defgh", b"ij\nxy\n"], 4) == ["abcd", "xy"]


def test_the_last_line_needs_no_newline() -> None:
    """What a child prints without one is a line too; nothing is none."""
    assert _cut([b"a\nb"], 10) == ["a", "b"]
    assert _cut([b""], 10) == []


def test_empty_lines_are_lines() -> None:
    """They are kept."""
    assert _cut([b"\n\na\n"], 10) == ["", "", "a"]


def test_bytes_that_are_no_text_are_replaced() -> None:
    """Logs are hostile; a line is always text."""
    assert _cut([b"a\xffb\n"], 10) == ["a\ufffdb"]
