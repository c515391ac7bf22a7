from __future__ import annotations

import base64
import json
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.api.events import BuildWarning, LogLine, ReaderEvent, VertexProgress
from orchestrator.buildkit.progress import RawJsonReader, decode_text, parse_status
from tests.unit.buildkit.solves import encode, status

V = "sha256:" + "a" * 64


def read(*lines: str) -> list[ReaderEvent]:
    """The events of a stream."""
    reader = RawJsonReader("solve:x")
    return [event for line in lines for event in reader.feed("stderr", line)]


def texts(events: list[ReaderEvent]) -> list[str]:
    """The lines that were logged."""
    return [event.text for event in events if isinstance(event, LogLine)]


def log(text: str, stream: int = 1, vertex: str = V) -> dict[str, object]:
    """A piece of output."""
    return {"vertex": vertex, "stream": stream, "data": encode(text), "timestamp": "2026-01-01T00:00:00Z"}


def vertex(**fields: object) -> str:
    """A line about one vertex."""
    return status(vertexes=[{"digest": V, "name": "[1/2] RUN make", **fields}])


def progress(state: Literal["started", "done", "cached", "failed"], message: str = "") -> VertexProgress:
    """What is told about it."""
    return VertexProgress(step="solve:x", vertex=V, name="[1/2] RUN make", state=state, message=message)


def test_a_vertex_begins_and_ends() -> None:
    """However often the same state is sent."""
    started = vertex(started="2026-01-01T00:00:00Z")
    done = vertex(started="2026-01-01T00:00:00Z", completed="2026-01-01T00:00:01Z")
    assert [progress("started"), progress("done")] == read(vertex(), started, started, done, done)


def test_a_vertex_may_come_from_the_cache_or_fail() -> None:
    """An error counts whatever else is said."""
    ended = {"started": "2026-01-01T00:00:00Z", "completed": "2026-01-01T00:00:01Z"}
    assert [progress("cached")] == read(vertex(cached=True, **ended))
    assert [progress("failed", "exit code: 3")] == read(vertex(error="exit code: 3", **ended))


def test_lines_are_joined_over_pieces() -> None:
    """Each stream by itself."""
    events = read(
        status(logs=[log("one\ntw"), log("err", 2)]),
        status(logs=[log("o\r\nthree\n"), log("or\n", 2)]),
    )
    assert [("stdout", "one"), ("stdout", "two"), ("stdout", "three"), ("stderr", "error")] == [
        (event.stream, event.text) for event in events if isinstance(event, LogLine)
    ]


def test_letters_are_joined_over_pieces() -> None:
    """A letter of several bytes may be cut anywhere."""
    content = "größer\n".encode()
    pieces = [{"vertex": V, "stream": 1, "data": base64.b64encode(bytes([byte])).decode()} for byte in content]
    assert ["größer"] == texts(read(*(status(logs=[piece]) for piece in pieces)))


def test_the_last_line_needs_no_end() -> None:
    """It is told when its vertex ends, before that."""
    events = read(status(logs=[log("no newline")]), vertex(completed="2026-01-01T00:00:01Z"))
    assert ["no newline"] == texts(events)
    assert isinstance(events[-1], VertexProgress)


def test_what_is_sent_with_the_end_comes_before_it() -> None:
    """And what is sent after it is not kept for ever."""
    line = json.loads(vertex(completed="2026-01-01T00:00:01Z")) | {"logs": [log("with it")]}
    events = read(json.dumps(line), status(logs=[log("late")]))
    assert ["with it", "late"] == texts(events)
    assert isinstance(events[1], VertexProgress)


def test_a_line_without_end_is_cut() -> None:
    """Memory is for lines, not for all that a build prints."""
    events = read(*(status(logs=[log("x" * 40_000)]) for _ in range(4)))
    assert [80_000, 80_000] == [len(text) for text in texts(events)]


