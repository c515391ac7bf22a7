from __future__ import annotations

import pytest

from orchestrator.api.invocation import BuilderOf, DigestOf, FileOf, PathOf, Word
from orchestrator.engine.invoke import TAIL_BYTES, Tail
from orchestrator.engine.results import Results, StepResult, Where
from orchestrator.oci.digest import digest_bytes

INDEX = digest_bytes(b"index")
MANIFEST = digest_bytes(b"manifest")


def results() -> Results:
    """What two steps gave."""
    found = Results()
    found.put("record:x", StepResult(digest=INDEX, manifest=MANIFEST))
    found.put("assemble:x", StepResult(digest=INDEX))
    found.put("gate", StepResult())
    return found


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("literal", "literal"),
        (("a=", DigestOf(step="assemble:x", label="x")), f"a={INDEX}"),
        ((DigestOf(step="record:x", label="x", part="manifest"),), MANIFEST),
        ((DigestOf(step="record:x", label="x"),), INDEX),
        ((DigestOf(step="assemble:x", label="x", part="manifest"),), INDEX),
        (("--file=", PathOf(name="f")), "--file=/run/f"),
        (("--builder=", BuilderOf(node="n")), "--builder=b"),
        (("{", PathOf(name="f"), "}"), "{/run/f}"),
        ((FileOf(given='a"b'),), '/r/a"b'),
        ((FileOf(given='a"b', quoting="csv"),), '/r/a""b'),
        ((FileOf(given='a"b', quoting="json"),), '/r/a\\"b'),
        ((FileOf(given="env:CA"),), "/ca"),
        ((), ""),
    ],
)
def test_late_values_are_filled_in(word: Word, expected: str) -> None:
    """And nothing else is touched: no template, no shell."""
    where = Where(paths={"f": "/run/f"}, builders={"n": "b"}, root="/r", environment={"CA": "/ca"})
    assert expected == results().fill(word, where)


def test_a_step_that_gives_no_digest_is_a_bug_of_the_plan() -> None:
    """It is not filled in with something else."""
    with pytest.raises(LookupError, match="`gate` gave no digest"):
        results().digest("gate")


def test_a_result_can_be_looked_up() -> None:
    """As it was put."""
    assert StepResult(digest=INDEX) == results().get("assemble:x")


def test_only_the_end_of_a_long_output_is_kept() -> None:
    """However long it is; at least its last line."""
    tail = Tail()
    for number in range(100_000):
        tail.add(f"line {number}")
    assert len(tail.text()) <= TAIL_BYTES
    assert tail.text().endswith("line 99999")
    tail.add("x" * 2 * TAIL_BYTES)
    assert "x" * 2 * TAIL_BYTES == tail.text()
