"""The page: one file, bounded, from which nothing of a run can break out."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import unicodedata
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.ui.report.clean import clean_line, clean_name
from orchestrator.ui.report.encode import encode_for_page
from orchestrator.ui.report.fold import fold_report
from orchestrator.ui.report.logs import LogTail, take_logs
from orchestrator.ui.report.page import is_report, render_page
from tests.unit.ui.report.journals import HOSTILE, hostile_events, hostile_log, made_log, run_events


def page(*, hostile: bool = False) -> str:
    """A whole page."""
    events, log = (hostile_events(), hostile_log) if hostile else (run_events(5), made_log)
    return render_page(fold_report(events, log)).decode()


def test_a_report_is_known_by_its_first_lines() -> None:
    """So that nothing else is replaced by one."""
    assert is_report(page().encode())
    assert not is_report(b"<!doctype html>\n<p>somebody's")


def test_the_same_run_gives_the_same_bytes() -> None:
    """Nothing else is in it, such as the time at which it was made."""
    assert page() == page()


def test_the_policy_allows_its_own_program_and_style_alone() -> None:
    """By their digests; whatever else gets into the page does nothing, and nothing can be loaded."""
    text = page(hostile=True)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    own = {
        directive: base64.b64encode(hashlib.sha256(re.search(pattern, text, re.DOTALL)[1].encode()).digest()).decode()  # type: ignore[index]  # it is there
        for directive, pattern in (("script-src", r"<script>(.*?)</script>"), ("style-src", r"<style>(.*?)</style>"))
    }
    expected = "; ".join(f"{directive} 'sha256-{digest}'" for directive, digest in own.items())
    assert f"default-src 'none'; {expected}; base-uri 'none'; form-action 'none'" == policy[1]


def test_hostile_texts_stay_inside_their_element() -> None:
    """There are as many elements as in any other page, and the JSON gives back every name."""
    text = page(hostile=True)
    assert text.count("<script") == text.count("</script") == page().count("</script")
    data = re.search(r'id="data">(.*?)</script>', text, re.DOTALL)
    assert data is not None
    assert not set("<>&\u2028\u2029") & set(data[1])
    assert [clean_name(name) for name in HOSTILE] == [image["name"] for image in json.loads(data[1])["images"]]


def test_no_text_of_a_run_turns_what_stands_beside_it() -> None:
    """Nor moves a cursor, wherever it is shown: every string of the page was looked through."""
    found = re.search(r'id="data">(.*?)</script>', page(hostile=True), re.DOTALL)
    assert found is not None
    forbidden = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
    assert [] == [text for text in texts(json.loads(found[1])) if forbidden.search(text)]


def texts(value: object) -> Iterator[str]:
    """All strings in a JSON value."""
    if isinstance(value, str):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from texts(inner)


def test_the_title_is_escaped() -> None:
    """It alone is written into the page as text."""
    assert "<title>&lt;/script&gt;&lt;script&gt;window.harmed = 1" in page(hostile=True)


@given(st.recursive(st.text() | st.integers(-(2**50), 2**50) | st.none(), st.lists))
def test_json_for_a_page_is_json(value: object) -> None:
    """Whatever it holds, it means the same, and no character is left that means something in HTML."""
    encoded = encode_for_page(value)
    assert value == json.loads(encoded)
    assert not set("<>&\u2028\u2029") & set(encoded)


@given(st.text())
def test_shown_text_has_nothing_that_hides_or_turns(text: str) -> None:
    """Names keep what they had, written out; lines lose it."""
    assert clean_name(text).isprintable()
    assert all(letter == "\t" or unicodedata.category(letter)[0] != "C" for letter in clean_line(text))


def test_names_that_differ_stay_different() -> None:
    """By what cannot be seen, too."""
    assert clean_name("a\u200bb") != clean_name("ab")


def test_a_run_of_500_images_stays_small() -> None:
    """With logs of all its steps, each of which is larger than what is kept of it."""

    def long_log(step: str, most: int) -> LogTail:
        return LogTail(path=step, size=10**9, content=b"<&> a line of a log\n" * (most // 20))

    assert len(render_page(fold_report(run_events(500), long_log))) < 10_000_000


def test_failed_steps_come_first_for_room() -> None:
    """What does not fit is cut at the front, and said to be."""

    def find(step: str, most: int) -> LogTail:
        return LogTail(path=step, size=1_000_000, content=(f"{step} {'y' * 50}\n" * 9999).encode()[-most:])

    taken = dict(take_logs([*((f"s{n}", "done") for n in range(9)), ("f", "failed")], find, room=20_000))
    assert len(taken["f"].text) > 8_000 > max(len(log.text) for step, log in taken.items() if step != "f")
    assert all(log.cut for log in taken.values())
    assert sum(len(encode_for_page(log.text)) for log in taken.values()) <= 20_000


def test_room_is_shared_by_logs_alone() -> None:
    """Gates, records and promotions have none: however many they are, the first image loses nothing."""

    def find(step: str, most: int) -> LogTail | None:
        content = b"a line of a log\n" * 600
        return LogTail(path=step, size=9600, content=content[-most:]) if step == "solve:first" else None

    steps = [("solve:first", "done"), *((f"record:{number}", "done") for number in range(9999))]
    taken = dict(take_logs(steps, find, room=20_000))
    assert {"solve:first": (9599, False)} == {step: (len(log.text), log.cut) for step, log in taken.items()}


def test_a_log_without_room_has_its_path() -> None:
    """So that whoever needs it finds the whole."""

    def find(step: str, most: int) -> LogTail:
        return LogTail(path=f"logs/{step}", size=1000, content=b"y" * min(most, 1000))

    taken = dict(take_logs([("a", "done"), ("b", "done")], find, room=300))
    assert [("logs/a", "", 1000, True), ("logs/b", True)] == [
        (taken["a"].path, taken["a"].text, taken["a"].size, taken["a"].cut),
        (taken["b"].path, bool(taken["b"].text)),
    ]


@pytest.mark.parametrize("content", [b"", b"\n"])
def test_an_empty_log_is_none(content: bytes) -> None:
    """There is nothing to show."""
    found = dict(take_logs([("a", "done")], lambda step, most: LogTail(path=step, size=most, content=content)))
    assert {""} >= {log.text for log in found.values()}


def test_a_run_without_logs_has_none() -> None:
    """It is a report all the same."""
    assert all(step.log is None for step in fold_report(run_events(3), lambda _step, _most: None).steps)
