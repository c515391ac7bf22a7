from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.tags.errors import Absent, TemplateError
from orchestrator.tags.facts import Described, GitFacts, NoGit
from orchestrator.tags.render import Renderer
from orchestrator.tags.tagnames import highest_tag, literal_prefix, version_of
from orchestrator.tags.values import Version
from orchestrator.tags.version import (
    VersionFacts,
    VersionRule,
    match_of,
    needed_environment,
    needed_files,
    needed_matches,
    parse_rule,
    resolve_version,
)
from tests.unit.tags.facts_for_tags import BETWEEN, GIT, SHA, VALUES

EXAMPLE = "{{ next_patch }}-dev.{{ distance }}.{{ git.short_sha }}"
FILES = {
    "VERSION": "1.2.3\n",
    "EMPTY": " \n",
    "LONG": "x" * 200,
    "LINES": "1.2.3\n1.2.4\n",
    "HUGE": "x" * (1024 * 1024 + 1),
    "GONE": None,
    "pyproject.toml": '[project]\nversion = "3.1.4"\nname = 5\n',
    "package.json": '{"version": "2.0.0", "a": {"b": " 7 "}}',
    "broken.toml": "= =",
    "broken.json": "{",
    "deep.json": "[" * 100_000,
    "deep.toml": "a = " + "[" * 100_000,
}


def _resolve(
    rule: VersionRule | None, git: GitFacts | NoGit = GIT, environment: dict[str, str] | None = None
) -> Version | Absent:
    facts = VersionFacts(git=git, environment=environment or {}, files=FILES)
    return resolve_version(rule, facts, renderer=Renderer(), values=VALUES)


def _reason(rule: VersionRule | None, git: GitFacts | NoGit = GIT) -> str:
    """Why there is no version; there is a hint too."""
    result = _resolve(rule, git)
    assert isinstance(result, Absent)
    assert result.hints
    return result.reason


def test_a_rule_is_read_from_a_table() -> None:
    """Each source has its argument, and a git tag without `match` means `v*`."""
    assert VersionRule(kind="literal", argument="1.2") == parse_rule(value="1.2")
    assert VersionRule(kind="git-tag", argument="v*", fallback="x") == parse_rule(source="git-tag", fallback="x")
    assert VersionRule(kind="env", argument="V") == parse_rule(source="env:V")
    assert VersionRule(kind="file", argument="a.toml", key="b.c") == parse_rule(source="file:a.toml#b.c")


@pytest.mark.parametrize(
    "table",
    [
        {}, {"source": "git-tag", "value": "1"}, {"source": "git-tags"}, {"source": "env:"}, {"source": "env:A-B"},
        {"source": "file:"}, {"source": "file:#x"}, {"value": "1", "match": "v*"}, {"source": "env:A", "match": "v*"},
    ],
)  # fmt: skip
def test_a_table_that_makes_no_sense_is_an_error(table: dict[str, str]) -> None:
    """The hint names the sources, or what to leave out."""
    with pytest.raises(TemplateError) as caught:
        parse_rule(**table)
    assert caught.value.hints


def test_a_rule_says_what_has_to_be_read() -> None:
    """The probe reads these and nothing else."""
    tag, variable, file = (
        parse_rule(source="git-tag", match="api-v*"),
        parse_rule(source="env:V"),
        parse_rule(source="file:V#a"),
    )

    assert (needed_matches(tag), needed_files(tag), needed_environment(tag)) == (("api-v*",), (), ())
    assert (needed_matches(file), needed_files(file), needed_environment(file)) == ((), ("V",), ())
    assert (needed_matches(variable), needed_files(variable), needed_environment(variable)) == ((), (), ("V",))
    assert (match_of(tag), match_of(file), match_of(None)) == ("api-v*", "", "")


@pytest.mark.parametrize(
    ("match", "prefix"),
    [
        ("v*", "v"),
        ("api-v*", "api-v"),
        ("v1.*", "v"),
        ("api2-v1.2.*", "api2-v"),
        ("v[0-9]*", "v"),
        ("*", ""),
        ("v1.0", ""),
    ],
)
def test_the_literal_prefix_of_a_glob_is_no_version(match: str, prefix: str) -> None:
    """Digits and dots at its end belong to the version."""
    assert prefix == literal_prefix(match)


@pytest.mark.parametrize(
    ("tags", "match", "expected"),
    [
        (("v1.9.0", "v1.10.0", "v1.10.0-rc.1"), "v*", "v1.10.0"),
        (("v1.0.0", "vnext"), "v*", "v1.0.0"),
        (("vnext", "vlast"), "v*", "vnext"),
        (("api-v1.0.0", "v2.0.0"), "api-v*", "api-v1.0.0"),
        (("v1.0.0",), "api-v*", None),
        (("team/v1.0.0",), "team/v*", "team/v1.0.0"),
        (("v1.5.0", "v2.0.0"), "v1.*", "v1.5.0"),
    ],
)
def test_the_highest_tag_is_that_of_semver(tags: tuple[str, ...], match: str, expected: str | None) -> None:
    """Not the newest and not the longest; what is no semantic version is below all that are."""
    assert expected == highest_tag(tags, match)


@given(st.permutations(["v1.0.0", "v1.0.0+a", "v1.0.0-rc.1", "v0.9.9", "vx", "vy"]))
def test_the_highest_tag_does_not_depend_on_the_order(tags: list[str]) -> None:
    """Git's order of tags decides nothing."""
    assert highest_tag(tags, "v*") == "v1.0.0+a"


