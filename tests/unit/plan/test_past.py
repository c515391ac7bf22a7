"""What the last builds left: durations that nobody vouches for, and listings held against each other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.plan.context import EMPTY, Entry, Kind, Listing, changed_paths, record
from orchestrator.plan.past import EMULATED, SECONDS, Took, find_changes, note_took, read_took


@given(seconds=st.floats(0, 1_000_000), emulated=st.lists(st.sampled_from(["linux/arm64", "linux/s390x"]), unique=True))
def test_what_is_noted_is_read(seconds: float, emulated: list[str]) -> None:
    """To a thousandth of a second."""
    found = read_took(note_took(seconds, tuple(emulated)))
    assert found is not None
    assert seconds == pytest.approx(found.seconds, abs=0.001)
    assert bool(emulated) is found.emulated


@pytest.mark.parametrize("text", ["", "nan", "inf", "-1", "1e99", "soon", "1" * 5000, "0x1", "1 2"])
def test_what_is_no_duration_is_none(text: str) -> None:
    """Whoever may push may write anything."""
    assert read_took({SECONDS: text}) is None


def test_artifacts_of_earlier_versions_have_no_duration() -> None:
    """They lack the annotation."""
    assert read_took({EMULATED: "linux/arm64"}) is None


def test_a_duration_without_emulation_is_native() -> None:
    """Nothing is noted of native platforms."""
    assert Took(seconds=1.5, emulated=False) == read_took({SECONDS: "1.500"})


def listing(*paths: str, content: str = EMPTY) -> Listing:
    """A listing of files."""
    return Listing(
        records=tuple(record(Entry(path=path, kind=Kind.FILE, mode=0o644, content=content)) for path in paths)
    )


_PATHS = st.lists(st.sampled_from(["a", "b", "c/d", "e"]), unique=True).map(sorted)


@given(before=_PATHS, after=_PATHS, others=_PATHS)
def test_changes_are_what_only_one_of_both_has(before: list[str], after: list[str], others: list[str]) -> None:
    """With the paths that whole listings would give."""
    first = listing(*before)
    second = Listing(
        records=tuple(
            record(Entry(path=path, kind=Kind.FILE, mode=0o644, content="1" * 64 if path in others else EMPTY))
            for path in after
        )
    )
    found = find_changes(first, second)
    assert changed_paths(first, second) == found.paths
    assert set(found.before.records).isdisjoint(second.records)
    assert set(found.after.records).isdisjoint(first.records)