def test_control_sequences_stay_in() -> None:
    """What a terminal can show is the display's business."""
    assert ["\x1b[31mred\x1b[0m"] == texts(read(status(logs=[log("\x1b[31mred\x1b[0m\n")])))


def test_a_warning_is_told_once() -> None:
    """BuildKit sends it for each platform."""
    line = status(warnings=[{"vertex": V, "level": 1, "short": encode("LegacyKeyValueFormat: use =")}])
    expected = BuildWarning(step="solve:x", message="LegacyKeyValueFormat: use =")
    assert [expected] == read(line, line, status(warnings=[{"vertex": V, "short": None}]))


def test_other_lines_say_nothing() -> None:
    """Plain text between, and everything on stdout."""
    assert [] == read("", "ERROR: failed", "{", "[]", "null", '{"vertexes": 5}', "{" * 10_000, '{"vertexes": null}')
    assert [] == list(RawJsonReader("s").feed("stdout", vertex(started="x")))


def test_a_recorded_stream() -> None:
    """As buildx 0.29 prints it: internal vertexes, statuses, a cached one, a failure, and plain lines after it."""
    load = "sha256:" + "b" * 64
    lines = [
        status(vertexes=[{"digest": load, "name": "[internal] load build definition from Dockerfile",
                          "started": "2026-08-01T10:00:00.1Z"}]),
        status(statuses=[{"id": "transferring dockerfile:", "vertex": load, "current": 96,
                          "timestamp": "2026-08-01T10:00:00.2Z", "started": "2026-08-01T10:00:00.1Z"}]),
        status(vertexes=[{"digest": load, "name": "[internal] load build definition from Dockerfile",
                          "started": "2026-08-01T10:00:00.1Z", "completed": "2026-08-01T10:00:00.3Z"}]),
        vertex(inputs=[load], started="2026-08-01T10:00:00.4Z"),
        status(logs=[log("make: *** [all] Error 2\n", 2)]),
        vertex(inputs=[load], started="2026-08-01T10:00:00.4Z", completed="2026-08-01T10:00:01Z",
               error='process "/bin/sh -c make" did not complete successfully: exit code: 2'),
        "ERROR: failed to build: failed to solve: process did not complete successfully: exit code: 2",
    ]  # fmt: skip
    states = [event.state for event in read(*lines) if isinstance(event, VertexProgress)]
    assert ["started", "done", "started", "failed"] == states
    assert ["make: *** [all] Error 2"] == texts(read(*lines))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["vertexes", "logs", "warnings", "digest", "stream", "data", "short", "error", "cached"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.lists(st.binary(max_size=60) | JSON.map(lambda tree: json.dumps(tree).encode()), max_size=8))
def test_no_stream_raises(lines: list[bytes]) -> None:
    """Whatever a child prints."""
    read(*(line.decode("utf-8", "replace") for line in lines))


@pytest.mark.parametrize("line", ['{"vertexes": [{"name": "\ud800"}]}', '{"vertexes": "\udfff"}'])
def test_half_a_letter_does_not_raise(line: str) -> None:
    """It cannot come from a pipe that was decoded, and is nothing all the same."""
    assert parse_status(line) is None


LINES = st.lists(st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"]), max_size=9), max_size=6)


@given(LINES, st.data())
def test_lines_do_not_depend_on_how_they_are_cut(lines: list[str], data: st.DataObject) -> None:
    """Any cuts give the same lines."""
    content = "".join(f"{line}\n" for line in lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=5)))
    pieces = [content[start:end] for start, end in zip([0, *cuts], [*cuts, len(content)], strict=True)]
    assert lines == texts(read(*(status(logs=[log(piece)]) for piece in pieces)))


@pytest.mark.parametrize(("data", "text"), [("aGk=", "hi"), ("!", ""), (None, ""), ("/w==", "\ufffd"), ("é", "")])
def test_base64_is_read_or_is_nothing(data: str | None, text: str) -> None:
    """What is no text is replaced."""
    assert text == decode_text(data)
