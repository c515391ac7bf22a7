from __future__ import annotations

import inspect
from typing import get_args

import msgspec
import pluggy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator import api
from orchestrator.api import backend, events, hookspecs, invocation, solve
from orchestrator.api.backend import BackendSpec, Capabilities
from orchestrator.api.events import Event, ReaderEvent
from orchestrator.api.invocation import (
    BuilderOf,
    DigestOf,
    FileOf,
    Late,
    Outcome,
    PathOf,
    Word,
    late_values,
    render_word,
)
from orchestrator.model import Model, Table

LATE: st.SearchStrategy[Late] = st.one_of(
    st.builds(DigestOf, step=st.text(max_size=5), label=st.text(max_size=5)),
    st.builds(PathOf, name=st.text(max_size=5)),
    st.builds(BuilderOf, node=st.text(max_size=5)),
    st.builds(FileOf, given=st.text(max_size=5)),
)
WORDS: st.SearchStrategy[Word] = st.one_of(
    st.text(max_size=8), st.lists(st.one_of(st.text(max_size=5), LATE), max_size=4).map(tuple)
)


@pytest.mark.parametrize(
    ("word", "shown"),
    [
        ("x", "x"),
        (("a=", DigestOf(step="assemble:x", label="x@linux/arm64")), "a=<digest of x@linux/arm64>"),
        ((PathOf(name="f"), "!"), "<path of f>!"),
        ((BuilderOf(node="n"),), "<builder of n>"),
        (("cacert=", FileOf(given="env:CA")), "cacert=<path of env:CA>"),
    ],
)
def test_late_values_are_shown_in_angle_brackets(word: Word, shown: str) -> None:
    """As `plan` prints them."""
    assert shown == render_word(word)


@given(WORDS)
def test_a_word_is_its_literals_and_its_late_values(word: Word) -> None:
    """Nothing is lost between the two."""
    parts = (word,) if isinstance(word, str) else word
    assert tuple(part for part in parts if not isinstance(part, str)) == late_values(word)
    assert "".join(map(str, parts)) == render_word(word)


@given(WORDS)
def test_a_word_survives_json(word: Word) -> None:
    """It is part of what a run id is made from, and of plans that are saved."""
    assert word == msgspec.json.decode(msgspec.json.encode(word), type=Word)


@pytest.mark.parametrize(
    ("outcome", "succeeded"),
    [
        (Outcome(exit_code=0), True),
        (Outcome(exit_code=1), False),
        (Outcome(exit_code=0, timed_out=True), False),
        (Outcome(exit_code=-1, signal=9), False),
    ],
)
def test_an_outcome_succeeded_or_not(outcome: Outcome, *, succeeded: bool) -> None:
    """It ended by itself, with 0."""
    assert succeeded == outcome.succeeded


def test_an_outcome_has_the_files_that_the_child_wrote() -> None:
    """And None for those that it did not."""
    outcome = Outcome(exit_code=0, files=(("a", b"1"),))
    assert (b"1", None) == (outcome.file("a"), outcome.file("b"))


MODULES = (backend, events, invocation, solve)
VALUES = [
    value
    for module in MODULES
    for _, value in inspect.getmembers(module, inspect.isclass)
    if issubclass(value, Model) and value.__module__ == module.__name__
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: value.__name__)
def test_values_of_the_api_are_frozen_and_described(value: type[Model]) -> None:
    """No live object crosses the border, and fields are given by name, so that a new one breaks nobody."""
    assert value.__struct_config__.frozen
    assert value.__doc__
    parameters = inspect.signature(value).parameters.values()
    assert all(parameter.kind is inspect.Parameter.KEYWORD_ONLY for parameter in parameters)


def test_capabilities_are_off_unless_said() -> None:
    """A new one breaks nobody."""
    assert all(not value or value == 1 for value in msgspec.to_builtins(Capabilities()).values())


def test_everything_that_is_offered_is_there() -> None:
    """Sorted by nothing but what `__all__` says, each name once."""
    assert len(set(api.__all__)) == len(api.__all__)
    assert all(hasattr(api, name) for name in api.__all__)


def test_every_event_has_a_tag_of_its_own() -> None:
    """So that a stream of them can be read back."""
    tags = [event.__struct_config__.tag for event in get_args(Event)]
    assert len(set(tags)) == len(tags)
    assert set(get_args(ReaderEvent)) <= set(get_args(Event))


def test_the_hook_is_called_with_a_registry() -> None:
    """A plugin may take it, and no more arguments than there are."""
    manager = pluggy.PluginManager("orchestrator")
    manager.add_hookspecs(hookspecs)
    seen: list[object] = []

    class Plugin:
        @hookspecs.hookimpl
        def orchestrator_backends(self, registry: object) -> None:
            seen.append(registry)

    manager.register(Plugin())
    manager.check_pending()
    manager.hook.orchestrator_backends(registry="r")
    assert ["r"] == seen
    assert hookspecs.orchestrator_backends("anything") is None  # type: ignore[arg-type]  # a spec does nothing


def test_a_spec_without_a_check_has_no_problems() -> None:
    """Its types say everything."""
    spec = BackendSpec(name="x", summary="s", factory=lambda config: pytest.fail(str(config)), config=Table)
    assert () == tuple(spec.check(Table()))
