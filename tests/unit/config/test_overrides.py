"""Checks of `unset` and `extend`."""

from __future__ import annotations

import pytest
from msgspec import UNSET

from orchestrator.config.overrides import check_overrides
from orchestrator.diagnostics import KeyPlace, Severity
from tests.unit.config.samples import only, parsed


def findings_of(text: str) -> list[tuple[str, tuple[str | int, ...], tuple[str, ...]]]:
    """Code, keys and hints of what is wrong with `unset` and `extend`."""
    found = check_overrides(parsed(text))
    return [(one.code, one.place.keys if isinstance(one.place, KeyPlace) else (), one.hints) for one in found]


@pytest.mark.parametrize(
    ("unset", "code", "hint"),
    [
        ("tagz", "unknown-key", "did you mean `tags`?"),
        ('on."linux/arm64".tags', "unknown-key", "`tags` is the same for all platforms: drop `tags`"),
        ("tags[0]", "unset-syntax", None),
        ("tags.", "unset-syntax", None),
        ('"\\q"', "unset-syntax", None),
        ("labels.org.acme.a", "unset-syntax", """quote a key that has dots in it: `'labels."org.acme.a"'`"""),
        ("test.run", "unset-syntax", "drop `test`, or quote a key that has dots in it"),
    ],
)
def test_what_unset_cannot_mean_is_an_error(unset: str, code: str, hint: str | None) -> None:
    """In templates and images, at its place."""
    (found,) = findings_of(f"templates.t.unset = ['target', '{unset}']")
    assert (code, ("templates", "t", "unset", 1)) == found[:2]
    assert found[2]
    assert hint in {None, *found[2]}


def test_unset_of_what_is_not_inherited_is_a_warning() -> None:
    """A label is easily misspelled."""
    project = parsed(
        """
        defaults = { target = 'x', labels.maintainer = 'x' }
        images.a.unset = ['labels.maintaner', 'labels.maintainer']
        """
    )
    (finding,) = check_overrides(project)
    assert (finding.code, finding.severity) == ("nothing-to-unset", Severity.WARNING)
    assert finding.hints == ("did you mean `labels.maintainer`?",)


def test_every_inherited_key_can_be_meant() -> None:
    """Those of overrides as well."""
    text = "defaults.on.'linux/arm64'.args.A = '1'\nimages.a.unset = ['on.\"linux/arm64/v8\".args.B', 'test']"
    (first, second) = findings_of(text)
    assert first[2] == ('did you mean `on."linux/arm64".args.A`?',)
    assert second[2] == ('known: `on."linux/arm64"`, `on."linux/arm64".args.A`',)


def test_a_key_that_is_none_drops_nothing() -> None:
    """It is reported, and the rest goes on."""
    project = parsed("defaults.target = 'x'\nimages.a.unset = ['target.', 'labels.a.b', 'target']")
    assert only(project).table.target is UNSET


def test_a_list_cannot_be_replaced_and_extended_at_once() -> None:
    """Only one of the two can be meant."""
    (found,) = findings_of("images.a = { tags = ['x'], extend.tags = ['y'], extend.needs = ['z'] }")
    assert found[:2] == ("conflicting-keys", ("images", "a", "extend", "tags"))
