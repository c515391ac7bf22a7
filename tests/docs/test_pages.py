"""Pages are run as they are written: every command does what the page says, and prints what the page shows."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Final

import pytest

from tests.docs.blocks import Command, is_executed, pages, read_blocks, shown
from tests.docs.running import REGISTRY, Ran, environment_of_reader, matches, run_page
from tests.lab import Lab

WITH_LAB: Final = frozenset(
    {
        "README.md",
        "docs/tutorial/index.md",
        "docs/how-to/backend-plugin.md",
        "docs/how-to/failures.md",
        "docs/how-to/lock-base-images.md",
        "docs/how-to/prune.md",
        "docs/how-to/reuse.md",
        "docs/how-to/saved-plans.md",
        "docs/how-to/tags.md",
        "docs/how-to/test-images.md",
        "docs/how-to/to-bake.md",
        "docs/how-to/verify.md",
        "docs/how-to/why.md",
    }
)
"""Pages that need an engine and a registry; the others ask nobody."""

EXECUTED: Final = [page for page in pages() if is_executed(page)]


def check(page: Path, ran: tuple[Ran, ...]) -> None:
    """Hold every command of a page against what it shows."""
    following: tuple[Ran | None, ...] = (*ran[1:], None)
    for done, after in zip(ran, following, strict=True):
        place = f"{shown(page)}:{done.command.line}: $ {done.command.text}"
        printed = "\n".join(done.lines)
        asked = after is not None and after.command.text == "echo $?"
        assert asked or done.code == 0, f"{place}\nended with {done.code}:\n{printed}"
        assert matches(done.command.output, done.lines), f"{place}\nprinted:\n{printed}"


@pytest.mark.parametrize("page", [page for page in EXECUTED if shown(page) not in WITH_LAB], ids=shown)
@pytest.mark.skipif(platform.machine() != "x86_64", reason="the pages show plans of an amd64 machine")
def test_page_without_an_engine(page: Path, tmp_path: Path) -> None:
    """A page that plans does so on any machine, without Docker."""
    ran = run_page(read_blocks(page), tmp_path, environment_of_reader(), REGISTRY)

    check(page, ran)


@pytest.mark.integration
@pytest.mark.parametrize("page", [page for page in EXECUTED if shown(page) in WITH_LAB], ids=shown)
def test_page_with_an_engine(page: Path, tmp_path: Path, lab: Lab) -> None:
    """A page that builds does so on a real engine; only its base image comes from the lab's registry."""
    base = f"{lab.registry.host}/library/busybox:stable"
    lab.push_base(base)
    environment = environment_of_reader(lab.environ) | {
        "ORCHESTRATE_SET": f'*.contexts."busybox:stable"="docker-image://{base}"'
    }

    ran = run_page(read_blocks(page), tmp_path, environment, lab.new_registry().host)

    check(page, ran)


def test_every_page_of_the_lab_is_run() -> None:
    """The list of pages names pages, and each of them has commands."""
    assert sorted(WITH_LAB) == sorted(shown(page) for page in EXECUTED if shown(page) in WITH_LAB)


def test_commands_show_their_output() -> None:
    """A line `...` is never all that is shown: it would match anything."""
    empty = [
        f"{shown(page)}:{block.line}"
        for page in EXECUTED
        for block in read_blocks(page)
        if isinstance(block, Command) and block.output and not set(block.output) - {"", "..."}
    ]

    assert [] == empty
