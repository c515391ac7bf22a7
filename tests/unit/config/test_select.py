"""Selections of the command line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.config.select import parse_platform_options, select
from orchestrator.errors import UsageError

IMAGES = ("base", "db-slim15", "db-full16", "api", "worker")
FAMILIES = {"db": ("db-slim15", "db-full16")}
GROUPS = {"data": ("db*",), "all": ("data", "api", "worker"), "nothing": ()}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ((), IMAGES),
        (("*",), IMAGES),
        (("worker", "base", "worker"), ("base", "worker")),
        (("db-*16",), ("db-full16",)),
        (("db",), ("db-slim15", "db-full16")),
        (("d?",), ("db-slim15", "db-full16")),
        (("data",), ("db-slim15", "db-full16")),
        (("all",), ("db-slim15", "db-full16", "api", "worker")),
        (("[ab]*",), ("base", "api")),
    ],
)
def test_images_are_selected_in_declaration_order(names: tuple[str, ...], expected: tuple[str, ...]) -> None:
    """By name, glob, family and group, each once."""
    assert (expected, ()) == select(names, IMAGES, FAMILIES, GROUPS)


def test_a_bare_command_takes_the_group_default() -> None:
    """Where there is one."""
    assert select((), IMAGES, FAMILIES, {"default": ("api",)}) == (("api",), ())


@pytest.mark.parametrize(
    ("name", "code", "hint"),
    [
        ("wroker", "unknown-image", "did you mean `worker`?"),
        ("al", "unknown-image", "did you mean `all`?"),
        ("api@linux/arm64", "unknown-image", "select `api` and its platform with `--platform`"),
        ("x*", "empty-glob", "known: `base`, `db-slim15`, `db-full16`, `api`, `worker` and 4 more"),
        ("dat*", "empty-glob", "a glob matches images: name the group `data` itself"),
        ("nothing", "empty-selection", "name images, or `'*'` for all"),
    ],
)
def test_what_selects_nothing_is_an_error_with_a_hint(name: str, code: str, hint: str) -> None:
    """The rest of the selection stands."""
    selected, (diagnostic,) = select((name, "api"), IMAGES, FAMILIES, GROUPS)
    assert (("api",), code, (hint,)) == (selected, diagnostic.code, diagnostic.hints)


def test_a_circle_of_groups_ends_and_is_an_error() -> None:
    """What is in it is selected all the same."""
    selected, (diagnostic,) = select(("a",), ("x",), {}, {"a": ("b",), "b": ("a", "x")})
    assert (selected, diagnostic.code) == (("x",), "group-cycle")


@given(st.lists(st.sampled_from([*IMAGES, *FAMILIES, *GROUPS, "*", "d*"]), min_size=1))
def test_the_order_and_repetition_of_names_do_not_matter(names: list[str]) -> None:
    """A selection is a set."""
    assert (
        select(tuple(names), IMAGES, FAMILIES, GROUPS)[0]
        == select(tuple(sorted(set(names))), IMAGES, FAMILIES, GROUPS)[0]
    )


def test_platforms_are_repeated_or_separated_by_commas() -> None:
    """Each once, normalised, as first given."""
    platforms = parse_platform_options(("linux/arm64/v8, linux/amd64", "linux/arm64"))
    assert [str(platform) for platform in platforms] == ["linux/arm64", "linux/amd64"]


@pytest.mark.parametrize("text", ["", "linux", "linux/amd64,", "linux/amd46"])
def test_what_is_no_platform_is_a_usage_error(text: str) -> None:
    """With the way to write it."""
    with pytest.raises(UsageError) as caught:
        parse_platform_options((text,))
    assert caught.value.hints == ("write it as `--platform linux/amd64,linux/arm64`",)