def test_the_version_is_the_tag_less_its_prefix() -> None:
    """`v1.2.3` under `v*` is `1.2.3`."""
    assert version_of("v1.2.3", "v*") == "1.2.3"
    assert Version(text="1.2.3", tag="v1.2.3") == _resolve(parse_rule(source="git-tag", fallback=EXAMPLE))


def test_a_commit_after_a_release_gets_the_fallback() -> None:
    """The next patch, the distance and the commit, as in the example."""
    expected = Version(text=f"1.2.4-dev.4.{SHA[:12]}")

    assert expected == _resolve(parse_rule(source="git-tag", match="v*", fallback=EXAMPLE), BETWEEN)


def test_a_repository_without_tags_starts_at_the_first_patch() -> None:
    """`0.0.1`, and the distance counts from the beginning."""
    git = msgspec.structs.replace(BETWEEN, described=(Described(match="v*", tag=None, distance=9),))

    assert Version(text=f"0.0.1-dev.9.{SHA[:12]}") == _resolve(parse_rule(source="git-tag", fallback=EXAMPLE), git)


def test_a_commit_without_a_tag_and_a_fallback_has_no_version() -> None:
    """The hint is to tag it, or to say what else."""
    assert "none that matches `v*`" in _reason(parse_rule(source="git-tag"), BETWEEN)


@pytest.mark.parametrize("fallback", [None, EXAMPLE, "0.0.0"])
def test_a_shallow_clone_without_the_tag_is_no_source(fallback: str | None) -> None:
    """The tag may be there and not fetched, so no fallback is taken."""
    rule = parse_rule(source="git-tag", fallback=fallback)
    result = _resolve(rule, msgspec.structs.replace(BETWEEN, shallow=True))

    assert isinstance(result, Absent)
    assert "shallow clone" in result.reason
    assert ("git fetch --unshallow --tags" in result.hints[0], "fetch-depth: 0" in result.hints[1]) == (True, True)


def test_a_shallow_clone_with_the_tag_is_enough() -> None:
    """A release job needs no history."""
    git = msgspec.structs.replace(GIT, shallow=True)

    assert Version(text="1.2.3", tag="v1.2.3") == _resolve(parse_rule(source="git-tag"), git)


def test_outside_a_repository_only_git_is_missing() -> None:
    """A fallback that does without git is taken."""
    git = NoGit(reason="this is no git repository")

    assert "this is no git repository" in _reason(parse_rule(source="git-tag"), git)
    assert "this is no git repository" in _reason(parse_rule(source="git-tag", fallback=EXAMPLE), git)
    assert Version(text="0.0.0-local") == _resolve(parse_rule(source="git-tag", fallback="0.0.0-local"), git)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (parse_rule(value="1.2"), "1.2"),
        (parse_rule(source="env:V"), "5.0"),
        (parse_rule(source="file:VERSION"), "1.2.3"),
        (parse_rule(source="file:pyproject.toml#project.version"), "3.1.4"),
        (parse_rule(source="file:package.json#version"), "2.0.0"),
        (parse_rule(source="file:package.json#a.b"), "7"),
        (parse_rule(source="file:GONE", fallback="{{ vars.go }}-{{ git.short_sha }}"), f"1.23-{SHA[:12]}"),
        (parse_rule(source="env:GONE", fallback="0"), "0"),
    ],
)
def test_a_version_comes_from_its_source(rule: VersionRule, expected: str) -> None:
    """Literals, variables, files and their keys."""
    assert Version(text=expected) == _resolve(rule, environment={"V": " 5.0 "})


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        (None, "no version is configured"),
        (parse_rule(source="env:GONE"), "`GONE`, which is not set"),
        (parse_rule(source="file:GONE"), "`GONE`, which cannot be read"),
        (parse_rule(source="file:NEVER"), "`NEVER`, which cannot be read"),
        (parse_rule(source="file:EMPTY"), "is empty"),
        (parse_rule(source="file:LONG"), "is no version"),
        (parse_rule(source="file:LINES"), "is no version"),
        (parse_rule(source="file:HUGE"), "too large"),
        (parse_rule(source="file:pyproject.toml#project.name"), "no text under `project.name`"),
        (parse_rule(source="file:pyproject.toml#project.version.x"), "no text under"),
        (parse_rule(source="file:broken.toml#x"), "cannot be read as TOML"),
        (parse_rule(source="file:broken.json#x"), "cannot be read as JSON"),
        (parse_rule(source="file:deep.toml#x"), "cannot be read as TOML"),
        (parse_rule(source="file:deep.json#x"), "cannot be read as JSON"),
        (parse_rule(source="env:GONE", fallback="{{ version }}"), "cannot be used in its own `fallback`"),
        (parse_rule(source="env:GONE", fallback="{{ next_patch }}"), "count from a git tag"),
        (parse_rule(source="env:GONE", fallback="{{ nope }}"), "there is no `nope`"),
        (parse_rule(source="env:GONE", fallback=" "), "is no version"),
    ],
)
def test_a_source_without_a_version_says_why(rule: VersionRule | None, reason: str) -> None:
    """Every absence has a reason and a hint."""
    assert reason in _reason(rule)


def test_a_last_tag_that_is_not_semantic_has_no_next_patch() -> None:
    """A fallback may still use the distance."""
    git = msgspec.structs.replace(BETWEEN, described=(Described(match="v*", tag="vnext", distance=2),))

    assert "needs a semantic version" in _reason(parse_rule(source="git-tag", fallback="{{ next_patch }}"), git)
    assert Version(text="0-2") == _resolve(parse_rule(source="git-tag", fallback="0-{{ distance }}"), git)
