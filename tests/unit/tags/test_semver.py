from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.tags.semver import MAX_LENGTH, SemVer, find_semver, parse_semver

# From https://semver.org, section 11, and the list of its regular expression's test page.
ASCENDING = (
    "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1",
    "1.0.0", "2.0.0", "2.1.0", "2.1.1",
)  # fmt: skip
VALID = (
    "0.0.4", "10.20.30", "1.1.2-prerelease+meta", "1.1.2+meta", "1.0.0-alpha0.valid", "1.0.0-rc.1+build.123",
    "1.0.0-0A.is.legal", "2.0.0+build.1848", "1.2.3----RC-SNAPSHOT.12.9.1--.12+788",
    "1.0.0+0.build.1-rc.10000aaa-kk-0.1",
    "99999999999999999999999.999999999999999999.99999999999999999",
)  # fmt: skip
INVALID = (
    "1", "1.2", "1.2.3-0123", "1.2.3-0123.0123", "1.1.2+.123", "+invalid", "-1.0.3", "v1.2.3", "01.1.1", "1.01.1",
    "1.2.3.DEV", "1.2-SNAPSHOT", "1.2.3-", "1.2.3+", "1.2.3-a..b", "1.2.3 ", "1.2.3\n", "", "1.2.3-é",
    "\u0661.\u0662.\u0663", "1.0.0-" + "a" * MAX_LENGTH,
)  # fmt: skip

identifiers = st.one_of(
    st.integers(0, 20).map(str), st.text("ab-0", min_size=1, max_size=3).filter(lambda part: not part.isdecimal())
)
versions = st.builds(
    SemVer,
    major=st.integers(0, 3),
    minor=st.integers(0, 3),
    patch=st.integers(0, 3),
    prerelease=st.lists(identifiers, max_size=3).map(".".join),
    build=st.lists(identifiers, max_size=2).map(".".join),
)


def test_the_order_is_that_of_the_specification() -> None:
    """The chain of examples in section 11 is ascending."""
    shuffled = ASCENDING[5:] + ASCENDING[:5]

    assert list(ASCENDING) == sorted(shuffled, key=lambda text: parse_semver(text).precedence)


@pytest.mark.parametrize("text", VALID)
def test_what_the_specification_allows_is_parsed(text: str) -> None:
    """A version prints as it was written."""
    assert text == str(parse_semver(text))


@pytest.mark.parametrize("text", INVALID)
def test_what_the_specification_forbids_is_refused(text: str) -> None:
    """A leading `v` is no part of a version either."""
    assert find_semver(text) is None


@given(versions)
def test_printing_and_parsing_are_inverse(version: SemVer) -> None:
    """A version survives being written."""
    assert version == parse_semver(str(version))


@given(versions, versions, versions)
def test_precedence_is_a_total_order_that_ignores_build_metadata(first: SemVer, second: SemVer, third: SemVer) -> None:
    """Any two versions compare, transitively, and build metadata does not count."""
    low, middle, high = sorted((first, second, third), key=lambda version: version.precedence)

    assert low.precedence <= middle.precedence <= high.precedence
    assert low.precedence <= high.precedence
    same = SemVer(major=low.major, minor=low.minor, patch=low.patch, prerelease=low.prerelease, build="x")
    assert low.precedence == same.precedence


@given(versions)
def test_a_pre_release_is_lower_than_its_release(version: SemVer) -> None:
    """Whatever its identifiers are."""
    release = SemVer(major=version.major, minor=version.minor, patch=version.patch)

    assert bool(version.prerelease) is (version.precedence < release.precedence)
