from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.dockerfile.ignore import parse_ignore
from orchestrator.dockerfile.takes import WHOLE, Paths
from orchestrator.plan.changes import ChangeFinder, Changes, FolderView, Location, Seen, View, shown_path

LINKS = {"c/link": "lib", "c/abs": "/lib/x"}


def see(changes: Changes, paths: Paths | None = WHOLE, ignore: str = "", folder: str = "c") -> Seen:
    """What is seen of a folder."""
    view = FolderView(location=Location(path=folder), rules=parse_ignore(ignore), paths=paths)
    return ChangeFinder(changes).find((View(folders=(view,)),))


@pytest.mark.parametrize(
    ("paths", "changed", "expected"),
    [
        (WHOLE, "c/a", True),
        (None, "c/a/b", True),
        (WHOLE, "c", True),
        (WHOLE, "cc/a", False),
        (WHOLE, "c0", False),
        (WHOLE, "b/c/a", False),
        (("a",), "c/a", True),
        (("a",), "c/a/b/c", True),
        (("a",), "c/ab", False),
        (("a/b",), "c/a", False),
        (("*.txt",), "c/x.txt", True),
        (("*.txt",), "c/x/y.txt", False),
        (("s*/x",), "c/src/x/deep", True),
        ((), "c/a", False),
        (("link/x",), "c/lib/x", True),
        (("link",), "c/lib/deep/y", True),
        (("abs",), "c/lib/x/y", True),
        (("abs",), "c/lib/y", False),
        (("[",), "c/a", True),
    ],
)
def test_what_a_pattern_takes(paths: Paths | None, changed: str, expected: bool) -> None:  # noqa: FBT001 (a table)
    """As `COPY` takes it, links followed; where it cannot be read, everything."""
    assert expected == bool(see(Changes(paths=frozenset({changed}), links=LINKS), paths).changed)


@pytest.mark.parametrize(("paths", "expected"), [(("link/x",), True), (("link",), True), (("lib",), False)])
def test_a_link_that_changed_is_seen(paths: Paths, expected: bool) -> None:  # noqa: FBT001 (a table)
    """By whoever goes through it, wherever it led before."""
    assert expected == bool(see(Changes(paths=frozenset({"c/link"}), links={"c/link": "elsewhere"}), paths).changed)


def test_a_file_that_became_a_folder_is_seen() -> None:
    """Both of them."""
    assert ("c/a", "c/a/b") == see(Changes(paths=frozenset({"c/a", "c/a/b"})), ("a",)).changed


@pytest.mark.parametrize(
    ("ignore", "changed", "expected"),
    [
        ("*.md", "c/a.md", False),
        ("*.md\n!a.md", "c/a.md", True),
        ("docs", "c/docs/a", False),
        ("docs", "docs/a", False),
    ],
)
def test_what_is_ignored_does_not_count(ignore: str, changed: str, expected: bool) -> None:  # noqa: FBT001 (a table)
    """As the engine reads `.dockerignore`."""
    assert expected == bool(see(Changes(paths=frozenset({changed})), ignore=ignore).changed)


def test_an_ignored_link_leads_nowhere() -> None:
    """It does not reach the build."""
    changes = Changes(paths=frozenset({"c/lib/x"}), links=LINKS)
    assert Seen() == see(changes, ("link/x",), "link")


@pytest.mark.parametrize(
    ("paths", "ignore", "expected"),
    [
        (WHOLE, "", True),
        (WHOLE, "sub", False),
        (WHOLE, "*\n!sub/x", True),
        (("sub/a/b",), "", True),
        (("sub",), "", True),
        (("s*",), "", True),
        (("src",), "", False),
        (("sub2",), "", False),
    ],
)
def test_a_tree_counts_where_anything_in_it_may(paths: Paths, ignore: str, expected: bool) -> None:  # noqa: FBT001 (a table)
    """What changed in a submodule is not known."""
    assert expected == bool(see(Changes(trees=frozenset({"c/sub"})), paths, ignore).changed)


def test_a_link_may_lead_into_a_tree() -> None:
    """Then nothing is proven."""
    assert ("c/sub",) == see(Changes(trees=frozenset({"c/sub"}), links=LINKS), ("src",)).changed


def test_a_folder_within_a_tree_is_touched() -> None:
    """All of it may have changed."""
    assert ("c",) == see(Changes(trees=frozenset({"c"})), ("a",), folder="c/d/e").changed


def test_the_top_folder_holds_everything() -> None:
    """Its path is empty."""
    assert ("a", "b/c") == see(Changes(paths=frozenset({"a", "b/c"})), folder="").changed


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        (Location(path="d/Dockerfile"), True),
        (Location(path="d/Dockerfile/x"), False),
        (Location(path="x", via=("y", "d/Dockerfile")), True),
        (Location(path="sub/Dockerfile"), True),
        (Location(path="x", via=("sub/link",)), True),
        (Location(path="d"), False),
    ],
)
def test_a_single_file(location: Location, expected: bool) -> None:  # noqa: FBT001 (a table)
    """Itself, the links to it, and submodules that these are in."""
    finder = ChangeFinder(Changes(paths=frozenset({"d/Dockerfile"}), trees=frozenset({"sub"})))
    assert expected == bool(finder.find((View(files=(location,)),)).changed)


def test_what_nobody_knows_is_told_apart() -> None:
    """What git ignores, and what lies outside of the repository."""
    changes = Changes(paths=frozenset({"c/a"}), hidden=frozenset({"c/b", "x"}))
    folder = FolderView(location=Location(path="c"), rules=parse_ignore(""), paths=WHOLE)
    outside = FolderView(location=Location(path=None), rules=parse_ignore(""), paths=WHOLE)
    view = View(files=(Location(path=None),), folders=(folder, outside), outside=("../y",))
    assert Seen(changed=("c/a",), unknown=("../y", "c/b")) == ChangeFinder(changes).find((view,))


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        (Location(path="c"), True),
        (Location(path="c/a"), True),
        (Location(path="d"), False),
        (Location(path=None), True),
        (Location(path="d", via=("c/a",)), True),
    ],
)
def test_whether_anything_is_touched(location: Location, expected: bool) -> None:  # noqa: FBT001 (a table)
    """A quick answer that is never too little."""
    assert expected == ChangeFinder(Changes(paths=frozenset({"c/a"}))).touches(location)


NAMES = st.sampled_from(["a", "b", "c.txt", "d"])
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)


@given(st.frozensets(PATHS), st.lists(PATHS, min_size=1, max_size=3).map(tuple), PATHS)
def test_more_changes_are_never_less_to_see(changed: frozenset[str], paths: tuple[str, ...], more: str) -> None:
    """And a pattern never takes more than there is."""
    before = see(Changes(paths=changed), paths, folder="").changed
    after = see(Changes(paths=changed | {more}), paths, folder="").changed
    assert set(before) <= set(after) <= changed | {more}
    assert {path for path in changed if any(path == one or path.startswith(f"{one}/") for one in paths)} == set(before)


def test_a_path_is_shown_whatever_its_bytes() -> None:
    """JSON takes no surrogates."""
    assert "a\\xffb" == shown_path("a\udcffb")
