from __future__ import annotations

import json

import pytest

from orchestrator.plan.compile import Declared
from orchestrator.plan.graph import ancestors
from orchestrator.ui.graph import RENDERERS, DrawnEdge, Picture, picture
from tests.unit.plan.samples import HEAD, wire_text

TEXT = HEAD + '[images.base]\n[images.app]\n[images.last]\nneeds = ["app"]\n[images.alone]\n'


def drawn(*names: str) -> Picture:
    """The picture of some images and of what they need; all without names."""
    wired = wire_text(TEXT, {"app": "FROM base\n"})
    declared = Declared(project="p", images=wired.images, edges=wired.edges, order=wired.order(), platforms={})
    wanted = ancestors(names or tuple(image.name for image in wired.images), declared.order)
    return picture(declared, wanted, {"builds.toml": TEXT})


def test_text() -> None:
    """Waves, and where each edge is written."""
    assert (
        RENDERERS["text"](drawn())
        == """\
wave 1
  base
  alone
wave 2
  app
    needs base (FROM, app/Dockerfile:1:1)
wave 3
  last
    needs app (needs, builds.toml:10:10)
"""
    )


def test_mermaid() -> None:
    """Numbers for ids, since an image may be called `end`; dashes for order alone."""
    expected = """\
flowchart LR
  n0["base"]
  n1["alone"]
  n2["app"]
  n3["last"]
  n0 -->|"FROM"| n2
  n2 -.->|"needs"| n3
"""
    assert expected == RENDERERS["mermaid"](drawn())


def test_dot() -> None:
    """Quoted names, and the same dashes."""
    text = RENDERERS["dot"](drawn())
    assert text.startswith("digraph images {\n")
    assert text.endswith("}\n")
    assert '  "base" -> "app" [label="FROM"];\n' in text
    assert '  "app" -> "last" [label="needs", style=dashed];\n' in text


def test_json() -> None:
    """Waves and edges, for programs."""
    tree = json.loads(RENDERERS["json"](drawn()))
    assert ("1.0", [["base", "alone"], ["app"], ["last"]]) == (tree["format_version"], tree["waves"])
    assert {"parent": "base", "child": "app", "kind": "FROM", "place": "app/Dockerfile:1:1"} in tree["edges"]


def test_a_selection_shows_what_it_needs_and_nothing_else() -> None:
    """Waves without images are left out."""
    assert (("base",), ("app",)) == drawn("app").waves
    assert ["base"] == [edge.parent for edge in drawn("app").edges]


@pytest.mark.parametrize("style", sorted(RENDERERS))
def test_a_graph_without_edges_is_drawn_too(style: str) -> None:
    """Whatever the style."""
    assert "alone" in RENDERERS[style](drawn("alone"))


def test_names_of_files_are_text() -> None:
    """A Dockerfile may be called whatever a file system takes: nothing of it reaches the terminal raw."""
    edge = DrawnEdge(parent="a", child="b", kind="FROM", place="\x1b]0;owned\x07/Dockerfile:1:1")
    shown = RENDERERS["text"](Picture(waves=(("a",), ("b",)), edges=(edge,)))
    assert "    needs a (FROM, \\x1b]0;owned\\x07/Dockerfile:1:1)\n" in shown
