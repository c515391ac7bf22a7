from __future__ import annotations

import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.dockerfile.ignore import (
    MAX_PLACES,
    Fate,
    IgnoreError,
    IgnoreRules,
    IgnoreScope,
    _Compiled,
    _Met,
    ignore_candidates,
    parse_ignore,
)


def read(*lines: str) -> list[tuple[str, bool, int]]:
    """The patterns of a file, each with whether it is negated and its line."""
    rules = parse_ignore("\n".join(lines))
    return [(pattern.text, pattern.negated, pattern.line) for pattern in rules.patterns]


def scope_of(rules: IgnoreRules, path: str) -> IgnoreScope:
    """The rules as they are for a folder."""
    scope = rules.top
    for name in path.split("/"):
        scope = scope.enter(name.encode())
    return scope


def test_comments_and_blank_lines_are_no_patterns() -> None:
    """A comment begins at the very beginning of a line."""
    assert [("# c", False, 4), ("d", False, 5)] == read("# a", "", "  \t", " # c", "d")


def test_only_the_first_line_may_have_a_byte_order_mark() -> None:
    """Elsewhere it is a letter."""
    assert [("a", False, 1), ("\ufeffb", False, 2)] == read("\ufeffa", "\ufeffb")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("  a \r", "a"),
        ("/a/b/", "a/b"),
        ("//a", "a"),
        ("./a//b/.", "a/b"),
        ("a/../b", "b"),
        ("../a", "../a"),
        ("/", "/"),
        (".", "."),
        ("/ a", "a"),
        ("**/../a", "a"),
        ("\x1ca", "\x1ca"),
        ("\u3000a\x85", "a"),
    ],
)
def test_lines_are_trimmed_and_cleaned(line: str, expected: str) -> None:
    """As Go's `strings.TrimSpace` and `filepath.Clean` do it."""
    assert [(expected, False, 1)] == read(line)


@pytest.mark.parametrize(
    ("line", "expected"), [("!a", "a"), ("  ! /a/ ", "a"), ("!!a", "!a"), ("!/ a", " a"), ("!./a", "a"), ("!.", ".")]
)
def test_an_exclamation_mark_brings_back(line: str, expected: str) -> None:
    """What follows is cleaned on its own."""
    assert [(expected, True, 1)] == read(line)


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("a", "a", True),
        ("a", "a/b", True),
        ("a", "b/a", False),
        ("a", "ab", False),
        ("*", "a/b", True),
        ("*/b", "b", False),
        ("a?c", "a/c", False),
        ("a[^b]c", "a/c", True),
        ("**/a", "a", True),
        ("**/a", "b/c/a", True),
        ("**/a", "b/ca", False),
        ("**a", "b/ca", True),
        ("**a*", "b/ca", False),
        ("a/**", "a", False),
        ("a/**", "a/b", True),
        ("a**", "abc/d", True),
        ("a/**/b", "a/b", True),
        ("a/**/b", "a/c/d/b", True),
        ("a/**/b", "acb", False),
        ("**", "a/b", True),
        ("a|b", "a|b", True),
        ("a|b*", "ax", True),
        ("a|b*", "xb", True),
        ("a{2}", "a{2}", True),
        ("a{2}*", "aa", True),
        ("a{2}*", "a", False),
        ("a{1,2}x*", "aax", True),
        ("a{1,}x*", "aaaax", True),
        ("a{02}*", "a{02}", True),
        ("a{,2}*", "a{,2}", True),
        ("{0}a*", "xa", True),
        ("^a*", "a", True),
        ("a^b*", "a^b", False),
        ("\\d", "7", True),
        ("\\D", "7", False),
        ("\\Aa*", "a", True),
        ("a*\\zb", "ab", False),
        ("a*\\", "a$", True),
        ("[[:^alpha:]]", "a", False),
        ("[\\d-x]", "-", True),
        ("[^\\W]", "_", True),
        ("\\t*", "\tx", True),
        ("a[*]", "a*", False),
        ("*", "line\nbreak", True),
        ("**/*", "a\nb/c", True),
        ("a/**/b*", "a/\n/b", False),
        ("*a/**", "xa/b", True),
        ("*a/**", "xa", False),
        ("[a-c]", "b", True),
        ("[[:^ascii:]]", "é", True),
        ("[[:^ascii:]]", "e", False),
        ("***", "a", True),
    ],
)
def test_patterns_match_as_in_the_engine(pattern: str, path: str, expected: bool) -> None:  # noqa: FBT001  # a table
    """The corners that decide which files are in an image; `tests/integration` asks the engine itself."""
    assert expected == parse_ignore(pattern).excludes(path)


