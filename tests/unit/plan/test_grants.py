from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import UsageError
from orchestrator.plan.grants import Grants, parse_grants


@pytest.mark.parametrize(
    ("path", "depth", "readable"),
    [
        ("a/b", 0, True),
        (".", 0, True),
        ("..", 0, False),
        ("../x", 1, True),
        ("../../x", 1, False),
        ("..x", 0, True),
        ("/etc", 3, False),
        ("/data", 0, True),
        ("/data/x", 0, True),
        ("/database", 0, False),
    ],
)
def test_paths_inside_and_granted_ones_may_be_read(path: str, depth: int, *, readable: bool) -> None:
    """As many folders up as the root file is below the repository, and no more."""
    assert readable == parse_grants(("read=/data/",), depth=depth).reads(path)


@pytest.mark.parametrize(
    ("grant", "path", "covered"),
    [
        ("..", "..", True),
        ("..", "../x", True),
        ("..", "../..", False),
        ("..", "../../x", False),
        ("../..", "../x", False),
        ("../lib", "../lib/x", True),
        ("../lib", "../library", False),
        ("/srv/lib", "../lib", False),
        ("/", "/etc", True),
        (".", "x", False),
    ],
)
def test_a_grant_holds_for_what_lies_below_it(grant: str, path: str, *, covered: bool) -> None:
    """Both are written from the root file's folder, or both from the root of the disk; `..` is not below `..`."""
    assert covered == parse_grants((f"read={grant}",), depth=0).covers(path)


@given(st.lists(st.sampled_from([".", "..", "a", "b"]), min_size=1, max_size=6).map("/".join))
def test_no_relative_path_leads_out_unseen(path: str) -> None:
    """A path is inside exactly where its normal form does not climb."""
    import posixpath  # noqa: PLC0415 (an independent judge)

    normal = posixpath.normpath(path)
    assert (not normal.startswith("..")) == Grants().reads(normal)


@pytest.mark.parametrize("text", ["", "read", "read=", "network", "write=/x", "network.host=1"])
def test_an_unknown_grant_is_an_error_that_names_the_known_ones(text: str) -> None:
    """A typo in a grant must not look like a refusal later."""
    with pytest.raises(UsageError, match="unknown grant") as caught:
        parse_grants((text,), depth=0)
    assert "--allow read=PATH" in caught.value.hints[0]


def test_grants_are_told_apart() -> None:
    """Entitlements by name, folders normalised."""
    grants = parse_grants(("network.host", "read=/a/../b"), depth=2)
    assert Grants(entitlements=frozenset({"network.host"}), folders=("/b",), depth=2) == grants
