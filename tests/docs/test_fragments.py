"""What the pages show and no test runs is at least what it says it is: TOML, YAML, commands, links."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Final

import click
import pytest
import tomli
import yaml  # type: ignore[import-untyped]  # MyST brings it, its types are a package of their own

from orchestrator.cli import COMMANDS
from orchestrator.config.decode import decode
from orchestrator.diagnostics import has_errors
from tests.docs.blocks import Command, File, Fragment, Hidden, pages, read_blocks, shown

_INLINE: Final = re.compile(r"`(orchestrate [^`\n]+)`")
_LINK: Final = re.compile(r"\]\((?P<target>[^)#\s]+)(?:#[^)]*)?\)")
_LANGUAGES: Final = frozenset({"toml", "yaml", "sh", "text", "python", "docker", "json"})


def _fragments(language: str) -> list[tuple[Path, Fragment]]:
    blocks = [(page, block) for page in pages() for block in read_blocks(page)]
    return [(page, block) for page, block in blocks if isinstance(block, Fragment) and block.language == language]


def _place(value: object) -> str:
    return shown(value) if isinstance(value, Path) else f"line{value.line}" if isinstance(value, Fragment) else ""


@pytest.mark.parametrize(("page", "fragment"), _fragments("toml"), ids=_place)
def test_toml_decodes(page: Path, fragment: Fragment) -> None:
    """A piece of a `builds.toml` has no key or value that the whole could not have."""
    tree = tomli.loads(fragment.text)
    if set(tree) == {"project"} and "entry-points" in tree["project"]:
        return  # a piece of a pyproject.toml

    _, found = decode(f"format = 1\n{fragment.text}", shown(page))

    assert not has_errors(found), found


@pytest.mark.parametrize(("page", "fragment"), _fragments("yaml"), ids=_place)
def test_yaml_parses(page: Path, fragment: Fragment) -> None:
    """A file for CI is YAML with a job in it."""
    parsed = yaml.safe_load(fragment.text)

    assert isinstance(parsed, dict), shown(page)
    assert "orchestrate build --push" in fragment.text


@pytest.mark.parametrize(("page", "fragment"), _fragments("json"), ids=_place)
def test_json_parses(page: Path, fragment: Fragment) -> None:
    """A line that a program may get is one."""
    assert isinstance(json.loads(fragment.text), dict), shown(page)


def _invocations() -> Iterator[tuple[str, str]]:
    for page in pages():
        for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
            yield from ((f"{shown(page)}:{number}", text) for text in _INLINE.findall(line))
        for block in read_blocks(page):
            text = "" if isinstance(block, File) else block.text
            for line in text.splitlines():
                found = re.search(r"(?:^|[\s'$])(orchestrate [a-z].*)", line.split("  #")[0])
                if found and not isinstance(block, Hidden) and (isinstance(block, Command) or block.language != "text"):
                    yield f"{shown(page)}:{block.line}", found[1]


@pytest.mark.parametrize(("place", "text"), tuple(_invocations()))
def test_command_has_these_options(place: str, text: str) -> None:
    """Every command line that a page mentions is one: command, options and their values."""
    words = shlex.split(re.split(r" [|&>]|\d>", text)[0])[1:]
    if words[0] not in COMMANDS:
        assert words[0].startswith("-"), place
        return
    command: click.Command = import_module(f"orchestrator.cli.{words[0]}").command
    arguments = words[1:]
    if isinstance(command, click.Group):
        inner = command.get_command(click.Context(command), arguments[0]) if arguments else None
        assert inner or not arguments, place
        command, arguments = inner or command, arguments[1:]
    known = {name for option in command.params for name in (*option.opts, *option.secondary_opts)} | {"-h", "--help"}

    assert [] == [word for word in arguments if word.startswith("-") and word.partition("=")[0] not in known], place


def test_languages_are_known() -> None:
    """A block without a language that a test looks at would be looked at by nobody."""
    languages = {block.language for page in pages() for block in read_blocks(page) if isinstance(block, Fragment)}

    assert languages <= _LANGUAGES


def test_links_lead_somewhere() -> None:
    """Every link to a file of this repository finds it; those between pages Sphinx checks as well."""
    lost = [
        f"{shown(page)}: {match['target']}"
        for page in pages()
        for match in _LINK.finditer(page.read_text(encoding="utf-8"))
        if "://" not in match["target"] and not (page.parent / match["target"]).exists()
    ]

    assert [] == lost