@pytest.mark.parametrize(
    ("lines", "path", "expected"),
    [
        (("*", "!a"), "a", Fate.KEPT),
        (("*", "!a", "a/b"), "a/c", Fate.KEPT),
        (("*", "!a", "a/b"), "a/b", Fate.EXCLUDED),
        (("!a", "*"), "a", Fate.EXCLUDED),
        (("a", "!a/b"), "a/b", Fate.KEPT),
        (("a", "!a/b"), "a/c", Fate.EXCLUDED),
        (("**/x", "!foo"), "foo/x", Fate.EXCLUDED),
        (("foo", "!foo/x", "**/foo"), "foo/x", Fate.EMPTIED),
    ],
)
def test_the_last_pattern_decides(lines: tuple[str, ...], path: str, expected: Fate) -> None:
    """Those that matched a folder count for what is in it, unless they were not tried on it."""
    assert expected == parse_ignore("\n".join(lines)).fate(path)


@pytest.mark.parametrize(
    "line", ["[", "[a", "a[]b]", "[a-]", "[-a]", "a\\", "*[", "!", "!/", "[z-a]", "*{2}", "a{1001}*", "a{3,2}*", "\\o",
             "\\b*", "\\é", "[[:x:]]", "b*[a", "[a-\\d]", "a|{2}*", "a{9999999999}*"]
)  # fmt: skip
def test_what_fails_the_build_is_refused_with_its_line(line: str) -> None:
    """And with what to do about it."""
    with pytest.raises(IgnoreError) as caught:
        parse_ignore(f"# first\n{line}\n")

    assert 2 == caught.value.line
    assert caught.value.hint


@pytest.mark.parametrize("line", ["b*[-a]", "b*[]a]", "**/x*[-a]"])
def test_a_mistake_behind_a_piece_that_does_not_match_a_dot_is_none(line: str) -> None:
    """The engine checks patterns by matching them with `.`, and its regular expressions take what is left."""
    assert [line] == [pattern.text for pattern in parse_ignore(line).patterns]


def test_lines_are_as_long_as_the_engine_reads() -> None:
    """A longer one fails the build."""
    assert 1 == len(read("a" * 65_535))
    with pytest.raises(IgnoreError, match="longer than the engine reads"):
        read("a", "b" * 65_536)


def test_patterns_are_bounded() -> None:
    """Repetitions count for what they are written out."""
    with pytest.raises(IgnoreError, match="more than 100,000 characters"):
        read(*["x{1000}*"] * (MAX_PLACES // 1000 + 1))


def test_rules_are_told_apart_by_their_patterns() -> None:
    """Not by comments and blanks."""
    assert parse_ignore("a\n\n!b").key == parse_ignore("# c\n/a/\n! b").key
    assert parse_ignore("a\n!b").key != parse_ignore("a\nb").key


def test_an_excluded_folder_is_settled_where_nothing_in_it_can_come_back() -> None:
    """Those need not be looked into."""
    rules = parse_ignore("node_modules\nbuild\n!build/keep\n!docs/**/x")

    assert Fate.EXCLUDED == scope_of(rules, "node_modules").settled
    assert Fate.EXCLUDED == scope_of(rules, "build/other").settled
    assert (True, None) == (scope_of(rules, "build").is_excluded, scope_of(rules, "build").settled)


def test_a_folder_of_which_no_pattern_speaks_is_settled() -> None:
    """All of it is part of the context."""
    rules = parse_ignore("a/b\nc*")

    assert Fate.KEPT == scope_of(rules, "src").settled
    assert scope_of(rules, "a").settled is None
    assert Fate.KEPT == parse_ignore("").top.settled


def test_a_folder_of_empty_files_is_settled() -> None:
    """No pattern speaks of what is in it, and content is refused for all of it."""
    assert Fate.EMPTIED == scope_of(parse_ignore("foo\n!foo/x\n*o"), "foo/x").settled
    assert scope_of(parse_ignore("foo\n!foo/x\n**/foo"), "foo/x").settled is None


def test_names_need_not_be_text() -> None:
    """A byte that is no UTF-8 is one letter, as in Go."""
    scope = parse_ignore("a?b\n**/*.o").top

    assert Fate.EXCLUDED == scope.fate(b"a\xffb")
    assert Fate.KEPT == scope.fate(b"a\xff\xffb")
    assert parse_ignore("a?b").excludes("a\udcffb")


def test_the_candidates_are_that_of_the_dockerfile_and_that_of_the_context() -> None:
    """In this order: the first that exists applies."""
    assert ("docker/Dockerfile.api.dockerignore", "services/api/.dockerignore") == ignore_candidates(
        "docker/Dockerfile.api", "services/api"
    )


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*a" * 200 + "b", False),
        ("**/a" * 100 + "/b", False),
        ("a{0,1}" * 500 + "a{500}*", False),
        ("[ab]*" * 200 + "c", False),
        ("?*" * 200 + "c", False),
        ("*|" * 99, True),
    ],
)
def test_hostile_patterns_take_no_longer_than_others(pattern: str, expected: bool) -> None:  # noqa: FBT001  # a table
    """Each of these would keep a matcher that backtracks busy for years."""
    rules = parse_ignore("\n".join([pattern] * 20))

    assert [expected] * 3 == [rules.excludes(path) for path in ("a" * 250, "/".join(["a" * 50] * 5), "ab" * 99)]


