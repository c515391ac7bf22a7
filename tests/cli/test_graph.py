from __future__ import annotations

import json

import pytest

from tests.cli.conftest import Program
from tests.unit.plan.samples import HEAD, write_project

TEXT = HEAD + '[images.base]\n[images.app]\n[images.last]\nneeds = ["app"]\n[groups]\nends = ["last"]\n'
FILES = {"base": "FROM scratch\n", "app": "FROM base\n", "last": "FROM scratch\n"}


@pytest.fixture
def graph(program: Program) -> Program:
    """The program in a project of three images."""
    write_project(program.folder, TEXT, FILES)
    return program


def test_the_graph_is_all_images_unless_said(graph: Program) -> None:
    """A group `default` is for building."""
    tree = json.loads(graph("graph", "--format", "json").out)
    assert [["base"], ["app"], ["last"]] == tree["waves"]


@pytest.mark.parametrize(
    ("names", "waves"),
    [(("app",), [["base"], ["app"]]), (("ends",), [["base"], ["app"], ["last"]]), (("b*",), [["base"]])],
)
def test_a_part_of_the_graph(graph: Program, names: tuple[str, ...], waves: list[list[str]]) -> None:
    """With what it needs."""
    assert waves == json.loads(graph("graph", "--format", "json", *names).out)["waves"]


@pytest.mark.parametrize(
    ("style", "part"),
    [
        ("text", "  app\n    needs base (FROM, app/Dockerfile:1:1)\n"),
        ("mermaid", 'n0 -->|"FROM"| n1'),
        ("dot", '"app" -> "last" [label="needs", style=dashed];'),
        ("json", '"place": "builds.toml:10:10"'),
    ],
)
def test_styles(graph: Program, style: str, part: str) -> None:
    """Each to stdout, with exit code 0."""
    ran = graph("graph", "--format", style)
    assert (0, "") == (ran.code, ran.err)
    assert part in ran.out


def test_an_unknown_image_says_what_was_meant(graph: Program) -> None:
    """And ends with 2."""
    ran = graph("graph", "bsae")
    assert (2, "") == (ran.code, ran.out)
    assert "did you mean `base`?" in ran.err


def test_warnings_do_not_mix_with_the_graph(program: Program) -> None:
    """They go to stderr."""
    write_project(program.folder, HEAD + "[images.a]\n", {"a": "FROM $NOBODY\n"})
    ran = program("graph")
    assert (0, "wave 1\n  a\n") == (ran.code, ran.out)
    assert "warning[cannot-infer]" in ran.err