def by_regular_expression(pattern: str) -> re.Pattern[str]:
    """A plain pattern as a regular expression that backtracks, in the words of moby/patternmatcher."""
    if set(pattern) <= set("ab/"):
        return re.compile(re.escape(pattern))
    expression = re.sub(r"\*\*/?\Z", "\0", pattern)
    if "*" not in expression[:-1] and "?" not in expression and expression.endswith("\0"):
        return re.compile(re.escape(expression[:-1]) + r"(?s:.*)")
    if pattern.startswith("**") and set(pattern[2:]) <= set("ab/"):
        end = re.escape(pattern[2:])
        return re.compile(rf"(?s:.*){end}" + (rf"|{end[1:]}" if end.startswith("/") else ""))
    for wildcard, meaning in (
        ("**/", "\1"),
        ("**", "\1"),
        ("*", "[^/]*"),
        ("?", "[^/]"),
        ("\1", "(.*/)?"),
        ("\0", ".*"),
    ):
        expression = expression.replace(wildcard, meaning)
    return re.compile(expression)


def naive_fate(patterns: list[tuple[str, bool]], path: str) -> bool:
    """Whether a file is excluded, decided as the engine's walk does: pattern by pattern, folder by folder."""
    counted = [False] * len(patterns)
    excluded = False
    parts = path.split("/")
    for depth in range(1, len(parts) + 1):
        excluded = False
        for number, (pattern, negated) in enumerate(patterns):
            if not counted[number]:
                if negated != excluded:
                    continue
                here = "/".join(parts[:depth])
                counted[number] = by_regular_expression(pattern).fullmatch(here) is not None
            if counted[number]:
                excluded = not negated
    return excluded


plain_patterns = st.text("ab/*?", min_size=1, max_size=6).map(
    lambda text: re.sub(r"/+", "/", re.sub(r"\*{2,}", "**", text)).strip("/") or "a"
)


@given(
    st.lists(st.tuples(plain_patterns, st.booleans()), min_size=1, max_size=4),
    st.text("ab/", min_size=1, max_size=7).map(lambda text: re.sub(r"/+", "/", text).strip("/") or "a"),
)
def test_rules_decide_as_the_engine_written_down_plainly(patterns: list[tuple[str, bool]], path: str) -> None:
    """The automaton and its shortcuts change nothing about what is excluded."""
    rules = parse_ignore("\n".join("!" * negated + text for text, negated in patterns))

    assert naive_fate(patterns, path) == rules.excludes(path)


@given(
    st.lists(st.tuples(plain_patterns, st.booleans()), max_size=4),
    st.text("ab/", min_size=1, max_size=7).map(lambda text: re.sub(r"/+", "/", text).strip("/") or "a"),
)
def test_what_is_not_remembered_is_found_out_again(patterns: list[tuple[str, bool]], path: str) -> None:
    """Memory is bounded, and changes nothing but the time."""
    rules = parse_ignore("\n".join("!" * negated + text for text, negated in patterns))
    scope = IgnoreScope(_Compiled(rules.patterns, memory=0), _Met(), None)
    *folders, name = path.encode().split(b"/")
    for folder in folders:
        scope = scope.enter(folder)

    assert rules.fate(path) == scope.fate(name)


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    """And what was read can be asked."""
    with suppress(IgnoreError):
        assert parse_ignore(text).fate("a/b.c") in Fate
